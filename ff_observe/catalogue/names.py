"""Converts a Prometheus name to an OpenTelemetry name that translates back to the same Prometheus name."""

from ff_observe.catalogue.model import Kind, Metric

_PREFIXES = ("flowfuse_", "ff_observe_", "process_")
UNIT_SUFFIXES = {"s": "_seconds", "By": "_bytes"}


def otlp_name(metric: Metric) -> str:
    """The dotted OpenTelemetry name: the prefix becomes a namespace; `_total` and the unit suffix are dropped, since
    the translation adds them (OpenTelemetry specification, compatibility/prometheus_and_openmetrics.md)."""
    name = metric.name
    if metric.kind is Kind.COUNTER:
        name = name.removesuffix("_total")
    name = name.removesuffix(UNIT_SUFFIXES.get(metric.unit, ""))
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return prefix[:-1] + "." + name.removeprefix(prefix)
    return name


def encodable(text: str) -> str:
    """Text that UTF-8 can encode: a lone surrogate (possible in JSON, as in a licence) becomes `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")
