"""What `/api/status` answers, declared once: the JSON, its published schema and the page are made of these types."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from ff_observe.egress.contact import Party
from ff_observe.platform.limits import Level
from ff_observe.problems import Severity


class OutputState(StrEnum):
    """An output's switch, and whether its last delivery arrived."""

    ON = "on"
    FAILS = "fails"
    OFF = "off"


class ChangeKind(StrEnum):
    """Whether a change is for the worse, for the better, or neither."""

    BAD = "bad"
    GOOD = "good"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that needs attention."""

    id: Annotated[str, "Stable name of the finding, in kebab-case."]
    severity: Annotated[Severity, "How bad it is."]
    title: Annotated[str, "What is wrong, as a clause."]
    detail: Annotated[str, "The reason. Backquotes mark code."]
    fix: Annotated[str, "What to do. Backquotes mark code."]


@dataclass(frozen=True, slots=True)
class Platform:
    """The FlowFuse platform itself."""

    flowfuse_version: Annotated[str | None, "Version of FlowFuse; null where unknown."]
    nodejs_version: Annotated[str | None, "Version of Node.js that runs it; null where unknown."]
    driver: Annotated[str, "What runs the instances, as configured."]
    initialised: Annotated[bool | None, "Whether the platform's set-up has been completed; null where unknown."]
    database_up: Annotated[bool, "Whether the platform's database answered."]
    database_day: Annotated[Sequence[float | None], "1 or 0 at each step of `history`; null where it was not asked."]
    http_up: Annotated[bool | None, "Whether FlowFuse answered over HTTP; null where it is not asked."]
    http_day: Annotated[Sequence[float | None], "1 or 0 at each step of `history`; null where it was not asked."]


@dataclass(frozen=True, slots=True)
class History:
    """The time that the values named `day` cover: the last day, or since the bridge started."""

    start: Annotated[datetime | None, "When the first step begins; null before the first reading."]
    step_seconds: Annotated[float, "Length of a step."]


@dataclass(frozen=True, slots=True)
class Part:
    """The share of one label value in a figure."""

    label: Annotated[str, "The label value, such as `running`."]
    value: Annotated[float, "How many."]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A count broken down by a label."""

    name: Annotated[str, "Name of the metric."]
    title: Annotated[str, "Title of the metric."]
    parts: Annotated[Sequence[Part], "Its label values, in the order of the metric."]


@dataclass(frozen=True, slots=True)
class Figure:
    """One count of the platform."""

    name: Annotated[str, "Name of the metric."]
    title: Annotated[str, "Title of the metric."]
    value: Annotated[float | None, "The count; null while it cannot be read."]
    day: Annotated[Sequence[float | None], "The count at each step of `history`; null where it was not read."]
    breakdowns: Annotated[Sequence[Breakdown], "The same rows broken down by a label."]


@dataclass(frozen=True, slots=True)
class Limit:
    """What the licence, or FlowFuse without one, allows of one resource."""

    resource: Annotated[str, "Name of the resource."]
    title: Annotated[str, "Title of the resource."]
    used: Annotated[float | None, "How many are in use; null while that cannot be read."]
    allowed: Annotated[float, "How many are allowed."]
    level: Annotated[Level | None, "How close usage is to the limit; null where usage is unknown."]
    reached_at: Annotated[
        datetime | None, "When usage reaches the limit at its pace of the last day; null without one."
    ]
    outlook: Annotated[str, "What FlowFuse does at this limit, and when it is reached."]


@dataclass(frozen=True, slots=True)
class Licence:
    """The licence that is loaded, and its head-room."""

    active: Annotated[bool | None, "Whether a licence is loaded; null where unknown."]
    type: Annotated[str | None, "Type of the licence, such as `EE`."]
    tier: Annotated[str | None, "Tier of the licence, such as `enterprise`."]
    expires_at: Annotated[datetime | None, "When the licence expires."]
    level: Annotated[Level | None, "How close its expiry is; null without one."]
    summary: Annotated[str, "The licence in a few words."]
    outlook: Annotated[str, "What happens at its expiry, and when, or without a licence; empty where nothing is known."]
    limits: Annotated[Sequence[Limit], "Its limits."]


@dataclass(frozen=True, slots=True)
class SentPing:
    """A ping that was sent or tried."""

    at: Annotated[datetime, "When its outcome was known."]
    outcome: Annotated[str, "`delivered`, `rejected` or `failed`."]
    receiver: Annotated[str, "Host and port of the receiver."]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of the ping whose value is not that of the last delivered one."""

    field: Annotated[str, "Dotted path of the field."]
    before: Annotated[str | int | bool | None, "Its value in the last delivered ping; null where it was absent."]
    now: Annotated[str | int | bool | None, "Its value now; null where it is absent."]


@dataclass(frozen=True, slots=True)
class Ping:
    """The core ping."""

    sent: Annotated[bool, "Whether this bridge sends the ping."]
    rule: Annotated[str, "Name of the rule that decided, as in `ff-observe ping why`."]
    explanation: Annotated[str, "What decided, and what would change it."]
    last: Annotated[SentPing | None, "The last attempt; null where none is known."]
    next_at: Annotated[datetime | None, "When the next is due; null where none is."]
    body: Annotated[str | None, "The body that would be sent now; null where there is none."]
    hidden: Annotated[
        Sequence[str], "Fields whose values are replaced in `body` and `changes`, as anyone may read this."
    ]
    changes: Annotated[
        Sequence[FieldChange] | None,
        "What changed since the last delivered ping; null where that one is not known.",
    ]


@dataclass(frozen=True, slots=True)
class Output:
    """One way by which data leaves, or a part of it."""

    name: Annotated[str, "Name of the output."]
    title: Annotated[str, "Title of the output."]
    state: Annotated[OutputState, "Whether it is on, and delivers."]
    reason: Annotated[str, "Which setting decided."]
    last: Annotated[str, "What it last did, in words; empty while it is off."]
    last_at: Annotated[datetime | None, "When it last did something; null where that is not known."]


@dataclass(frozen=True, slots=True)
class Contact:
    """A host that would be contacted, now that the platform is as this document says."""

    place: Annotated[str | None, "Host and port; null where anyone may read this."]
    by: Annotated[Party, "Who contacts it."]
    why: Annotated[str, "What for."]
    data: Annotated[str, "Which data leaves."]
    key: Annotated[str, "The key or variable that turned it on; empty where none did."]
    since: Annotated[str, "First release that has it: of FlowFuse where `source` is a file of it, else of ff-observe."]
    stop: Annotated[str, "What stops it. Backquotes mark code."]
    condition: Annotated[str, "What has to be so besides the configuration; empty where nothing has to."]
    receiver: Annotated[str | None, "The host behind `place`, if that is a proxy; null otherwise, and as `place`."]
    source: Annotated[str, "The file of FlowFuse that makes the call; empty for ff-observe's own."]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state."""

    at: Annotated[datetime, "When it was noticed."]
    kind: Annotated[ChangeKind, "Whether it is for the worse or the better."]
    text: Annotated[str, "What changed."]


@dataclass(frozen=True, slots=True)
class StatusDocument:
    """The status of one platform and of the bridge that reads it, at one moment."""

    version: Annotated[str, "Version of ff-observe."]
    name: Annotated[str | None, "Name of the platform where one bridge reads several; else null."]
    taken_at: Annotated[datetime, "The moment that all of this describes."]
    read_seconds: Annotated[float | None, "How long reading the database took; null where it did not answer."]
    state: Annotated[Severity, "The worst severity of `findings`; `ok` without any."]
    summary: Annotated[str, "The state in a few words."]
    findings: Annotated[Sequence[Finding], "What needs attention, the worst first."]
    platform: Annotated[Platform, "The FlowFuse platform itself."]
    history: Annotated[History, "The time that the values named `day` cover."]
    figures: Annotated[Sequence[Figure], "The platform's counts."]
    licence: Annotated[Licence, "The licence, and its head-room."]
    ping: Annotated[Ping, "The core ping."]
    outputs: Annotated[Sequence[Output], "Every other way by which data leaves."]
    egress: Annotated[Sequence[Contact], "Every host that would be contacted, by ff-observe, FlowFuse and browsers."]
    changes: Annotated[Sequence[Change], "Changes of state in the last day, the latest first."]


def as_json(value: object) -> Any:
    """The document, or a part of it, in JSON's types. Moments are RFC 3339 in UTC."""
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, (tuple, list)):
        return [as_json(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
