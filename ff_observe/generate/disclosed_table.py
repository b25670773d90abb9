"""The table of PRIVACY.md that says for every metric of platform and bridge what its samples disclose."""

from ff_observe.catalogue import PLATFORM, SELF
from ff_observe.catalogue.model import Metric, Sensitivity
from ff_observe.generate.markdown import table


def render() -> str:
    """One line for each sensitivity, with the metrics that have it and their labels."""
    return table(
        ("sensitivity", "what the samples disclose", "metrics"),
        (
            (
                one.value,
                one.meaning,
                ", ".join(_named(metric) for metric in (*PLATFORM, *SELF) if metric.sensitivity is one),
            )
            for one in Sensitivity
        ),
    )


def _named(metric: Metric) -> str:
    labels = "{" + ", ".join(metric.labels) + "}" if metric.labels else ""
    return f"`{metric.name}{labels}`"
