"""The vocabulary of the catalogue: what a metric is. Nothing here knows how any output looks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from ff_observe.catalogue.ping_field import PingField
from ff_observe.catalogue.questions import Question, Rows

Reading = Mapping[tuple[str, ...], float]
"""The samples of one metric: label values (in the order of the metric's `labels`) to value; `()` without labels."""


class Kind(StrEnum):
    """The metric types in use, as OpenMetrics names them. In Prometheus' text format an info is a gauge."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"
    HISTOGRAM = "histogram"


class Sensitivity(StrEnum):
    """What the values and labels of a metric can disclose, and so who may see it."""

    meaning: str

    COUNT = "count", "how many there are of something, or how many are allowed; names nothing"
    OPERATIONAL = "operational", "how software is doing: states, moments, durations, outcomes"
    VERSION = "version", "a label names software in use: versions, drivers, kinds of stores"
    IDENTIFIER = "identifier", "a label holds an identifier, or a name that people chose"

    def __new__(cls, value: str, meaning: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


_IDENTIFIERS = "base_url device_group field instance_type license_id provider stack team_type"
_VERSIONS = "driver nodejs_version package python_version version"
_CHOSEN_BY_SOFTWARE = (
    "by cap change enabled event expiry feature kind last_seen license_type limit mode month origin outcome outdated "
    "output rank reading reason role rollout rule source state status store table tier window"
)
LABELS: Mapping[str, Sensitivity | None] = {
    **dict.fromkeys(_IDENTIFIERS.split(), Sensitivity.IDENTIFIER),
    **dict.fromkeys(_VERSIONS.split(), Sensitivity.VERSION),
    "resource": Sensitivity.COUNT,
    **dict.fromkeys(_CHOSEN_BY_SOFTWARE.split()),
}
"""What the values of each label disclose; None if nothing in themselves. A new label is added here."""

FIRST_VERSION = "0.1.0"

PLATFORM_ID = "platform_id"
"""The label that names the platform, on every sample of its bridges: bridges of one platform agree on it. Absent while
the platform is not known."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family as every output shows it.

    `name` is the Prometheus name (a counter's ends in `_total`, an info's in `_info`), `title` the name on dashboards
    and pages, `unit` the UCUM unit that OTLP carries (`{user}`, `s`), `labels` the names of its labels. `label_values`
    lists the values that exist from the start, `value_titles` the titles of values whose own spelling is not meant for
    people. `since` is the first version of ff-observe that has the metric; one that comes later names it.

    A boolean has no unit: with `1`, a translation to Prometheus would call a gauge `…_ratio` (OpenTelemetry
    specification, compatibility/prometheus_and_openmetrics.md, metric metadata).
    """

    name: str
    title: str
    help: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.GAUGE
    label_values: tuple[str, ...] = ()
    value_titles: Mapping[str, str] = field(default_factory=dict, hash=False)
    since: str = field(default=FIRST_VERSION, kw_only=True)

    @property
    def sensitivity(self) -> Sensitivity:
        """What its labels disclose, the most telling one; else whether it is a number of the platform's or the fleet's
        own things."""
        disclosed = [LABELS[label] for label in self.labels]
        for found in (Sensitivity.IDENTIFIER, Sensitivity.VERSION, Sensitivity.COUNT):
            if found in disclosed:
                return found
        counts = self.kind is Kind.GAUGE and self.unit.startswith("{") and self.name.startswith("flowfuse_")
        return Sensitivity.COUNT if counts else Sensitivity.OPERATIONAL

    @property
    def from_the_start(self) -> dict[tuple[str, ...], float]:
        """The samples of a counter that exist before it counts, so that its first increase is visible as one."""
        return {(value,): 0.0 for value in self.label_values} if self.labels else {(): 0.0}


NO_VALUE = "none"
"""Label value for rows whose column is NULL or empty: Prometheus cannot tell an empty label from a missing one."""


OTHER_VALUES = "other"
"""Label value for the rows of all values that are not counted by name."""


_NO_QUESTION = Rows("")  # the fields of `Metric` have defaults


@dataclass(frozen=True, slots=True)
class Count(Metric):
    """A metric that is counted in the platform's database.

    `enterprise` counts are sent as 0 in the ping of an unlicensed platform, as FlowFuse does; the metrics always tell
    the truth. `billing` counts exist only on a licensed platform with `billing` in its file, `licensed` ones only on a
    licensed platform.

    A count that rides in a scan made anyway is asked with every reading. One that is dear has `every_seconds`: it is
    asked again when that time is over, by a statement of its own, and shown unchanged until then.
    """

    of: Question = _NO_QUESTION
    ping: tuple[PingField, ...] = ()
    enterprise: bool = False
    billing: bool = False
    licensed: bool = False
    every_seconds: int = 0


def ping_fields(counts: tuple[Count, ...]) -> Iterator[tuple[Count, PingField]]:
    """Every ping field of `counts`, in order."""
    for count in counts:
        for ping_field in count.ping:
            yield count, ping_field


def resource_titles(counts: tuple[Count, ...]) -> Mapping[str, str]:
    """The name of each ping field as a resource of the fleet, with its title, in order."""
    return {
        resource_name(count, ping_field): ping_field.title or count.title for count, ping_field in ping_fields(counts)
    }


def resource_name(count: Count, ping_field: PingField) -> str:
    """What the fleet calls a ping field: the name of the count, and the label value where it is one of several."""
    return "_".join(filter(None, (count.name.removeprefix("flowfuse_"), ping_field.label_value)))


def in_text(title: str) -> str:
    """A title for use within a sentence or a legend: `Users` → `users`. Names in capitals stay: `MQTT brokers`,
    `FlowFuse`."""
    first = title.partition(" ")[0]
    return title if first != first.capitalize() else title[:1].lower() + title[1:]
