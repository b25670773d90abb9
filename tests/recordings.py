"""The platforms that tests compare with: recordings of real FlowFuse 2.4.0 in `tests/data/recordings`, the reduced ones
of `tests/reduced`, and, where present, recordings of 2.33.2 in `../shared/recordings` (or `$FF_OBSERVE_RECORDINGS`)."""

import atexit
import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from tests.reduced import write_all

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "tests" / "data" / "recordings"
ALL = Path(os.environ.get("FF_OBSERVE_RECORDINGS") or ROOT.parent / "shared" / "recordings")
PROBES = 79
"""Questions that were put to real FlowFuse, each with a reduced counterpart."""


@dataclass(frozen=True)
class Case:
    """One platform or probe: its files with what it sent and answered."""

    home: Path

    @property
    def name(self) -> str:
        return self.home.name

    @property
    def id(self) -> str:
        """Tells the recording from the reduced case of the same name."""
        return f"{self.name}-recorded" if ALL in self.home.parents else self.name

    @property
    def is_postgresql(self) -> bool:
        return (self.home / "dump.sql").exists()

    @cached_property
    def meta(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.home / "meta.json").read_text())
        return loaded

    @cached_property
    def ping(self) -> dict[str, Any] | None:
        """The ping as it was POSTed; None where none was sent."""
        path = self.home / "ping.json"
        return json.loads(path.read_bytes()) if path.exists() else None

    @cached_property
    def stats(self) -> dict[str, Any] | None:
        """What `GET /api/v1/admin/stats` answered."""
        path = self.home / "admin-stats.json"
        return json.loads(path.read_bytes()) if path.exists() else None


@cache
def reduced() -> Path:
    """Where the reduced platforms of this run are: made at the first use, removed at its end."""
    directory = tempfile.TemporaryDirectory(prefix="ff-observe-reduced-")
    atexit.register(directory.cleanup)
    write_all(Path(directory.name), COMMITTED)
    return Path(directory.name)


@cache
def cases() -> tuple[Case, ...]:
    """Every platform at hand; those of 2.4.0 and the reduced ones are always there."""
    found: dict[str, Case] = {}
    for place in (COMMITTED, reduced() / "platforms", ALL):
        for path in sorted(place.glob("*/meta.json")):
            found.setdefault(path.parent.name, Case(path.parent))
    return tuple(found.values())


@cache
def probes() -> tuple[Case, ...]:
    """Single questions to FlowFuse, the reduced ones and those at hand that were recorded."""
    return tuple(
        Case(path.parent) for place in (reduced(), ALL) for path in sorted(place.glob("probes/*/flowforge.yml"))
    )


@cache
def frontends() -> tuple[Case, ...]:
    """What FlowFuse served with each of its frontend settings: page, policy, metrics."""
    return tuple(
        Case(path.parent) for place in (reduced(), ALL) for path in sorted(place.glob("frontend/*/flowforge.yml"))
    )


def named(name: str) -> Case:
    return next(case for case in cases() if case.name == name)


def home_of(probe: Case, home: Path) -> Path:
    """Make, in `home`, the platform of a probe: the case it is based on, with the probe's file and changes."""
    (home / "etc").mkdir(parents=True)
    (home / "var").mkdir()
    shutil.copy(probe.home / "flowforge.yml", home / "etc" / "flowforge.yml")
    if (probe.home / "forge.db").exists():
        shutil.copy(probe.home / "forge.db", home / "var" / "forge.db")
        return home
    shutil.copyfile(named(probe.meta["base"]).home / "var" / "forge.db", home / "var" / "forge.db")
    with contextlib.closing(sqlite3.connect(home / "var" / "forge.db", isolation_level=None)) as connection:
        for statement in probe.meta["sql"]:
            connection.execute(statement)
    return home


def leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, (*path, key))
    else:
        yield path, value


def assert_as_recorded(ours: bytes, recorded: dict[str, Any]) -> None:
    """Every field recorded, of equal type and value and in the same order; templates and stacks exactly swapped."""
    counts = recorded["platform"]["counts"]
    counts["projectTemplates"], counts["projectStacks"] = counts["projectStacks"], counts["projectTemplates"]
    expected = [(path, value) for path, value in leaves(recorded) if path[0] not in ("os", "env")]
    wanted = {path for path, _ in expected}
    found = [(path, value) for path, value in leaves(json.loads(ours)) if path in wanted]
    assert [(*leaf, type(leaf[1])) for leaf in found] == [(*leaf, type(leaf[1])) for leaf in expected]
