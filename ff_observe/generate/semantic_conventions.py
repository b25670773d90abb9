"""The catalogue as a semantic-convention registry of OpenTelemetry, in the YAML that Weaver reads."""

from collections import defaultdict
from typing import Any, Final

import yaml

from ff_observe.catalogue import PLATFORM, SELF
from ff_observe.catalogue.model import PLATFORM_ID, Kind, Metric
from ff_observe.catalogue.names import otlp_name
from ff_observe.version import VERSION

SCHEMA_URL: Final = f"https://ff-observe.invalid/semantic-conventions/{VERSION}"
"""Weaver takes URLs alone, with a path that ends with the version; `.invalid`, since the project has no address."""

_INSTRUMENTS: Final = {Kind.GAUGE: "gauge", Kind.INFO: "gauge", Kind.COUNTER: "counter", Kind.HISTOGRAM: "histogram"}


def manifest() -> str:
    return _yaml({"schema_url": SCHEMA_URL, "description": "The metrics that ff-observe exports over OTLP."})


def registry() -> str:
    return _yaml({"groups": [_attributes(), *map(_group, (*PLATFORM, *SELF))]})


def _attributes() -> dict[str, Any]:
    """Every label, once, with the metrics that have it."""
    having: dict[str, list[Metric]] = defaultdict(list)
    for metric in (*PLATFORM, *SELF):
        for label in metric.labels:
            having[label].append(metric)
    attributes = [
        {
            "id": PLATFORM_ID,
            "type": "string",
            "stability": "development",
            "brief": "Which platform a bridge observes: a hash of its instance id.",
            "examples": ["9f86d081884c7d65"],
        }
    ]
    for label, metrics in sorted(having.items()):
        values = sorted({value for metric in metrics for value in metric.label_values})
        attributes.append(
            {
                "id": label,
                "type": "string",
                "stability": "development",
                "brief": f"Divides {', '.join(otlp_name(metric) for metric in metrics)}.",
                "examples": values[:3] or ["none"],
            }
        )
    return {
        "id": "registry.ff_observe",
        "type": "attribute_group",
        "brief": "The labels of the metrics.",
        "attributes": attributes,
    }


def _group(metric: Metric) -> dict[str, Any]:
    labels = [{"ref": label, "requirement_level": "required"} for label in metric.labels]
    return {
        "id": f"metric.{otlp_name(metric)}",
        "type": "metric",
        "metric_name": otlp_name(metric),
        "stability": "development",
        "brief": metric.title,
        "note": metric.help,
        "instrument": _INSTRUMENTS[metric.kind],
        "unit": metric.unit,
        "attributes": [*labels, {"ref": PLATFORM_ID, "requirement_level": "recommended"}],
    }


def _yaml(value: object) -> str:
    header = "# Made by `make generate` from ff_observe/catalogue. Edits are lost.\n"
    return header + yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
