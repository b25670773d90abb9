"""PromQL from the catalogue: every selector of every dashboard is made here, so that all obey the same variables."""

from collections.abc import Iterable
from dataclasses import dataclass

from ff_observe.catalogue import COUNTS, facts
from ff_observe.catalogue.model import Metric, in_text

CHOSEN = 'job=~"$job", instance=~"$instance"'
"""What the variables of a dashboard choose. In every selector."""

COUNT = {count.name.removeprefix("flowfuse_"): count for count in COUNTS}
"""The platform's counts by their name without the prefix."""
COUNTED = tuple(count for count in COUNTS if not count.labels and count.unit not in ("s", "By"))
"""The counts of rows, for tables that list them all: a new one of the catalogue is in them by itself."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel. `legend` names its series (`{{label}}` is filled in)."""

    expression: str
    legend: str = ""


def of(metric: Metric | str, *matchers: str) -> str:
    """Selector of a metric (or of a name that Prometheus itself gives, as `up`), for what the variables choose."""
    name = metric if isinstance(metric, str) else metric.name
    return f"{name}{{{', '.join((*matchers, CHOSEN))}}}"


BY_PLATFORM = "platform, platform_id, target"
"""What tells platforms apart: the name that an operator gave (a target label), and the id that their bridges expose.
`target` is the job and instance of a bridge that exposes no id, because it has not read it or is older."""


def by_platform(vector: str) -> str:
    """The vector, with a label `target` on series without a `platform_id`."""
    joined = f'label_join({vector}, "target", "/", "platform_id", "job", "instance")'
    return f'label_replace({joined}, "target", "$1", "target", "/(.+)|.+")'


def once(vector: str, *labels: str, of_bridges: str = "max") -> str:
    """Each platform once, however many bridges it has: the largest of what they say, or as `of_bridges` has it."""
    return f"{of_bridges} by ({', '.join((*labels, BY_PLATFORM))}) ({by_platform(vector)})"


def named(per_platform: str) -> str:
    """What `once` gives, with a label `name`: the operator's name of the platform, else its address, its id, or the
    job and instance of its bridge."""
    bridges = by_platform(f"{of(facts.INFO)} or on (job, instance) {of(facts.UP)}")  # without an address, still a name
    address = f"topk by ({BY_PLATFORM}) (1, group by (base_url, {BY_PLATFORM}) ({bridges}))"
    with_address = f"{per_platform} * on ({BY_PLATFORM}) group_left (base_url) {address}"
    return named_by(with_address, "platform", "base_url", "platform_id", "target")


def named_by(vector: str, *labels: str) -> str:
    """The vector, with a label `name`: the first of the values of some labels that is not empty."""
    sources = ", ".join(f'"{source}"' for source in labels)
    joined = f'label_join({vector}, "name", ";", {sources})'
    return f'label_replace({joined}, "name", "$1", "name", ";*([^;]+).*")'


def total(metric: Metric | str, *matchers: str) -> str:
    """The sum over all platforms that are chosen."""
    return f"sum({once(of(metric, *matchers))})"


def whole(metric: Metric, *matchers: str) -> str:
    """The same of a metric with several series of a platform, which are summed up."""
    return f"sum({once(of(metric, *matchers), *metric.labels)})"


def total_by(metric: Metric, *labels: str) -> str:
    """The same for each value of some labels."""
    return f"sum by ({', '.join(labels)}) ({once(of(metric), *labels)})"


def each(metric: Metric) -> Query:
    """The sum for each value of the metric's labels, which are its legend."""
    return Query(total_by(metric, *metric.labels), ", ".join(f"{{{{{label}}}}}" for label in metric.labels))


def largest_first(query: Query) -> Query:
    return Query(f"sort_desc({query.expression})", query.legend)


def increase(metric: Metric, *matchers: str, over: str = "$__rate_interval") -> str:
    """How much a counter grew, each platform once."""
    return f"sum({once(f'increase({of(metric, *matchers)}[{over}])', *metric.labels)})"


def counted(metric: Metric) -> Query:
    """The sum over all that is chosen, under the title of the metric."""
    return Query(total(metric), in_text(metric.title))


def of_all(metrics: Iterable[Metric]) -> str:
    """One selector of several metrics, for what the variables choose."""
    return f'{{__name__=~"{"|".join(metric.name for metric in metrics)}", {CHOSEN}}}'


def what(vector: str) -> str:
    """The vector, with a label `what`: the names of its counts, as in `COUNT`."""
    return f'label_replace({vector}, "what", "$1", "__name__", "flowfuse_(.+)")'


def events(counter: Metric, label: str = "") -> Query:
    """How much a counter grew in all that is chosen, as a whole number: for each value of a label, or in all."""
    grown = f"increase({of(counter)}[$__rate_interval])"
    if not label:
        return Query(f"round(sum({grown}))", in_text(counter.title))
    return Query(f"round(sum by ({label}) ({grown}))", f"{{{{{label}}}}}")


def per_minute(counter: Metric, label: str) -> Query:
    """The pace of a counter in all that is chosen, for each value of a label."""
    return Query(f"sum by ({label}) (60 * rate({of(counter)}[$__rate_interval]))", f"{{{{{label}}}}}")
