"""Whatever happens to an audit log and to the bridge that counts it: once it is quiet, the counters are a full recount.

Transactions that commit in another order than that of their ids or never, also between two statements of the bridge,
entries deleted, a backup put back, and the bridge killed within any write of its state,
in random order.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ff_observe.platform.audit_counters import CHECK_AFTER, AuditCounters
from ff_observe.platform.sources.counting import Queryable
from ff_observe.platform.sources.sql import Dialect, Row
from ff_observe.running.audit_state import AuditState
from tests.pace import in_full
from tests.real_parts.postgresql import Cluster
from tests.unit.audit.logs import Log, PostgreSQLLog, SQLiteLog, counters, forget, random_row, recount
from tests.unit.platform.scripted_source import StandingClock

HISTORIES = in_full(200, 10)
STEPS = 15
PLATFORM = "c1b2"


class Killed(BaseException):
    """The process ends here, as by `kill -9`."""


class Disk:
    """The calls that write the state, one of which may be the last of the process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        for name in ("write", "ftruncate", "fsync", "replace", "unlink"):
            monkeypatch.setattr(os, name, self._dying(getattr(os, name)))

    def _dying(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **options: Any) -> Any:
            if self.left is not None:
                if self.left == 0:
                    if call.__name__ == "write":
                        call(arguments[0], arguments[1][: len(arguments[1]) // 2])  # torn
                    raise Killed
                self.left -= 1
            return call(*arguments, **options)

        return made


class Disturbed:
    """A source before each of whose statements something else may happen."""

    def __init__(self, source: Queryable) -> None:
        self._source = source
        self.disturb: Callable[[], None] | None = None

    @property
    def dialect(self) -> Dialect:
        return self._source.dialect

    def select(self, sql: str) -> list[Row]:
        if self.disturb is not None:
            self.disturb()
        return self._source.select(sql)


class History:
    """One log and one bridge that counts it."""

    def __init__(self, log: Log, directory: Path, random: Random, disk: Disk, source: Queryable) -> None:
        self.log, self.directory, self.random, self.disk = log, directory, random, disk
        self.source = Disturbed(source)
        self.clock = StandingClock()
        self.open: list[Any] = []
        self.has_holes = False
        self.bridge = self._bridge()

    def _bridge(self) -> AuditCounters:
        return counters(self.source, self.clock, AuditState(self.directory, self.clock))

    def step(self, *, wild: bool) -> None:
        """A wild one may be followed by a count anew, which would mend what was counted wrongly before."""
        calm = (self.write, self.write, self.write, self.finish, self.finish, self.look, self.look, self.kill)
        wilder = (self.restart, self.delete, self.back_up, self.restore)
        self.random.choice((*calm, *wilder) if wild else calm)()

    def write(self) -> None:
        transaction = self.random.choice(self.open) if self.open and self.random.random() < 0.5 else self.log.begin()
        if transaction is None:
            return
        if transaction not in self.open:
            self.open.append(transaction)
        for _ in range(self.random.randrange(4)):
            self.log.insert(transaction, random_row(self.random))

    def finish(self) -> None:
        if self.open:
            transaction = self.open.pop(self.random.randrange(len(self.open)))
            self.log.end(transaction, commit=self.random.random() < 0.8)

    def look(self) -> None:
        self.clock.seconds += self.random.choice((1, 40))
        self.source.disturb = self._something if self.random.random() < 0.5 else None
        try:
            found = self.bridge.look(PLATFORM)
            assert found.failure is None
            self.bridge.catch_up()
        finally:
            self.source.disturb = None

    def _something(self) -> None:
        """What other programs do meanwhile."""
        self.random.choice((self.write, self.finish, lambda: None))()

    def kill(self) -> None:
        """Within the first writes of the state, or after none."""
        self.disk.left = self.random.randrange(8)
        with contextlib.suppress(Killed):
            self.look()
            self.bridge.keep()
        self.disk.left = None
        self.bridge = self._bridge()

    def restart(self) -> None:
        self.bridge.keep()
        if self.random.random() < 0.2:
            forget(self.directory)
        self.bridge = self._bridge()

    def delete(self) -> None:
        """The oldest entries, the newest, or some in between."""
        self.settle()
        few = self.random.randrange(1, 4)
        every = 'SELECT "id" FROM "AuditLogs" ORDER BY'
        chosen = self.random.choice((f'{every} "id" LIMIT {few}', f'{every} "id" DESC LIMIT {few}'))
        if self.random.random() < 0.2:
            self.has_holes = True
            chosen = f'{every} "id" LIMIT {few} OFFSET {self.random.randrange(1, 9)}'
        self.log.execute(f'DELETE FROM "AuditLogs" WHERE "id" IN ({chosen})')

    def back_up(self) -> None:
        self.settle()
        self.log.backup()

    def restore(self) -> None:
        self.settle()
        self.log.restore()

    def settle(self) -> None:
        """No transaction is open."""
        while self.open:
            self.finish()

    def check(self) -> None:
        """Once no transaction is open, what is counted is what is there. Where entries were deleted from the middle of
        the log, a week later."""
        self.settle()
        if self.has_holes:
            self.bridge.look(PLATFORM)
            self.clock.seconds += CHECK_AFTER.total_seconds() + 1
            self.bridge.catch_up()
            self.has_holes = False
        for _ in range(2):
            found = self.bridge.look(PLATFORM)
            self.bridge.catch_up()
        rows = self.log.rows()
        assert found.readings == recount(rows)
        assert found.share == 1
        assert (found.since is None) == (rows == [])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@contextlib.contextmanager
def opened(kind: str, seed: int, directory: Path, request: pytest.FixtureRequest) -> Iterator[Log]:
    if kind == "sqlite":
        yield SQLiteLog(directory / "forge.db", "wal" if seed % 2 else "delete")
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    with contextlib.closing(PostgreSQLLog(cluster, "audited")) as log:
        yield log


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("seed", range(HISTORIES))
def test_after_any_history_the_counters_are_a_full_recount(
    kind: str, seed: int, tmp_path: Path, request: pytest.FixtureRequest, disk: Disk
) -> None:
    random = Random(seed)
    with opened(kind, seed, tmp_path, request) as log, log.source() as source:
        history = History(log, tmp_path / "state", random, disk, source)
        for _ in range(3):
            wild = random.random() < 0.5
            for _ in range(STEPS):
                history.step(wild=wild)
            history.check()
