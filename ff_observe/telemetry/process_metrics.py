"""Measures the process for `catalogue.process`, as prometheus_client does (Linux only; empty elsewhere)."""

import functools
from typing import TYPE_CHECKING

from ff_observe.catalogue.process import PROCESS

if TYPE_CHECKING:
    from prometheus_client import ProcessCollector

_NAMES = frozenset(metric.name for metric in PROCESS)


def process_readings() -> dict[str, dict[tuple[str, ...], float]]:
    """The readings of `PROCESS` at this moment; values that the kernel does not provide are absent."""
    try:
        families = list(_collector().collect())
    except ValueError:  # an unlimited number of files has no number
        return {}
    samples = [sample for family in families for sample in family.samples if sample.name in _NAMES]
    return {sample.name: {(): sample.value} for sample in samples}


@functools.cache
def _collector() -> "ProcessCollector":
    from prometheus_client import ProcessCollector  # not before it is needed: commands start without it

    return ProcessCollector(registry=None)
