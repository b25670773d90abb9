"""Keeps the memory of the status current, whether or not anyone asks: a component of the service."""

from typing import Final

from ff_observe.lifecycle.periodic import ErrorSink, Periodic, Schedule
from ff_observe.platform.snapshot import Snapshot
from ff_observe.problems import Finding
from ff_observe.system.clock import Clock
from ff_observe.web.shared_snapshot import SnapshotProvider
from ff_observe.web.status.describe import StatusSource

LOOK_SECONDS: Final = 300.0
"""How often the platform is read where no output asks for it: often enough for a curve of a day and its changes."""


class Watch:
    """`observe` is called with every snapshot that is taken, in the thread that took it."""

    name = "status"

    def __init__(
        self,
        source: StatusSource,
        snapshots: SnapshotProvider,
        clock: Clock,
        on_error: ErrorSink | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self._source = source
        self._snapshots = snapshots
        self._observed: Snapshot | None = None
        self.examined: tuple[Finding, ...] = ()
        """What the examinations had found at the last look."""
        self._thread = Periodic(
            self.name, self.look, clock, first_after=LOOK_SECONDS, on_error=on_error, schedule=schedule
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Raises `TimeoutError` if the thread does not end by `deadline`."""
        self._thread.stop(deadline)

    def look(self) -> float:
        """Have a snapshot taken, unless another output just did, and the platform examined. Returns the seconds until
        the next look."""
        if self._snapshots.fresh() is None:
            self._snapshots.request()  # `observe` receives it: a database that hangs must not hold up the stop
        self.examined = tuple(self._source.examined())
        self.look_again()
        return LOOK_SECONDS

    def begin(self) -> None:
        """From now on the memory is of this platform."""
        self._source.memory.begin(self._source.settings.database)

    def observe(self, snapshot: Snapshot) -> None:
        """Remember what a snapshot says, and what changed with it."""
        memory = self._source.memory
        memory.begin(self._source.settings.database, snapshot.platform_id)
        memory.read_ledger(self._source.settings.ping.ledger)
        memory.keep(snapshot)
        self._observed = snapshot
        memory.note(self._source.condition(snapshot, self.examined))

    def look_again(self) -> None:
        """Note what changed besides the platform."""
        if self._observed is not None:
            self._source.memory.note(self._source.condition(self._observed, self.examined))
