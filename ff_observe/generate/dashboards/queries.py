"""PromQL from the catalogue: every selector of every dashboard is made here, so that all obey the same variables."""

from collections.abc import Iterable
from dataclasses import dataclass

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.model import Metric, in_text

CHOSEN = 'job=~"$job", instance=~"$instance"'
"""What the variables of a dashboard choose. In every selector."""

COUNT = {count.name.removeprefix("flowfuse_"): count for count in COUNTS}
"""The platform's counts by their name without the prefix."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel. `legend` names its series (`{{label}}` is filled in)."""

    expression: str
    legend: str = ""


def of(metric: Metric | str, *matchers: str) -> str:
    """Selector of a metric (or of a name that Prometheus itself gives, as `up`), for what the variables choose."""
    name = metric if isinstance(metric, str) else metric.name
    return f"{name}{{{', '.join((*matchers, CHOSEN))}}}"


def total(metric: Metric | str, *matchers: str) -> str:
    """The sum over all that is chosen."""
    return f"sum({of(metric, *matchers)})"


def counted(metric: Metric) -> Query:
    """The sum over all that is chosen, under the title of the metric."""
    return Query(total(metric), in_text(metric.title))


def of_all(metrics: Iterable[Metric]) -> str:
    """One selector of several metrics, for what the variables choose."""
    return f'{{__name__=~"{"|".join(metric.name for metric in metrics)}", {CHOSEN}}}'
