"""A check, and what it examines."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ff_observe.config.settings import Settings
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.problems import Finding, Severity
from ff_observe.system.clock import Clock


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of an examination. `snapshot` is the last one, None if there has been none yet."""

    settings: Settings
    clock: Clock
    versions: InstalledVersions
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Examines one thing, if it exists (`applies`). If it finds nothing wrong, its one finding has the title `fine` and
    `id`."""

    id: str
    fine: str
    look: Callable[[Subject], Iterable[Finding]]
    applies: Callable[[Subject], bool] = lambda _subject: True

    def run(self, subject: Subject) -> list[Finding]:
        """Its findings. A check that raises is itself a finding; the others still run."""
        try:
            if not self.applies(subject):
                return []
            found = list(self.look(subject))
        except Exception as error:
            fix = "Report it, with the output of `ff-observe --log-level debug doctor`."
            return [Finding(self.id, Severity.NOTE, f"{self.fine}: unknown", f"{type(error).__name__}.", fix)]
        return found or [Finding(self.id, Severity.OK, self.fine, "")]


def run_checks(checks: Iterable[Check], subject: Subject) -> list[Finding]:
    return [finding for check in checks for finding in check.run(subject)]


def error(name: str, title: str, detail: str, fix: str) -> Finding:
    return Finding(name, Severity.ERROR, title, detail, fix)


def warning(name: str, title: str, detail: str, fix: str) -> Finding:
    return Finding(name, Severity.WARNING, title, detail, fix)


def note(name: str, title: str, detail: str, fix: str) -> Finding:
    return Finding(name, Severity.NOTE, title, detail, fix)
