"""What a source answers: the same for every database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from ff_observe.catalogue.model import Reading

SETTINGS_READING = "platform_settings"
"""The name in `Answer.failures` for platform settings that could not be read."""


@dataclass(frozen=True, slots=True)
class Caps:
    """How many label values of one reading were summed into `other`, and how many were cut."""

    number: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence that FlowFuse would load. `limits` holds what the licence (or, without one, FlowFuse) allows.

    `combined` licences (claim `instances`, FlowFuse 2.2 and later) count hosted instances and devices together.
    """

    id: str
    type: str  # "EE" | "DEV"
    tier: str
    expires_at: datetime | None
    limits: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    combined: bool = True


@dataclass(frozen=True, slots=True)
class Installation:
    """What is known about the platform's installation. None means unknown.

    `telemetry_allowed` is the administrators' setting. `licence_problem` is why an existing licence was not accepted;
    it never holds the licence.
    """

    instance_id: str | None = None
    initialised: bool | None = None
    telemetry_allowed: bool | None = None
    licence: Licence | None = None
    licence_problem: str | None = None
    flowfuse_version: str | None = None
    nodejs_version: str | None = None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """FlowFuse's own answer over HTTP: after how many `seconds`, or else the `problem`.

    `problem` is for people and continues "FlowFuse …": "refuses connections".
    """

    seconds: float | None
    problem: str | None = None

    @property
    def up(self) -> bool:
        """Whether FlowFuse itself answered."""
        return self.seconds is not None


@dataclass(frozen=True, slots=True)
class OperatingSystem:
    """As Node.js names it: `os.type()`, `os.release()`, `os.arch()`."""

    type: str
    release: str
    arch: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The database's answer at one moment.

    `settings` are FlowFuse's platform settings by key, decoded (a JSON value, or text); a key without a row is absent.
    `readings` and `failures` are by name of the count (or `SETTINGS_READING`); a count that this FlowFuse version has
    no table for is in neither. `caps` exists for every reading whose label values come from the database.
    `unchanged`: nothing was written to the database since the previous answer.
    """

    settings: Mapping[str, object]
    readings: Mapping[str, Reading]
    failures: Mapping[str, str]
    caps: Mapping[str, Caps] = field(default_factory=dict)  # of a type that can be sent to another process
    unchanged: bool = False


class Source(Protocol):
    """A platform's database, read-only. Safe to call from one thread at a time."""

    def read(self, at: datetime) -> Answer:
        """Answer every count and setting from one consistent read, with `at` as the present of time-dependent counts.

        Raises `SourceError` if the database does not answer; the next call tries again.
        """

    def close(self) -> None:
        """Close the connection. Legal at any time, also from another thread while `read` runs, which then fails."""
