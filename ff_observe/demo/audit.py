"""The demo platform's audit log: the work of people, programs and pipelines, and their failures."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from ff_observe.demo.company import stamp, times

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
