"""What an output is: data from which `check`, the status page, metrics, dashboards and PRIVACY.md are derived."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ff_observe.config.secret import Secret
from ff_observe.config.settings import Database, Settings
from ff_observe.lifecycle.periodic import ErrorSink, Schedule
from ff_observe.lifecycle.service import Component
from ff_observe.outputs.ping.outcome import PingSink
from ff_observe.outputs.ping.schedule import FIRST_PING_SECONDS
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.locks import Locks
from ff_observe.platform.sources.model import OperatingSystem
from ff_observe.system.clock import Clock
from ff_observe.telemetry.redaction import Redactor
from ff_observe.telemetry.self_metrics import SelfMetrics


@dataclass(frozen=True, slots=True)
class Status:
    """Whether an output is on, and the rule that decides, in one line without secrets.

    `on` is None where the platform's database decides and was not asked.
    """

    on: bool | None
    reason: str


class CurrentSnapshot(Protocol):
    """The part of `Snapshots` that producers use."""

    def current(self) -> Snapshot:
        """A fresh snapshot; not `up` if the database does not answer."""


@dataclass(frozen=True, slots=True)
class Context:
    """The arguments from which an output's components are built.

    `locks_in` is how bridges coordinate in a platform's database: the platform's instance id → a session of locks. None
    if a database has no locks. `schedule` runs the tasks of several platforms; without it each has its own thread.
    """

    settings: Settings
    snapshots: Snapshots
    flowfuse_version: Callable[[], str | None]
    operating_system: OperatingSystem
    self_metrics: SelfMetrics
    clock: Clock
    on_error: ErrorSink
    redactor: Redactor
    chance: random.Random | None = None
    first_ping_seconds: float = FIRST_PING_SECONDS
    locks_in: Callable[[Database], Callable[[str], Locks] | None] = lambda _database: None
    schedule: Schedule | None = None
    on_ping: PingSink = lambda _delivered: None


@dataclass(frozen=True, slots=True)
class Components:
    """The components of one output. `sinks` start before everything that reports to them, `producers` after the
    snapshots that they read. `on_error` receives the errors of all threads of the bridge, `on_ping` the end of each
    day's ping."""

    sinks: Sequence[Component] = ()
    producers: Sequence[Component] = ()
    on_error: ErrorSink | None = None
    on_ping: PingSink | None = None


class LastingComponent(Component, Protocol):
    """A component that outlives a reload of the settings."""

    def reconfigure(self, settings: Settings, snapshots: Snapshots) -> None:
        """Switch to other settings and another platform."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL that this process contacts. gRPC has rules of its own for ports and proxies. `extra` is data that these
    settings send there besides the output's content."""

    url: Secret
    over_grpc: bool = False
    extra: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """One way in which data leaves.

    `name` is for programs (a label of metrics), `title` for people. `content` is the data that leaves, `receiver` who
    gets it. `key` is the key of flowforge.yml that switches it, `example` a value that switches it on, `stop` how to
    keep it off, `fix` what to check if nothing arrives. `build` makes its components; it is absent if the web server
    or the page serves the output. `build_lasting` makes a component that exists under any settings, and decides each
    time. `document` is the name of the document about it, in `docs/`. `destinations` are what this process contacts for
    the output, `origins` what a visitor's browser contacts.
    """

    name: str
    title: str
    content: str
    receiver: str
    key: str
    example: str
    stop: str
    fix: str
    status: Callable[[Settings, Snapshot | None], Status]
    document: str = ""
    build: Callable[[Context], Components] | None = None
    build_lasting: Callable[[Context], LastingComponent] | None = None
    destinations: Callable[[Settings], Sequence[Destination]] = lambda _settings: ()
    origins: Callable[[Settings], Sequence[str]] = lambda _settings: ()
