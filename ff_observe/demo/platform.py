"""A simulated FlowFuse home: configuration and database of a plausible company, in fast motion. It writes only below
its own directory and makes no connections.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from random import Random

from ff_observe.demo.company import COMPANY, FLOWFUSE_VERSION, NODEJS_VERSION, Company, found, insert
from ff_observe.demo.life import Life, Stretch
from ff_observe.demo.operations import Operations
from ff_observe.errors import UsageError
from ff_observe.lifecycle.periodic import Periodic
from ff_observe.platform.sources.schema import TABLES
from ff_observe.system.clock import Clock

_FILE = """\
# The demo platform of ff-observe: a made-up company. Nothing listens at these addresses but the demo itself.
port: 3000
base_url: http://127.0.0.1:3000
db:
  type: sqlite
  storage: forge.db
driver:
  type: localfs
broker:
  url: mqtt://127.0.0.1:1883
fileStore:
  enabled: true
email:
  enabled: false
telemetry:
  url: {ping_url}
  platform:
    nodejs_version: {nodejs_version}
  backend:
    prometheus:
      enabled: true
      probe_url: false       # there is no FlowFuse behind this database
      host: 127.0.0.1
      port: {port}
"""

_MONTHS = 7


class DemoPlatform:
    """Stands in `home`, where `create` makes it and, from `start` on, a thread advances it by `minutes_per_tick`
    minutes each tick. The same seed, clock and steps give the same platform.
    """

    name = "demo platform"

    def __init__(
        self,
        home: Path,
        clock: Clock,
        random: Random,
        *,
        ping_url: str,
        metrics_port: int,
        company: Company = COMPANY,
        tick_seconds: float = 1.0,
        minutes_per_tick: float = 10.0,
    ) -> None:
        self.home = home
        self._clock = clock
        self._random = random
        self._ping_url = ping_url
        self._metrics_port = metrics_port
        self._company = company
        self._tick_seconds = tick_seconds
        self._minutes_per_tick = minutes_per_tick
        self._life = Life(company, random)
        self._ahead = timedelta()
        self._thread = Periodic(self.name, self._tick, clock, first_after=tick_seconds)

    @property
    def file(self) -> Path:
        """Its `flowforge.yml`."""
        return self.home / "etc" / "flowforge.yml"

    @property
    def database(self) -> Path:
        """Its SQLite file."""
        return self.home / "var" / "forge.db"

    def create(self, at: datetime | None = None) -> None:
        """Create the home as of `at` (default: now). Raises `UsageError` if a platform is there already."""
        for path in (self.file, self.database):
            if path.exists():
                raise UsageError(f"{path} exists; give the demo an empty directory")
            path.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(
            _FILE.format(ping_url=json.dumps(self._ping_url), port=self._metrics_port, nodejs_version=NODEJS_VERSION)
        )
        package = self.home / "node_modules" / "@flowfuse" / "flowfuse" / "package.json"
        package.parent.mkdir(parents=True)
        package.write_text(json.dumps({"name": "@flowfuse/flowfuse", "version": FLOWFUSE_VERSION}) + "\n")
        with self._transaction() as database:
            first_day = at or self._clock.now()
            _make_tables(database, first_day)
            found(database, self._company, first_day, self._random)
            Operations(self._random).found(database, first_day)
            self._life.look_back(database, first_day)

    def step(self, minutes: float) -> None:
        """Simulate `minutes` now; past moments move back by as much."""
        self._pass(timedelta(minutes=minutes), real=timedelta())

    def history(self, start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
        """Create the platform as of `start`, if it does not exist yet, and advance it to `end`. Yields every moment in
        between, with the database as of then."""
        if not self.database.exists():
            self.create(start)
        moment = start
        yield moment
        while (moment := moment + step) <= end:
            with self._transaction() as database:
                self._life.pass_time(database, Stretch(moment, step / timedelta(hours=1), moment))
            yield moment

    def start(self) -> None:
        """Create the platform if it does not exist yet, and start to advance it."""
        if not self.database.exists():
            self.create()
        self._thread.start()

    def stop(self, deadline: float) -> None:
        self._thread.stop(deadline)

    def _tick(self) -> float:
        self._pass(timedelta(minutes=self._minutes_per_tick), real=timedelta(seconds=self._tick_seconds))
        return self._tick_seconds

    def _pass(self, lived: timedelta, real: timedelta) -> None:
        """Advance the platform by `lived`; the clock itself advanced by `real` of it."""
        now = self._clock.now()
        self._ahead += lived - real
        with self._transaction() as database:
            self._life.recede(database, lived - real)
            self._life.pass_time(database, Stretch(now, lived / timedelta(hours=1), now + self._ahead))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One short write: readers never wait long, and never see half a step."""
        with contextlib.closing(sqlite3.connect(self.database, isolation_level=None, timeout=10)) as database:
            database.execute("PRAGMA synchronous = OFF")  # nothing is lost with a demo
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("BEGIN IMMEDIATE")
            with database:
                yield database


def _make_tables(database: sqlite3.Connection, at: datetime) -> None:
    """The tables of `schema.sql`, and everything else that the bridge reads: added tables have a row from each of the
    last months, added columns are NULL."""
    for statement in resources.files("ff_observe.demo").joinpath("schema.sql").read_text().split(";"):
        database.execute(statement)
    drawn = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in TABLES.values():
        if table.name not in drawn:
            database.execute(
                f'CREATE TABLE "{table.name}" ("{table.key}" INTEGER PRIMARY KEY, "createdAt" DATETIME,'
                ' "updatedAt" DATETIME)'
            )
        there = {row[1] for row in database.execute(f'PRAGMA table_info("{table.name}")')}
        for column in set(table.columns.values()) - there:
            database.execute(f'ALTER TABLE "{table.name}" ADD COLUMN "{column}"')
        if table.name not in drawn:
            for months in range(_MONTHS, 0, -1):
                insert(database, table.name, at - timedelta(days=30 * months))
