"""What is wrong with a bridge and its platform, in plain words, each with its fix; the most serious first."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from ff_observe.catalogue import audit, bridge
from ff_observe.catalogue.model import Reading
from ff_observe.config import declaration as key_of
from ff_observe.config.settings import Settings, SQLiteDatabase
from ff_observe.outputs import statuses
from ff_observe.outputs.ping.consent import decide
from ff_observe.platform.limits import AFTER_EXPIRY, EXPIRES_SOON, Level, headroom
from ff_observe.platform.snapshot import Snapshot
from ff_observe.telemetry.redaction import Redactor, known_secrets


class Severity(StrEnum):
    """The severity of a finding: an error means missing data, now or soon, a warning a risk, a note is information."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    `id` is for programs, and stable. `title` is a clause, `detail` the reason, `fix` what to do, empty if all is well;
    all without secrets. Backquotes in `detail` and `fix` mark code.
    """

    id: str
    severity: Severity
    title: str
    detail: str
    fix: str = ""


def find_problems(
    settings: Settings,
    snapshot: Snapshot,
    readings: Mapping[str, Reading] | None = None,
    failures: Mapping[str, str] | None = None,
    examined: Iterable[Finding] = (),
) -> list[Finding]:
    """The problems at the moment of `snapshot`, without `OK` findings.

    `readings` and `failures` are those of the running bridge's `SelfMetrics`; empty without a bridge. `examined` are
    findings of checks that take longer than a page may.
    """
    redactor = Redactor(known_secrets(settings), personal=False)
    # Before any of it becomes a sentence: a capital letter would hide a secret that it begins with.
    failures = {output: redactor.text(reason) for output, reason in (failures or {}).items()}
    snapshot = replace(snapshot, failures={name: redactor.text(reason) for name, reason in snapshot.failures.items()})
    found = [
        *_database(settings, snapshot),
        *_flowfuse(settings, snapshot),
        *_reload(settings, readings or {}),
        *_licence(snapshot),
        *_limits(snapshot),
        *_readings(snapshot),
        *_audit_log(snapshot, readings or {}),
        *_outputs(settings, snapshot, failures),
        *_unknown_keys(settings),
        *examined,
    ]
    once = {(finding.id, finding.title): finding for finding in reversed(found) if finding.severity is not Severity.OK}
    return worst_first(replace(finding, detail=redactor.text(finding.detail)) for finding in reversed(once.values()))


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted by severity, otherwise in the same order."""
    return sorted(findings, key=lambda finding: list(Severity).index(finding.severity))


def _database(settings: Settings, snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.up:
        return
    reason = next(iter(snapshot.failures.values()), "it gave no reason")
    faults = _SQLITE_FAULTS if isinstance(settings.database, SQLiteDatabase) else _POSTGRESQL_FAULTS
    fault, fix = next((fault, fix.format(file=settings.file)) for said, fault, fix in faults if re.search(said, reason))
    title = "The platform's database does not answer"
    yield Finding(fault, Severity.ERROR, title, _sentence(reason), f"{fix} The bridge recovers by itself.")


_SQLITE_FAULTS: Final = (
    ("", "database-unreachable", "Check `db.storage` in {file}, and that the user of ff-observe may read that file."),
)
_POSTGRESQL_FAULTS: Final = (
    (
        "password authentication failed|no password supplied",
        "database-password",
        "Check `db.user` and `db.password`: `ff-observe check --effective` says where each comes from.",
    ),
    (
        "resolve host|translate host|[Nn]ame or service not known|No address associated|idna",
        "database-host",
        "Check `db.host`: in a container it is the name of PostgreSQL's service, which a shared network resolves.",
    ),
    (
        "[Cc]onnection refused",
        "database-refused",
        "Check that PostgreSQL runs and listens at `db.host` and `db.port`, and that no firewall is between.",
    ),
    ('database ".*" does not exist', "database-name", "Check `db.database`: it is the name that FlowFuse uses."),
    (
        "certificate|SSL|TLS",
        "database-tls",
        "Name the authority of PostgreSQL's certificate in `telemetry.database.ca_file`; `db.ssl` switches TLS.",
    ),
    (
        "none of FlowFuse's tables",
        "database-empty",
        "Check `db.database`; if it is right, start FlowFuse once, then run the SQL of `ff-observe database grants`.",
    ),
    (
        "permission denied",
        "database-privileges",
        "Run the SQL of `ff-observe database grants` as a superuser, or as the tables' owner with CREATEROLE.",
    ),
    (
        "timed? ?out|timeout|did not answer within|needed more than",
        "database-slow",
        "Check the load of the database, and that no firewall drops packets between it and this machine.",
    ),
    (
        "",
        "database-unreachable",
        "Check that PostgreSQL runs, and host, port, user and password in the section `db` of {file}.",
    ),
)
"""What the message of a database that cannot be read says, what that is, and its fix: the first match decides."""


def _flowfuse(settings: Settings, snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.http is None or snapshot.http.up:
        return
    yield Finding(
        "flowfuse-unreachable",
        Severity.ERROR,
        "FlowFuse does not answer over HTTP",
        f"FlowFuse at `{settings.prometheus.probe_url}` {snapshot.http.problem}.",
        "If FlowFuse answers in a browser, the bridge cannot reach this address: name one that it reaches in "
        f"`{key_of.PROMETHEUS_PROBE_URL.path}`, or `false`.",
    )


def _reload(settings: Settings, readings: Mapping[str, Reading]) -> Iterator[Finding]:
    if readings.get(bridge.CONFIG_RELOAD_SUCCESS.name, {}).get(()) == 0:
        yield Finding(
            "reload-rejected",
            Severity.ERROR,
            "The changed configuration was rejected",
            f"{settings.file} was changed and cannot be used: the old settings stay in use.",
            "`ff-observe check` names each problem in the file with its line. Correct it, then reload (SIGHUP): the "
            "bridge does not start with the file as it is.",
        )


def _licence(snapshot: Snapshot) -> Iterator[Finding]:
    problem, licence = snapshot.installation.licence_problem, snapshot.installation.licence
    if problem is not None:
        yield Finding(
            "licence-rejected",
            Severity.ERROR,
            "The licence is not accepted",
            _sentence(problem),
            "FlowFuse reads it as it starts: correct `license` in flowforge.yml, and reload the bridge (SIGHUP), or, "
            "if it is in the database, delete the row `license` of the table `PlatformSettings`; then start FlowFuse.",
        )
    if licence is None or licence.expires_at is None:
        return
    left, day = licence.expires_at - snapshot.taken_at, f"{licence.expires_at:%Y-%m-%d}"
    fix = "Renew it, and load the new one in FlowFuse: Admin Settings, License."
    if left <= timedelta():
        yield Finding("licence-expired", Severity.ERROR, f"The licence expired on {day}", AFTER_EXPIRY, fix)
    elif left <= EXPIRES_SOON:
        title = f"The licence expires on {day}"
        yield Finding("licence-expires", Severity.WARNING, title, f"From then on: {AFTER_EXPIRY}", fix)


def _limits(snapshot: Snapshot) -> Iterator[Finding]:
    over = [room for room in headroom(snapshot) if room.level is Level.OVER]
    if not over:
        return
    detail = f"{', '.join(f'{room.title}: {room.used:g} of {room.allowed:g}' for room in over)}. {over[0].effect}"
    if snapshot.installation.licence is not None:
        title, fix = "More is in use than the licence covers", "Extend the licence, or delete what is no longer needed."
    else:
        title = "A limit of FlowFuse without a licence is reached"
        fix = "Load a licence (in FlowFuse: Admin Settings, License), or delete what is no longer needed."
    yield Finding("licence-limit", Severity.WARNING, title, detail, fix)


def _readings(snapshot: Snapshot) -> Iterator[Finding]:
    if not snapshot.up:
        return
    by_reason: dict[str, list[str]] = {}
    for name, reason in snapshot.failures.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        several = len(names) > 1
        yield Finding(
            "readings-failing",
            Severity.ERROR,
            f"{len(names)} readings of the database fail" if several else "A reading of the database fails",
            f"{', '.join(f'`{name}`' for name in names)}: {_sentence(reason)} "
            f"{'They are' if several else 'It is'} missing on every output, and in the ping.",
            "Check the rights of the database's user. After an upgrade of FlowFuse, look for a newer ff-observe.",
        )


def _audit_log(snapshot: Snapshot, readings: Mapping[str, Reading]) -> Iterator[Finding]:
    share = readings.get(bridge.AUDIT_LOG_COUNTED.name, {}).get(())
    if snapshot.up and share is not None and audit.AUDIT_EVENTS.name not in snapshot.readings:
        yield Finding(
            "audit-log-counting",
            Severity.NOTE,
            "The audit log is still being counted",
            f"{share:.0%} of it is counted. Its counters (deployments, failures, sign-ins) are absent until then.",
            "Wait: it goes on with each scrape. If it does not, a transaction that writes to the audit log stays open.",
        )


def _outputs(settings: Settings, snapshot: Snapshot, failures: Mapping[str, str]) -> Iterator[Finding]:
    for output, status in statuses(settings, snapshot):
        if status.on and output.name in failures:
            title = f"{output.title} is on, and its last delivery failed"
            yield Finding(f"{output.name}-failing", Severity.ERROR, title, _sentence(failures[output.name]), output.fix)
    decision = decide(snapshot, settings)
    if decision.opt_out_ignored:
        yield Finding(
            "opt-out-ignored",
            Severity.WARNING,
            "The ping is sent although an opt-out is configured",
            _sentence(decision.explanation),
            "Set `FF_TELEMETRY_DISABLED` in the environment of ff-observe, or remove the opt-out.",
        )


def _unknown_keys(settings: Settings) -> Iterator[Finding]:
    if settings.warnings:
        yield Finding(
            "unknown-keys",
            Severity.WARNING,
            "The settings hold keys that ff-observe does not know",
            "; ".join(f"`{each.key}` in {each.place}" if each.key else f"`{each.place}`" for each in settings.warnings)
            + ".",
            "`ff-observe check` guesses what was meant.",
        )


def _sentence(words: str) -> str:
    """Text that begins with a capital letter, unless it begins with a name (of a host or a file), and ends with a
    full stop."""
    first = words[:1].upper() if re.match(r"[a-z']+(?![\w./-]|:\S)", words) else words[:1]
    return first + words[1:] + ("" if words.endswith((".", "!", "?", "…")) else ".")
