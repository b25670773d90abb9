"""Bridges of one platform through random faults: at most one ping on each day, and one wherever one could be sent.

Each history is thirty days of five bridges that share a database, or a disk: some die (in the midst of a ping, too),
lose the network without a word, restart, or have their clock set by a day; the database restarts; the receiver fails.
The bridges are the real component, driven look by look; the locks are a model of PostgreSQL's that
`tests/unit/platform/test_postgresql_locks.py` holds against the real ones.
"""

import contextlib
import math
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ff_observe.config.settings import Settings
from ff_observe.outputs.ping.component import CorePing
from ff_observe.outputs.ping.election import FileElection, LockElection
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.schedule import DailySchedule
from tests.fakes import FakeClock
from tests.pace import in_full
from tests.unit.outputs.examples import context
from tests.unit.ping.bridge import Platform
from tests.unit.ping.lock_server import FakeLocks, LockServer
from tests.unit.ping.samples import settings, snapshot

KINDS = ("no disk", "own disks", "one disk, SQLite")
DAYS = 30
HISTORIES = in_full(200, 3)
DAY = 86_400.0
START = datetime(2026, 11, 1, 0, 0, tzinfo=UTC)


class Killed(BaseException):
    """The process ends here."""


class HostClock:
    """The clock of one host: the true time, set wrong by `skew` seconds."""

    def __init__(self, true: FakeClock, name: str) -> None:
        self._true = true
        self.boot = name
        self.skew = 0.0

    def now(self) -> datetime:
        return self._true.now() + timedelta(seconds=self.skew)

    def monotonic(self) -> float:
        return self._true.monotonic()

    def since_boot(self) -> float:
        return self._true.since_boot()

    def wait(self, stopped: threading.Event, seconds: float) -> bool:
        raise AssertionError("nothing waits here")


@dataclass
class Receiver:
    """Where pings arrive; `dies` kills the sender before or after the arrival of the next."""

    clock: FakeClock
    arrived: list[datetime] = field(default_factory=list)
    failing_until: float = -math.inf
    dies: str = ""
    lost: set[date] = field(default_factory=set)
    """Days on which a bridge died between the announcement of its ping and its arrival, or before the others could
    learn, within a second or two, that it did not arrive."""


@dataclass
class Sending:
    """See `Sender`. `kill` ends the process that sends."""

    receiver: Receiver
    attempted: Callable[[], None]
    kill: Callable[[], None]
    has_survivors: Callable[[], bool]

    def send(self, _body: bytes) -> Outcome:
        self.attempted()
        receiver = self.receiver
        now = receiver.clock.now()
        if receiver.clock.monotonic() < receiver.failing_until:
            return Outcome(Result.FAILED, "503")
        dies = ""
        if self.has_survivors():  # what is lost when all die is another test
            dies, receiver.dies = receiver.dies, ""
        if dies == "before":
            receiver.lost.add(now.date())
        else:
            receiver.arrived.append(now)
        if dies:
            self.kill()
            raise Killed
        return Outcome(Result.DELIVERED, "200")

    def abort(self) -> None:
        pass


class Replica:
    """One bridge on one host; between two lives of its process only the host's clock and disk remain."""

    def __init__(self, world: "World", clock: HostClock, disk: Path | None) -> None:
        self._world = world
        self.clock = clock
        self._settings: Settings = settings("http://127.0.0.1:1/ping")
        self._disk = disk
        self._locks: FakeLocks | None = None
        self.ping: CorePing | None = None
        self.next_look = math.inf
        self.attempted_at = -math.inf

    def start(self) -> None:
        told = replace(self._settings, ping=replace(self._settings.ping, state_directory=self._disk))
        world = self._world

        def connect() -> FakeLocks:
            self._locks = world.server.open()
            return self._locks

        self.ping = CorePing(
            context(told, world.platform, self.clock, chance=world.chance),
            sender_for=lambda *_: Sending(world.receiver, self.attempted, self.kill, lambda: len(world._alive()) > 1),
            elect=lambda _settings, memory, *_: (
                FileElection(memory) if world.on_sqlite else LockElection(connect, self.clock)
            ),
        )
        self.next_look = world.clock.monotonic()

    def look(self) -> None:
        assert self.ping is not None
        with contextlib.suppress(Killed):
            self.next_look = self._world.clock.monotonic() + self.ping.look()

    def attempted(self) -> None:
        self.attempted_at = self._world.clock.monotonic()

    def kill(self) -> None:
        """The operating system closes what the process had open; nothing of it writes any more."""
        if self.ping is not None and (part := self.ping._participation) is not None:
            election = part._election
            if isinstance(election, LockElection) and (
                election._begun is not None or self._world.others_believe_in(election._void, self)
            ):
                self._world.receiver.lost.add(self._world.clock.now().date())
            election.close()
            part._memory._path = None
        self.ping, self.next_look = None, math.inf

    def cut(self) -> None:
        if self._locks is not None and not self._world.on_sqlite:
            self._locks.cut()


class World:
    """A platform, its database, its bridges and the true time."""

    def __init__(self, seed: int, directory: Path, *, on_sqlite: bool, on_disk: bool) -> None:
        self.chance = random.Random(seed)
        self.on_sqlite = on_sqlite
        self.clock = FakeClock(START)
        self.server = LockServer(self.clock)
        self.platform = Platform(snapshot())
        self.receiver = Receiver(self.clock)
        instance_id = snapshot().installation.instance_id
        assert instance_id is not None
        self.due_at = DailySchedule.of_platform(instance_id).time_of_day.total_seconds()
        hosts = [HostClock(self.clock, f"host {number}") for number in range(5)]
        if on_sqlite:  # all on one machine
            hosts = hosts[:1] * 5
        self.replicas = [
            Replica(self, host, directory / ("disk" if on_sqlite else f"{number}") if on_disk else None)
            for number, host in enumerate(hosts)
        ]
        self.windows = sorted(day * DAY + self.due_at - 40 for day in range(DAYS))

    def others_believe_in(self, taken_back: frozenset[int], replica: Replica) -> bool:
        """Whether another bridge still counts one of these pings, of which it could not learn better yet."""
        return any(
            taken_back & other.ping._participation._election._pings.keys()
            for other in self.replicas
            if other is not replica
            and other.ping is not None
            and other.ping._participation is not None
            and isinstance(other.ping._participation._election, LockElection)
            and self.clock.monotonic() < replica.attempted_at + 2
        )

    def run(self, faults: list[tuple[float, Callable[[], None]]]) -> None:
        """Let thirty days pass. Where nothing happens, all is as it was: only around faults and due pings bridges are
        looked at."""
        began = self.clock.monotonic()
        active = sorted(
            [(0.0, 100.0)] + [(at, at + 160) for at in self.windows] + [(at - 1, at + 130) for at, _ in faults]
        )
        faults = sorted(faults, key=lambda fault: fault[0])
        for opens, closes in active:
            self._pass_until(began + opens)
            for replica in self.replicas:
                if replica.ping is not None:
                    replica.next_look = min(replica.next_look, self.clock.monotonic() + self.chance.uniform(0, 10))
            while True:
                at = min(replica.next_look for replica in self.replicas)
                fault_at = began + faults[0][0] if faults else math.inf
                if min(at, fault_at) > began + closes:
                    break
                self._pass_until(min(at, fault_at))
                if fault_at <= at:
                    faults.pop(0)[1]()
                else:
                    min(self.replicas, key=lambda replica: replica.next_look).look()
        for replica in self.replicas:
            replica.kill()

    def _pass_until(self, monotonic: float) -> None:
        self.clock.advance(max(0.0, monotonic - self.clock.monotonic()))

    def random_faults(self) -> list[tuple[float, Callable[[], None]]]:
        chance = self.chance
        faults: list[tuple[float, Callable[[], None]]] = []
        for _ in range(60):
            day = chance.randrange(DAYS)
            at = day * DAY + (
                chance.uniform(0, DAY) if chance.random() < 0.4 else self.due_at + chance.uniform(-60, 60)
            )
            faults.append((max(200.0, at), chance.choice(self._kinds())))
        faults += [(day * DAY + self.due_at + 140, self._everybody_lives) for day in range(DAYS)]
        return faults

    def _kinds(self) -> list[Callable[[], None]]:
        return [
            self._kill,
            self._kill,
            self._restart,
            self._cut,
            self._database_restarts,
            self._jump,
            self._fail,
            self._die,
        ]

    def _alive(self) -> list[Replica]:
        return [replica for replica in self.replicas if replica.ping is not None]

    def _kill(self) -> None:
        if len(alive := self._alive()) > 1:  # one survives: what is lost when all die is another test
            self.chance.choice(alive).kill()

    def _restart(self) -> None:
        replica = self.chance.choice(self.replicas)
        if replica.ping is None or len(self._alive()) > 1:
            replica.kill()
            replica.start()

    def _cut(self) -> None:
        self.chance.choice(self.replicas).cut()

    def _database_restarts(self) -> None:
        self.server.restart()

    def _jump(self) -> None:
        self.chance.choice(self.replicas).clock.skew += self.chance.choice([-DAY, DAY])

    def _fail(self) -> None:
        self.receiver.failing_until = self.clock.monotonic() + self.chance.uniform(1, 60)

    def _die(self) -> None:
        self.receiver.dies = self.chance.choice(["before", "after"])

    def _everybody_lives(self) -> None:
        for replica in self.replicas:
            if replica.ping is None and self.chance.random() < 0.7:
                replica.start()


@pytest.mark.parametrize(("on_sqlite", "on_disk"), [(False, False), (False, True), (True, True)], ids=KINDS)
def test_thirty_days(
    on_sqlite: bool, on_disk: bool, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints a line of the table."""
    totals: Counter[str] = Counter(pings=0, doubles=0, misses=0)
    for seed in range(HISTORIES):
        world = World(seed, tmp_path / str(seed), on_sqlite=on_sqlite, on_disk=on_disk)
        for replica in world.replicas[: world.chance.randint(2, 5)]:
            replica.start()
        world.run(world.random_faults())
        by_day = Counter(moment.date() for moment in world.receiver.arrived)
        days = [(START + timedelta(days=day)).date() for day in range(DAYS)]
        totals["pings"] += len(world.receiver.arrived)
        totals["doubles"] += sum(count - 1 for count in by_day.values() if count > 1)
        totals["misses"] += sum(1 for day in days if day not in by_day and day not in world.receiver.lost)
        totals["died while sending"] += len(world.receiver.lost - by_day.keys())
    with capsys.disabled():
        print(f"\n{request.node.callspec.id}: {HISTORIES} histories of {DAYS} days: {dict(totals)}")
    assert (totals["doubles"], totals["misses"]) == (0, 0)
    assert totals["pings"] + totals["died while sending"] == HISTORIES * DAYS
