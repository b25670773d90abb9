"""OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics`."""

from collections.abc import Iterable
from typing import Final

from ff_observe.catalogue.model import Metric
from ff_observe.errors import UsageError

END: Final = "# EOF\n"
ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
Labels = tuple[tuple[str, str], ...]


def check_labels(given: Iterable[str], metrics: Iterable[Metric]) -> None:
    """Raises `UsageError` if a label that is given for every sample is one that a metric has itself."""
    for metric in metrics:
        for name in metric.labels:
            if name in given:
                raise UsageError(f"--label {name}: {metric.name} has this label itself; choose another name")


def head(metric: Metric, note: str) -> str:
    """What comes before the samples of a metric; the `note` is added to its help."""
    name = metric.name.removesuffix("_total")
    return f"# HELP {name} {f'{metric.help} {note}'.translate(ESCAPES)}\n# TYPE {name} {metric.kind}\n"


def series(metric: Metric, labels: Labels, samples: Iterable[tuple[float, int]]) -> Iterable[str]:
    """The samples of one series, each with its moment in seconds since 1970, in the order of time."""
    shown = ",".join(f'{name}="{value.translate(ESCAPES)}"' for name, value in labels)
    for at, number in samples:
        yield f"{metric.name}{{{shown}}} {number} {at:.3f}\n"
