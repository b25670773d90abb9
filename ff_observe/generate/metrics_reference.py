"""`docs/metrics.md`: every metric with its name on each output, from the catalogue."""

from collections.abc import Iterable

from ff_observe.catalogue import BRIDGE, COUNTS, FACTS
from ff_observe.catalogue.fleet import COLLECTOR, FLEET
from ff_observe.catalogue.model import Count, Metric
from ff_observe.catalogue.names import otlp_name
from ff_observe.generate.markdown import document, table

_INTRODUCTION = """\
# Metrics

Every metric of ff-observe: of the bridge, under its name in Prometheus, over OTLP and in the core ping; and of the
collector, which exposes its own to Prometheus only.

A count that could not be read, or whose table this version of FlowFuse does not have, is absent: never 0. So is
whatever is unknown. A label value that no row has any more vanishes. Over OTLP the names are such that a translation
back to Prometheus gives the names of the first column.

Of a label whose values stand in the database (`state`, `mode`, `team_type`), the hundred most frequent values are shown
as they are; the rows of all others are summed under `other`, so that the sum stays that of all rows. A value longer
than 128 characters is cut and ends with `…`. `ff_observe_label_values_capped` counts both."""

_ENTERPRISE = """\
¹ In the ping of an unlicensed platform this is 0, as FlowFuse sends it; the metric tells the truth."""

_COLLECTOR = """\
Where these come from, and what they never show: [collector.md](collector.md)."""

_BILLING = """\
² Exists only on a licensed platform whose `flowforge.yml` has `billing`."""


def render() -> str:
    """The text of the document."""
    return document(
        "ff_observe/catalogue",
        _INTRODUCTION,
        "## The platform",
        _metrics(FACTS),
        "## What is counted on the platform",
        table(
            ("Metric", "Unit", "Meaning", "OTLP", "In the ping, below `platform.counts`"),
            ((*_cells(count), _ping(count)) for count in COUNTS),
        ),
        _ENTERPRISE,
        _BILLING,
        "## The bridge itself",
        _metrics(BRIDGE),
        "## The collector",
        _collector_metrics(COLLECTOR),
        "## The fleet, as the collector counts it",
        _COLLECTOR,
        _collector_metrics(FLEET),
    )


def _metrics(metrics: Iterable[Metric]) -> str:
    return table(
        ("Metric", "Type", "Unit", "Meaning", "OTLP"),
        ((name, metric.kind.value, *rest) for metric in metrics for name, *rest in [_cells(metric)]),
    )


def _collector_metrics(metrics: Iterable[Metric]) -> str:
    return table(
        ("Metric", "Type", "Unit", "Meaning"),
        ((name, metric.kind.value, unit, meaning) for metric in metrics for name, unit, meaning, _ in [_cells(metric)]),
    )


def _cells(metric: Metric) -> tuple[str, str, str, str]:
    """Name with labels, unit, meaning, name over OTLP."""
    labels = "{" + ", ".join(metric.labels) + "}" if metric.labels else ""
    mark = " ²" if isinstance(metric, Count) and metric.billing else ""
    values = ", ".join(f"`{value}`" for value in metric.label_values)
    meaning = f"{metric.help} Values: {values}." if values else metric.help
    unit = f"`{metric.unit}`" if metric.unit else ""
    return f"`{metric.name}{labels}`{mark}", unit, meaning, f"`{otlp_name(metric)}`"


def _ping(count: Count) -> str:
    mark = " ¹" if count.enterprise else ""
    return ", ".join(f"`{'.'.join(field.path)}`{mark}" for field in count.ping) or "not sent"
