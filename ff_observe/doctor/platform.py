"""Checks of the platform: its database's role, speed and clock, and what the last snapshot says."""

from collections.abc import Iterator
from typing import Final

from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.doctor.model import Check, Subject, error, note, warning
from ff_observe.errors import SourceError
from ff_observe.problems import Finding

SLOW_SECONDS: Final = 1.0
MOST_CLOCK_SKEW_SECONDS: Final = 30.0

_GRANTS: Final = "Run the SQL of `ff-observe database grants` as a superuser, or as the tables' owner with CREATEROLE"


def _role(subject: Subject) -> Iterator[Finding]:
    database = subject.settings.database
    assert isinstance(database, PostgreSQLDatabase)
    from ff_observe.platform.sources.privileges import role_privileges

    try:
        found = role_privileges(database)
    except SourceError as failure:
        title, fix = "The platform's database does not answer", "Try again: it answered a moment before."
        yield error("database-unreachable", title, f"{failure}.", fix)
        return
    if found.lacking:
        yield error(
            "role-lacks-privileges",
            f"The role {found.role} may not read all that is counted",
            f"It lacks SELECT on {', '.join(f'`{name}`' for name in found.lacking)}.",
            f"{_GRANTS}; again after each upgrade of FlowFuse.",
        )
    if found.superuser or found.writable:
        tables = ", ".join(f"`{name}`" for name in found.writable)
        can = "is a superuser" if found.superuser else f"may write to {tables}"
        yield warning(
            "role-can-write",
            f"The role {found.role} can do more than read",
            f"It {can}. ff-observe never writes, but an attacker who takes over its process could.",
            f"{_GRANTS}, and name the new role in `db.user` of ff-observe.yml or `FF_OBSERVE_DB_USER`.",
        )
    if found.pooled:
        yield note(
            "pooler",
            "A connection pooler stands between the bridge and PostgreSQL",
            "It drops the options of a session, so that each statement carries its limits; bridges cannot elect who "
            "sends the ping through one in transaction or statement mode.",
            "Connect to PostgreSQL itself if it can be reached: `db.host` and `db.port` in ff-observe.yml.",
        )
    skew = found.epoch_seconds - subject.clock.now().timestamp()
    if abs(skew) > MOST_CLOCK_SKEW_SECONDS:
        yield warning(
            "clock-differs",
            "The clocks of this machine and of the database differ",
            f"The database is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}: devices are counted in the wrong "
            "bucket of last seen, and the ping may come on another day.",
            "Let NTP keep both: `timedatectl set-ntp true`.",
        )


def _answers(subject: Subject) -> bool:
    return subject.snapshot is not None and subject.snapshot.up


def _has_roles(subject: Subject) -> bool:
    return isinstance(subject.settings.database, PostgreSQLDatabase) and _answers(subject)


def _speed(subject: Subject) -> Iterator[Finding]:
    snapshot = subject.snapshot
    assert snapshot is not None
    if snapshot.duration_seconds > SLOW_SECONDS:
        yield warning(
            "database-slow",
            "The platform's database answers slowly",
            f"Reading all counts took {snapshot.duration_seconds:.1f} s.",
            "Look at its load, and at the way to it; PostgreSQL may need `ANALYZE`. Scrape it less often.",
        )


def _initialised(subject: Subject) -> Iterator[Finding]:
    assert subject.snapshot is not None
    if not subject.snapshot.installation.initialised:
        yield note(
            "not-initialised",
            "FlowFuse is not set up yet",
            "Its set-up has not been completed: no ping is sent before that.",
            "Open FlowFuse in a browser and complete the set-up.",
        )


PLATFORM: Final[tuple[Check, ...]] = (
    Check("role", "The database's role may read what is counted, and nothing more", _role, _has_roles),
    Check("speed", "The platform's database answers quickly", _speed, _answers),
    Check("initialised", "FlowFuse is set up", _initialised, _answers),
)
