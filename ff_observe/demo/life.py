"""Simulates the demo platform over time: people come and go, instances start, suspend and crash, devices call home or
fall silent. The same random source gives the same life."""

import math
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from ff_observe.demo.company import Company, Newcomers, some, stamp, times
from ff_observe.demo.operations import Operations

_ERROR = '{"error":{"code":"unexpected_error"}}'


@dataclass(frozen=True, slots=True)
class _EventRate:
    """An event that occurs `per_hour` times in a busy hour; `by_machines`, also at night."""

    event: str
    kind: str
    per_hour: float
    source: str | None = None
    body: str | None = None
    by_machines: bool = False


_HABITS = (
    _EventRate("account.login", "user", 4.0),
    _EventRate("account.login", "user", 0.3, body=_ERROR),
    _EventRate("account.logout", "user", 1.5),
    _EventRate("flows.set", "project", 3.0),
    _EventRate("flows.set", "device", 0.6),
    _EventRate("project.snapshot.rolled-back", "project", 0.1),
    _EventRate("project.snapshot.device-target-set", "project", 0.5, "api", by_machines=True),
    _EventRate("device.snapshot.deployed", "device", 0.8, "api", by_machines=True),
    _EventRate("device.snapshot.deployed", "device", 0.4, "mcp:expert"),
    _EventRate("project.snapshot.rolled-back", "project", 0.05, "mcp"),
    _EventRate("application.pipeline.stage-deployed", "team", 0.7),
    _EventRate("project.settings.updated", "project", 0.5),
    _EventRate("nodes.install", "project", 0.4),
    _EventRate("user.pat.created", "user", 0.05),
    _EventRate("team.user.role-changed", "team", 0.05),
    _EventRate("crashed", "project", 0.25, by_machines=True),
    _EventRate("crashed", "device", 0.1, by_machines=True),
    _EventRate("safe-mode", "project", 0.04, by_machines=True),
    _EventRate("project.start-failed", "project", 0.06, body=_ERROR, by_machines=True),
    _EventRate("resource.memory", "project", 0.12, by_machines=True),
    _EventRate("resource.cpu", "project", 0.1, by_machines=True),
    _EventRate("device.restart-failed", "device", 0.05, body=_ERROR, by_machines=True),
    _EventRate("temperature-limit", "project", 0.2, by_machines=True),  # a tenant's own
)


class AuditLog:
    """Adds to the audit log; the same `random` gives the same entries."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def add(self, database: sqlite3.Connection, at: datetime, hours: float, busyness: float) -> None:
        """Add the events of the `hours` before `at`."""
        made = [
            (at - timedelta(hours=hours * self._random.random()), habit)
            for habit in _HABITS
            for _ in range(times(self._random, habit.per_hour * hours * (1.0 if habit.by_machines else busyness)))
        ]
        users = [row[0] for row in database.execute('SELECT "id" FROM "Users" ORDER BY "id"')]
        database.executemany(
            'INSERT INTO "AuditLogs" ("event", "entityType", "source", "body", "createdAt", "UserId")'
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (*(habit.event, habit.kind, habit.source, habit.body, stamp(moment)), self._author(habit, users))
                for moment, habit in sorted(made, key=lambda one: one[0])
            ],
        )

    def _author(self, habit: _EventRate, users: list[int]) -> int | None:
        """A few people do most of the work."""
        return None if habit.by_machines or not users else users[int(len(users) * self._random.random() ** 3)]


SNAPSHOTS_KEPT = 10  # FlowFuse keeps the last ten automatic snapshots of each owner
PAST_HOURS = 28 * 24
GROWTH = 1.15  # the size a number grows towards, relative to the first day


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of platform time: it ends at `at`, lasted `hours`, and is as busy as the platform's own `local` time.

    The present of the database is always `at`. In fast motion the platform's own time runs ahead of it.
    """

    at: datetime
    hours: float
    local: datetime

    @property
    def busyness(self) -> float:
        """From 0.1 (night) to 1 (the middle of a working day)."""
        hour = self.local.hour + self.local.minute / 60
        day = max(0.0, math.sin((hour - 6) / 12 * math.pi)) if 6 <= hour <= 18 else 0.0
        return 0.1 + 0.9 * day * (0.25 if self.local.weekday() >= 5 else 1.0)


class Life:
    """Applies stretches of time to a database. Every stretch is one short transaction of the caller."""

    def __init__(self, company: Company, random: Random) -> None:
        self._company = company
        self._random = random
        self._audit_log = AuditLog(Random(company.users))  # noqa: S311 - a demo; of its own, so that it changes nothing else
        self._operations = Operations(random)

    def pass_time(self, database: sqlite3.Connection, stretch: Stretch) -> None:
        """Simulate everything that happens in `stretch`."""
        new = Newcomers(database, self._random)
        self._people(database, new, stretch)
        self._instances(database, new, stretch)
        self._devices(database, new, stretch)
        self._works(database, new, stretch)
        self._operations.pass_time(database, stretch.at, stretch.hours, stretch.busyness)
        self._audit_log.add(database, stretch.at, stretch.hours, stretch.busyness)

    def look_back(self, database: sqlite3.Connection, at: datetime) -> None:
        """Fill the audit log for the weeks before `at`."""
        for hours_ago in range(PAST_HOURS, 0, -1):
            moment = at - timedelta(hours=hours_ago)
            self._audit_log.add(database, moment, 1.0, Stretch(moment, 1.0, moment).busyness)

    def recede(self, database: sqlite3.Connection, by: timedelta) -> None:
        """Move past moments further back, for a platform whose time runs faster than the wall clock."""
        modifier = f"-{by.total_seconds():.3f} seconds"
        past = "strftime('%Y-%m-%d %H:%M:%f +00:00', {0}, ?)"
        database.execute(
            f'UPDATE "Devices" SET "lastSeenAt" = {past.format(chr(34) + "lastSeenAt" + chr(34))} '  # noqa: S608 (own names)
            'WHERE "state" <> \'running\' AND "lastSeenAt" IS NOT NULL',
            (modifier,),
        )
        database.execute(
            f'UPDATE "Invitations" SET "expiresAt" = {past.format(chr(34) + "expiresAt" + chr(34))}',  # noqa: S608 (own names)
            (modifier,),
        )

    def _room(self, database: sqlite3.Connection, table: str, first_day: int) -> float:
        """How much `table` can still grow: 1 when empty, 0 at its final size."""
        count: int = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608 (own names)
        return max(0.0, 1 - count / (GROWTH * first_day + 1))

    def _people(self, database: sqlite3.Connection, new: Newcomers, stretch: Stretch) -> None:
        for _ in range(times(self._random, stretch.hours * stretch.busyness * 0.2)):
            new.invitation(stretch.at)
        hired = 0.1 * stretch.hours * self._room(database, "Users", self._company.users)
        for identity in some(self._random, database, "Invitations", hired):
            database.execute('DELETE FROM "Invitations" WHERE "id" = ?', (identity,))
            new.user(stretch.at)
        database.execute('DELETE FROM "Invitations" WHERE "expiresAt" < ?', (stamp(stretch.at),))
        left = some(self._random, database, "Users", 0.00008 * stretch.hours, 'NOT "admin"')
        for identity in left:
            database.execute('DELETE FROM "Users" WHERE "id" = ?', (identity,))

    def _instances(self, database: sqlite3.Connection, new: Newcomers, stretch: Stretch) -> None:
        hours, busy = stretch.hours, stretch.busyness
        for state, becomes, share in (
            ("stopped", "running", 0.5 * hours),
            ("suspended", "running", 0.12 * hours * busy),
            ("running", "suspended", 0.01 * hours * (1.2 - busy)),
            ("running", "stopped", 0.003 * hours),
        ):
            for identity in some(self._random, database, "Projects", share, f"\"state\" = '{state}'"):
                database.execute(
                    'UPDATE "Projects" SET "state" = ?, "updatedAt" = ? WHERE "id" = ?',
                    (becomes, stamp(stretch.at), identity),
                )
        room = self._room(database, "Projects", self._company.instances)
        for _ in range(times(self._random, 0.5 * hours * busy * room)):
            new.instance(stretch.at, "running")
        for identity in some(self._random, database, "Projects", 0.0001 * hours):
            database.execute('DELETE FROM "Projects" WHERE "id" = ?', (identity,))

    def _devices(self, database: sqlite3.Connection, new: Newcomers, stretch: Stretch) -> None:
        hours, busy = stretch.hours, stretch.busyness
        for condition, becomes, share in (
            ("\"state\" = 'running'", "stopped", 0.008 * hours),
            ('"state" = \'stopped\' AND "id" % 4 <> 0', "running", 0.03 * hours),
            ('"state" = \'stopped\' AND "id" % 4 = 0', "running", 0.0015 * hours),  # in the field, rarely connected
            ("\"state\" = ''", "running", 0.08 * hours * busy),  # new: calls home for the first time
        ):
            for identity in some(self._random, database, "Devices", share, condition):
                database.execute('UPDATE "Devices" SET "state" = ? WHERE "id" = ?', (becomes, identity))
        database.execute('UPDATE "Devices" SET "lastSeenAt" = ? WHERE "state" = \'running\'', (stamp(stretch.at),))
        changed = some(self._random, database, "Devices", 0.03 * hours * busy)
        for identity in changed:
            mode = "developer" if self._random.random() < 0.2 else "autonomous"
            database.execute('UPDATE "Devices" SET "mode" = ? WHERE "id" = ?', (mode, identity))
        room = self._room(database, "Devices", self._company.devices)
        for _ in range(times(self._random, 1.2 * hours * busy * room)):
            new.device(stretch.at, None, "")
        for identity in some(self._random, database, "Devices", 0.0001 * hours):
            database.execute('DELETE FROM "Devices" WHERE "id" = ?', (identity,))

    def _works(self, database: sqlite3.Connection, new: Newcomers, stretch: Stretch) -> None:
        """Things that people create: snapshots, library entries, blueprints, broker clients."""
        effort = stretch.hours * stretch.busyness
        for _ in range(times(self._random, 2.0 * effort)):
            new.snapshot(stretch.at)
        database.execute(
            'DELETE FROM "ProjectSnapshots" WHERE "id" IN (SELECT "id" FROM (SELECT "id", '
            'row_number() OVER (PARTITION BY "ProjectId", "DeviceId" ORDER BY "id" DESC) AS place '
            'FROM "ProjectSnapshots") WHERE place > ?) AND "id" NOT IN (SELECT "targetSnapshotId" FROM "Devices" '
            'WHERE "targetSnapshotId" IS NOT NULL UNION SELECT "activeSnapshotId" FROM "Devices" '
            'WHERE "activeSnapshotId" IS NOT NULL)',
            (SNAPSHOTS_KEPT,),
        )
        company = self._company
        kinds: tuple[tuple[str, int, Callable[[datetime], None]], ...] = (
            ("StorageLibraries", company.library_entries, new.library_entry),
            ("StorageSharedLibraries", company.shared_library_entries, new.shared_library_entry),
            ("FlowTemplates", company.blueprints, new.blueprint),
            ("TeamBrokerClients", company.broker_clients, new.broker_client),
        )
        for table, first_day, add in kinds:
            for _ in range(times(self._random, 0.3 * effort * self._room(database, table, first_day))):
                add(stretch.at)
