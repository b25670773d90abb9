"""OpenMetrics 2.0.0-rc0: a family has the name of its samples, a counter's start stands beside its value, and a
histogram is one line (https://prometheus.io/docs/specs/om/open_metrics_spec_2_0/).

prometheus-client puts 2.0.0 into the content type, but still writes the names and the `_created` samples of 1.0.0.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from ff_observe.exposition.backfill import ESCAPES

CONTENT_TYPE: Final = "application/openmetrics-text; version=2.0.0; charset=utf-8"
_SUFFIXES: Final = {"counter": "_total", "info": "_info"}


def encode(family: Family) -> bytes:
    """The lines of a gauge, counter, info or histogram whose names need no quotes, without timestamps or exemplars."""
    name = family.name + _SUFFIXES.get(family.type, "")
    lines = [f"# TYPE {name} {family.type}"]
    if family.unit:
        lines.append(f"# UNIT {name} {family.unit}")
    lines.append(f"# HELP {name} {family.documentation.translate(ESCAPES)}")
    created = f"{family.name}_created"
    starts = {_labels(sample.labels): sample.value for sample in family.samples if sample.name == created}
    own = [sample for sample in family.samples if sample.name != created or family.type == "gauge"]
    for labels, value in _histograms(own) if family.type == "histogram" else _numbers(own):
        start = f" st@{starts[labels]!r}" if labels in starts else ""
        lines.append(f"{name}{labels} {value}{start}")
    return "\n".join([*lines, ""]).encode()


def _numbers(samples: list[Sample]) -> Iterator[tuple[str, str]]:
    for sample in samples:
        yield _labels(sample.labels), _number(sample.value)


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _histograms(samples: list[Sample]) -> Iterator[tuple[str, str]]:
    """One for each set of labels besides `le`; the samples of each stand together, buckets before count and sum."""
    buckets: list[str] = []
    count = ""
    for sample in samples:
        match sample.name.rpartition("_")[2]:
            case "bucket":
                buckets.append(f"{sample.labels['le']}:{_number(sample.value)}")
            case "count":
                count = _number(sample.value)
            case "sum":
                total = _number(sample.value)
                yield _labels(sample.labels), f"{{count:{count},sum:{total},bucket:[{','.join(buckets)}]}}"
                buckets = []


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{value.translate(ESCAPES)}"' for name, value in sorted(labels.items()))
    return f"{{{inside}}}" if inside else ""
