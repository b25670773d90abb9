"""A database of FlowFuse's in memory that is counted, and does what a test says when it is asked."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.questions import AgeBucket, IsTrue, MostFrequent, Question, Rows, RowsBy, RowsByAge, RowsWhere
from ff_observe.platform.sources import schema
from ff_observe.platform.sources.counting import Counting
from ff_observe.platform.sources.model import Answer
from ff_observe.platform.sources.sql import Columns, Row, StatementError, moments
from ff_observe.platform.sources.sqlite import DIALECT
from tests.reduced.schema import Row as Written
from tests.reduced.schema import script

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STAMPED = replace(DIALECT, data_stamp="(SELECT n FROM stamp)")
MODES = RowsBy("devices", "mode", ("autonomous", "developer"))
QUESTIONS: Mapping[str, Question] = {
    "users": Rows("users"),
    "admins": RowsWhere("users", IsTrue("admin")),
    "devices": Rows("devices"),
    "modes": MODES,
    "ages": RowsByAge("devices", "last_seen", (AgeBucket("minute", 60),)),
    "invitations": Rows("invitations"),
}
DEAR: Mapping[str, Question] = {"states": MostFrequent("devices", "state")}
TABLES = ("PlatformSettings", "Users", "Devices", "Invitations")
EVERYTHING: Columns = {
    table.name: {table.key, *table.columns.values()} for table in (*schema.TABLES.values(), schema.SETTINGS)
}
"""All columns that are read of FlowFuse's tables."""


def of_counts(sql: str) -> bool:
    return "UNION ALL" in sql


def of_what_moves(sql: str) -> bool:
    return of_counts(sql) and '"Users"' not in sql


def of_everything(sql: str) -> bool:
    return of_counts(sql) and sql.count("UNION ALL") > 2


def of_schema(sql: str) -> bool:
    return "sqlite_master" in sql


def about(table: str) -> Callable[[str], bool]:
    return lambda sql: f'FROM "{table}"' in sql


@dataclass
class Database:
    """A database in memory that does what a test says when it is asked: `meanwhile` comes before each answer."""

    connection: sqlite3.Connection
    counting: Counting
    asked: list[str] = field(default_factory=list)
    refuse: Callable[[str], bool] = lambda sql: False
    meanwhile: Callable[[str], object] = lambda sql: None
    answer: Callable[[str, list[Row]], list[Row]] = lambda sql, rows: rows
    limits: list[float | None] = field(default_factory=list)

    def query(self, sql: str, at: datetime | None = None, limit_seconds: float | None = None) -> list[Row]:
        self.asked.append(sql)
        self.limits.append(limit_seconds)
        self.meanwhile(sql)
        if self.refuse(sql):
            raise StatementError(f"damage {len(self.asked)}")
        try:
            rows = self.connection.execute(sql, moments(sql, at) if at else {}).fetchall()
        except sqlite3.OperationalError as error:
            raise StatementError(str(error)) from error
        return self.answer(sql, rows)

    def read(self, at: datetime = AT, stamp: str | None = None) -> Answer:
        self.asked.clear()
        return self.counting.read(self, at, stamp)

    def write(self, *rows: Written) -> None:
        self.connection.executescript(script(rows, AT, tables=()))
        self.connection.execute("UPDATE stamp SET n = n + 1")

    @property
    def stamp(self) -> str:
        return str(self.connection.execute("SELECT n FROM stamp").fetchone()[0])


def counting(asked: Mapping[str, Question], dear: Mapping[str, Question], directory: Path | None = None) -> Counting:
    """`dear` ones are asked once in a minute."""
    counts = [replace(COUNTS[0], name=name, of=of, every_seconds=0) for name, of in asked.items()]
    counts += [replace(COUNTS[0], name=name, of=of, every_seconds=60) for name, of in dear.items()]
    return Counting(counts, STAMPED, "database X", directory)


def device(mode: str | None, seen: datetime | None = None, state: str = "running") -> Written:
    return "Devices", {"mode": mode, "lastSeenAt": seen, "state": state}


READ: dict[str, dict[tuple[str, ...], float]] = {
    "users": {(): 3},
    "admins": {(): 1},
    "devices": {(): 2},
    "modes": {("autonomous",): 1, ("developer",): 0, ("none",): 1},
    "ages": {("minute",): 1, ("older",): 1, ("never",): 0},
    "invitations": {(): 0},
}


@contextlib.contextmanager
def opened() -> Iterator[Database]:
    """Three users, one of them an administrator, and two devices."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(script((), AT, tables=TABLES))
        connection.executescript("CREATE TABLE stamp (n INTEGER); INSERT INTO stamp VALUES (1)")
        opened = Database(connection, counting(QUESTIONS, DEAR))
        opened.write(*(("Users", {"username": str(number), "admin": number == 0}) for number in range(3)))
        opened.write(("PlatformSettings", {"key": "instanceId", "value": "abc", "valueType": 0}))
        opened.write(device("autonomous", AT), device(None, AT - 61 * SECOND))
        yield opened
