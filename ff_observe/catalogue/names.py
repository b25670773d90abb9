"""Converts a Prometheus name to an OpenTelemetry name that translates back to the same Prometheus name."""

from ff_observe.catalogue.model import Kind, Metric

_PREFIXES = ("flowfuse_", "ff_observe_", "process_")
_UNIT_SUFFIXES = {"s": "_seconds", "By": "_bytes"}


def otlp_name(metric: Metric) -> str:
    """The dotted OpenTelemetry name: the prefix becomes a namespace; `_total` and the unit suffix are dropped, since
    the translation adds them (OpenTelemetry specification, compatibility/prometheus_and_openmetrics.md)."""
    name = metric.name
    if metric.kind is Kind.COUNTER:
        name = name.removesuffix("_total")
    name = name.removesuffix(_UNIT_SUFFIXES.get(metric.unit, ""))
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return prefix[:-1] + "." + name.removeprefix(prefix)
    return name
