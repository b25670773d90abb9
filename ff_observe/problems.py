"""The problems of a running bridge and its platform, in plain words, each with its fix; the most serious first."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ff_observe.catalogue import bridge
from ff_observe.config import declaration as key_of
from ff_observe.config.settings import Settings, SQLiteDatabase
from ff_observe.outputs import statuses
from ff_observe.outputs.ping.consent import decide
from ff_observe.redaction import Redactor, known_secrets
from ff_observe.snapshots import Snapshot
from ff_observe.sources.model import Licence, Reading

EXPIRES_SOON: Final = timedelta(days=30)

_EFFECT: Final = (
    "FlowFuse refuses new devices, every instance that is started or restarted ends suspended, and at 02:00 each night "
    "all running instances are suspended."
)
"""Of an expired licence."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not work. `title` is a clause, `detail` the reason, `fix` what to do; all without secrets.

    Backquotes in `detail` and `fix` mark code.
    """

    title: str
    detail: str
    fix: str


def find_problems(
    settings: Settings,
    snapshot: Snapshot,
    readings: Mapping[str, Reading] | None = None,
    failures: Mapping[str, str] | None = None,
) -> list[Problem]:
    """The problems at the moment of `snapshot`.

    `readings` and `failures` are those of the running bridge's `SelfMetrics`; without a bridge there are none.
    """
    redactor = Redactor(known_secrets(settings), personal=False)
    found = [
        *_database(settings, snapshot),
        *_flowfuse(settings, snapshot),
        *_reload(settings, readings or {}),
        *_licence(snapshot),
        *_readings(snapshot),
        *_outputs(settings, snapshot, failures or {}),
        *_unknown_keys(settings),
    ]
    return [Problem(problem.title, redactor.text(problem.detail), problem.fix) for problem in found]


def _database(settings: Settings, snapshot: Snapshot) -> Iterator[Problem]:
    if snapshot.up:
        return
    if isinstance(settings.database, SQLiteDatabase):
        fix = f"Check `db.storage` in {settings.file}, and that the user of ff-observe may read that file."
    else:
        fix = f"Check that PostgreSQL runs, and host, port, user and password in the section `db` of {settings.file}."
    yield Problem(
        "The platform's database does not answer",
        _sentence(next(iter(snapshot.failures.values()), "it gave no reason")),
        f"{fix} The bridge recovers by itself.",
    )


def _flowfuse(settings: Settings, snapshot: Snapshot) -> Iterator[Problem]:
    if snapshot.http is None or snapshot.http.up:
        return
    yield Problem(
        "FlowFuse does not answer over HTTP",
        f"FlowFuse at `{settings.prometheus.probe_url}` {snapshot.http.problem}.",
        "If FlowFuse answers in a browser, the bridge cannot reach this address: name one that it reaches in "
        f"`{key_of.PROMETHEUS_PROBE_URL.path}`, or `false`.",
    )


def _reload(settings: Settings, readings: Mapping[str, Reading]) -> Iterator[Problem]:
    if readings.get(bridge.CONFIG_RELOAD_SUCCESS.name, {}).get(()) == 0:
        yield Problem(
            "The changed configuration was rejected",
            f"{settings.file} was changed and cannot be used: the old settings stay in use.",
            "`ff-observe check` names each problem in the file with its line. Correct it, then reload (SIGHUP): the "
            "bridge does not start with the file as it is.",
        )


def _licence(snapshot: Snapshot) -> Iterator[Problem]:
    problem, licence = snapshot.installation.licence_problem, snapshot.installation.licence
    if problem is not None:
        yield Problem(
            "The licence is not accepted",
            _sentence(problem),
            "Load a valid licence: in FlowFuse, Admin Settings, License.",
        )
    if licence is not None and licence.expires_at is not None:
        yield from _expiry(snapshot, licence)


def _expiry(snapshot: Snapshot, licence: Licence) -> Iterator[Problem]:
    assert licence.expires_at is not None
    left, day = licence.expires_at - snapshot.taken_at, f"{licence.expires_at:%Y-%m-%d}"
    fix = "Renew it, and load the new one in FlowFuse: Admin Settings, License."
    if left <= timedelta():
        yield Problem(f"The licence expired on {day}", _EFFECT, fix)
    elif left <= EXPIRES_SOON:
        yield Problem(f"The licence expires on {day}", f"From then on: {_EFFECT}", fix)


def _readings(snapshot: Snapshot) -> Iterator[Problem]:
    if not snapshot.up:
        return
    by_reason: dict[str, list[str]] = {}
    for name, reason in snapshot.failures.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        several = len(names) > 1
        yield Problem(
            f"{len(names)} readings of the database fail" if several else "A reading of the database fails",
            f"{', '.join(f'`{name}`' for name in names)}: {_sentence(reason)} "
            f"{'They are' if several else 'It is'} missing on every output, and in the ping.",
            "Check the rights of the database's user. After an upgrade of FlowFuse, look for a newer ff-observe.",
        )


def _outputs(settings: Settings, snapshot: Snapshot, failures: Mapping[str, str]) -> Iterator[Problem]:
    for output, status in statuses(settings, snapshot):
        if status.on and output.name in failures:
            title = f"{output.title} is on, and its last delivery failed"
            yield Problem(title, _sentence(failures[output.name]), output.fix)
    decision = decide(snapshot, settings)
    if decision.opt_out_ignored:
        yield Problem(
            "The ping is sent although an opt-out is configured",
            _sentence(decision.explanation),
            "Set `FF_TELEMETRY_DISABLED` in the environment of ff-observe, or remove the opt-out.",
        )


def _unknown_keys(settings: Settings) -> Iterator[Problem]:
    if settings.warnings:
        yield Problem(
            "flowforge.yml holds keys that ff-observe does not know",
            "; ".join(f"`{warning.key}` in line {warning.line}" for warning in settings.warnings) + ".",
            "`ff-observe check` guesses what was meant.",
        )


def _sentence(words: str) -> str:
    """Text that begins with a capital letter, unless a name stands there (of a host or a file), and ends in a stop."""
    first = words[:1].upper() if re.match(r"[a-z']+(?![\w./-]|:\S)", words) else words[:1]
    return first + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")
