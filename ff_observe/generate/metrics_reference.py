"""`docs/metrics.md`: every metric with its name on each output, from the catalogue."""

from collections.abc import Iterable

from ff_observe.catalogue import AUDIT, BRIDGE, COLLECTOR, COUNTS, FACTS, FLEET, PROCESS
from ff_observe.catalogue.bridge import PLATFORMS
from ff_observe.catalogue.model import Count, Metric, Sensitivity
from ff_observe.catalogue.names import otlp_name
from ff_observe.generate.markdown import document, name_and_labels, table

_INTRODUCTION = """\
# Metrics

Every metric of ff-observe: of the bridge, under its name in Prometheus, over OTLP and in the core ping; and of the
collector, which exposes its own to Prometheus only.

A count that could not be read, or whose table this version of FlowFuse does not have, is absent: never 0. So is
whatever is unknown. A label value that no row has any more vanishes. Over OTLP the names are such that a translation
back to Prometheus gives the names of the first column.

Every sample of a bridge has the label `platform_id` besides those named here: the same for all bridges of a platform,
absent until the bridge has read the platform's id ([replicas.md](replicas.md#one-platform-in-prometheus)).

Of a label whose values stand in the database (`state`, `mode`, `team_type`), the hundred (where the metric says so, the
twenty) most frequent values are shown
as they are; the rows of all others are summed under `other`, so that the sum stays that of all rows. A value longer
than 128 characters is cut and ends with `…`. `ff_observe_label_values_capped` counts both.

A count that is expensive for the database is asked less often than the others, in the interval that is given with its
meaning, and few of those in one reading. In between its value stays, and it takes no part in the moment of the others.

`Since` is the version of ff-observe that first has the metric. `Sensitivity` is one of:"""

_ENTERPRISE = """\
¹ In the ping of an unlicensed platform this is 0, as FlowFuse sends it; the metric tells the truth."""

_AUDIT = """\
Counters over the whole of FlowFuse's audit log, which reaches back to the platform's first day; in OpenMetrics,
`_created` (`st@` in 2.0.0) is the moment of its first entry. A restart changes nothing, and the bridges of one platform
count the same. Without the bridge's state file, after a backup was restored, or after entries were deleted, the log is
counted anew: until that is done the counters are absent, and `ff_observe_audit_log_counted_ratio` shows the progress. A
number that is lower afterwards is, to Prometheus, a counter that was reset."""

_PROCESS = """\
By the names that every Prometheus client library uses, so that generic dashboards work; the collector exposes them to
Prometheus only."""
_SEVERAL = """\
On the `/metrics` of the process. What is above is among the metrics of each platform:
[many-platforms.md](many-platforms.md)."""

_COLLECTOR = """\
Where these come from, and what they never show: [collector.md](collector.md)."""

_BILLING = """\
² Exists only on a licensed platform whose `flowforge.yml` has `billing`."""


def render() -> str:
    return document(
        "ff_observe/catalogue",
        _INTRODUCTION,
        "\n".join(f"- `{sensitivity}`: {sensitivity.meaning}." for sensitivity in Sensitivity),
        "## The platform",
        _metrics(FACTS),
        "## What is counted on the platform",
        table(
            (*_HEADS, "OTLP", "In the ping, below `platform.counts`"),
            ((*_cells(count), _otlp(count), _ping(count)) for count in COUNTS),
        ),
        _ENTERPRISE,
        _BILLING,
        "## What the audit log counts",
        _AUDIT,
        _metrics(AUDIT),
        "## The bridge itself",
        _metrics(BRIDGE),
        "## The process of bridge or collector",
        _PROCESS,
        _metrics(PROCESS),
        "## A process that observes several platforms",
        _SEVERAL,
        table(_HEADS, [_cells(PLATFORMS)]),
        "## The collector",
        table(_HEADS, map(_cells, COLLECTOR)),
        "## The fleet, as the collector counts it",
        _COLLECTOR,
        table(_HEADS, map(_cells, FLEET)),
    )


def _metrics(metrics: Iterable[Metric]) -> str:
    return table((*_HEADS, "OTLP"), ((*_cells(metric), _otlp(metric)) for metric in metrics))


_HEADS = ("Metric", "Title", "Type", "Unit", "Meaning", "Sensitivity", "Since")


def _cells(metric: Metric) -> tuple[str, ...]:
    """The cells below `_HEADS`; the name is followed by the labels."""
    mark = " ²" if isinstance(metric, Count) and metric.billing else ""
    known = dict.fromkeys((*metric.label_values, *metric.value_titles))
    values = ", ".join(f"`{value}`" for value in known)
    meaning = f"{metric.help} Values: {values}." if values else metric.help
    if isinstance(metric, Count) and metric.every_seconds:
        meaning += f" Asked every {_interval(metric.every_seconds)}."
    unit = f"`{metric.unit}`" if metric.unit else ""
    return (
        name_and_labels(metric) + mark,
        metric.title,
        metric.kind.value,
        unit,
        meaning,
        metric.sensitivity.value,
        metric.since,
    )


def _interval(seconds: int) -> str:
    number, unit = (seconds // 3600, "hour") if seconds % 3600 == 0 else (seconds // 60, "minute")
    return unit if number == 1 else f"{number} {unit}s"


def _otlp(metric: Metric) -> str:
    return f"`{otlp_name(metric)}`"


def _ping(count: Count) -> str:
    mark = " ¹" if count.enterprise else ""
    return ", ".join(f"`{'.'.join(field.path)}`{mark}" for field in count.ping) or "not sent"
