"""An output as the status shows it: its switch, and what it last did."""

from collections.abc import Mapping
from datetime import datetime

from ff_observe.outputs import prometheus_output
from ff_observe.outputs.model import Output, Status
from ff_observe.self_metrics import Delivery
from ff_observe.web.status import document as shape


def describe_output(
    output: Output, status: Status, deliveries: Mapping[tuple[str, str], Delivery], scraped_at: datetime | None
) -> shape.Output:
    """`deliveries` are by output and part of it; `scraped_at` is when /metrics was last fetched."""
    if not status.on:
        return shape.Output(output.name, output.title, shape.OutputState.OFF, status.reason, "", None)
    of_output = {part: delivery for (name, part), delivery in deliveries.items() if name == output.name}
    fails = any(delivery.failure is not None for delivery in of_output.values())
    state = shape.OutputState.FAILS if fails else shape.OutputState.ON
    last, at = _last(output, of_output, scraped_at)
    return shape.Output(output.name, output.title, state, status.reason, last, at)


def _last(
    output: Output, deliveries: Mapping[str, Delivery], scraped_at: datetime | None
) -> tuple[str, datetime | None]:
    if deliveries:
        arrived = [part for part, delivery in deliveries.items() if delivery.failure is None]
        failed = [part for part, delivery in deliveries.items() if delivery.failure is not None]
        words = [f"{_parts(arrived)} delivered"] if arrived else []
        words += [f"{_parts(failed)} not delivered"] if failed else []
        sentence = ", ".join(words)
        return f"{sentence[:1].upper()}{sentence[1:]}", max(delivery.at for delivery in deliveries.values())
    if output is prometheus_output.OUTPUT:
        return ("Metrics fetched" if scraped_at else "Not fetched since the bridge started"), scraped_at
    if output.build is None:
        return "Runs in the browsers of FlowFuse's users: the bridge does not see what it does", None
    return "Nothing sent since the bridge started", None


def _parts(parts: list[str]) -> str:
    return " and ".join(parts) if any(parts) else "the last event"
