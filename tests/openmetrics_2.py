"""Reads OpenMetrics 2.0.0-rc0 by the grammar of its specification, and gives the same families as a parser of 1.0.0.

Strict where the specification has a MUST, or a SHOULD that our exposition follows; no timestamps, exemplars and native
histograms. https://prometheus.io/docs/specs/om/open_metrics_spec_2_0/
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.metrics_core import Metric as Family

_NAME: Final = "[a-zA-Z_:][a-zA-Z0-9_:]*"
_REAL: Final = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|[0-9]*\.[0-9]+)(?:e[+-]?[0-9]+)?"
_NUMBER: Final = rf"(?:{_REAL}|[+-]?(?i:inf|infinity)|(?i:nan))"
_TEXT: Final = r'(?:[^\n"\\]|\\[n"\\])*'
_LABEL: Final = rf'([a-zA-Z_][a-zA-Z0-9_]*)="({_TEXT})"'
_DESCRIPTOR: Final = re.compile(rf"# (TYPE|UNIT|HELP) ({_NAME}) ({_TEXT})")
_SAMPLE: Final = re.compile(
    rf"({_NAME})(?:\{{((?:{_LABEL}(?:,(?=[a-zA-Z_]))?)*)\}})? ({_NUMBER}|\{{[^ ]*\}})(?: st@({_REAL}))?"
)
_HISTOGRAM: Final = re.compile(
    rf"\{{count:({_NUMBER}),sum:({_NUMBER}),bucket:\[((?:{_REAL}:{_NUMBER},)*\+Inf:{_NUMBER})\]\}}"
)
_SUFFIXES: Final = {"counter": "_total", "info": "_info"}
_ESCAPES: Final = {r"\n": "\n", r"\"": '"', r"\\": "\\"}

Labels = dict[str, str]


def families(text: str) -> Iterator[Family]:
    """What `text` says, under the names of 1.0.0: a counter's without `_total`, an info's without `_info`."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    seen: set[str] = set()
    place, last = 0, len(lines) - 2
    while place < last:
        described: dict[str, str] = {}
        name = ""
        while line := _DESCRIPTOR.fullmatch(lines[place]):
            if line[1] == "TYPE":
                if described:
                    break
                name = line[2]
            assert line[2] == name, f"a description of another family: {line[0]}"
            assert line[1] not in described
            described[line[1]] = line[3]
            place += 1
        assert list(described) == [kind for kind in ("TYPE", "UNIT", "HELP") if kind in described], name
        assert name not in seen, f"{name} occurs twice"
        seen.add(name)
        began = place
        while place < last and not lines[place].startswith("#"):
            place += 1
        yield _family(name, described, lines[began:place])


def _family(name: str, described: Mapping[str, str], lines: list[str]) -> Family:
    kind, unit = described["TYPE"], described.get("UNIT", "")
    assert kind in ("gauge", "counter", "info", "histogram"), kind
    suffix = _SUFFIXES.get(kind, "")
    assert name.endswith(suffix)
    base = name.removesuffix(suffix)
    assert base.endswith(f"_{unit}" if unit else "")
    family = Family(base, _unescaped(described["HELP"]), kind, unit)
    sets: list[Labels] = []
    for line in lines:
        sample = _SAMPLE.fullmatch(line)
        assert sample, f"no sample: {line}"
        assert sample[1] == name, f"{sample[1]} among the samples of {name}"
        pairs = re.findall(_LABEL, sample[2] or "")
        labels = {label: _unescaped(value) for label, value in pairs}
        assert len(labels) == len(pairs)
        assert labels not in sets, f"{labels} occurs twice"
        sets.append(labels)
        value, start = sample[5], sample[6]
        if kind == "histogram":
            _add_histogram(family, labels, value)
        else:
            family.add_sample(name, labels, float(value))
            assert kind != "info" or float(value) == 1.0
        if start is not None:
            assert kind in ("counter", "histogram")
            family.add_sample(f"{base}_created", labels, float(start))
    return family


def _add_histogram(family: Family, labels: Labels, value: str) -> None:
    histogram = _HISTOGRAM.fullmatch(value)
    assert histogram, f"no histogram: {value}"
    assert "le" not in labels
    buckets = [bucket.split(":") for bucket in histogram[3].split(",")]
    bounds, counts = ([float(bucket[side]) for bucket in buckets] for side in (0, 1))
    assert bounds == sorted(set(bounds))
    assert counts == sorted(counts)
    assert counts[-1] == float(histogram[1])
    for bound, count in zip((bucket[0] for bucket in buckets), counts, strict=True):
        family.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, count)
    family.add_sample(f"{family.name}_count", labels, float(histogram[1]))
    family.add_sample(f"{family.name}_sum", labels, float(histogram[2]))


def _unescaped(text: str) -> str:
    return re.sub(r"\\.", lambda found: _ESCAPES[found[0]], text)
