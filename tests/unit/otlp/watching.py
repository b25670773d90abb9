"""The export of metrics to a receiver on loopback, and what is heard of it."""

import logging
import re
from collections.abc import Callable, Mapping

from ff_observe.catalogue.bridge import OTLP_EXPORTS
from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.outputs.model import CurrentSnapshot
from ff_observe.outputs.otlp.answers import TakenInPart
from ff_observe.outputs.otlp.choice import destinations
from ff_observe.outputs.otlp.component import OtlpMetrics
from ff_observe.outputs.otlp.resource import ServiceResource
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.pace import pace
from tests.real_parts.processes import wait_until
from tests.unit.otlp.faulty import Still
from tests.unit.outputs.examples import context
from tests.unit.ping import samples

CLOCK = SystemClock()


class Heard(logging.Handler):
    """What reaches the root logger, where the bridge's own log is written from."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def from_level(self, level: int) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno >= level]


def output(
    port: int,
    metrics: SelfMetrics,
    interval: float = 0.02,
    timeout: float = 0.3,
    protocol: str = "http/protobuf",
    platform: CurrentSnapshot | None = None,
) -> OtlpMetrics:
    settings = OtlpSettings(
        endpoint=Secret(f"http://127.0.0.1:{port}"),
        protocol=protocol,
        timeout_seconds=timeout,
        interval_seconds=interval,
    )
    return exporting_metrics(settings, metrics, {}, platform)


def exporting_metrics(
    settings: OtlpSettings,
    metrics: SelfMetrics,
    variables: Mapping[str, str],
    platform: CurrentSnapshot | None = None,
) -> OtlpMetrics:
    destination = destinations(settings, variables)["metrics"]
    resource = ServiceResource("ff-observe", "test")
    return OtlpMetrics(destination, resource, context(samples.settings(), platform or Still(), CLOCK, metrics))


def timeout_that_fails(reason: str) -> float:
    """A timeout of exports, in seconds, that only `reason` runs into, however busy the machine is."""
    return (0.3 if reason == "did not answer in time" else 2.0) * pace().slowness


def exports(metrics: SelfMetrics, outcome: str) -> float:
    return metrics.readings()[OTLP_EXPORTS.name][(outcome,)]


def fail_and_recover(otlp: OtlpMetrics, metrics: SelfMetrics, mend: Callable[[], None]) -> bool:
    """Run an output until exports have failed, and then, once `mend` is done, have been delivered again. Returns
    whether some of what failed was taken all the same."""
    otlp.start()
    wait_until(lambda: exports(metrics, "failed") >= 2, "two failed exports")
    assert exports(metrics, "delivered") == 0
    assert otlp._export is not None
    is_taken = isinstance(otlp._export.exporting.problem(), TakenInPart)
    mend()
    # One of them may be an export that hung until then: it was answered, and not taken whole.
    wait_until(lambda: exports(metrics, "delivered") >= 3, "three delivered exports")
    otlp.stop(CLOCK.monotonic() + 5)
    return is_taken


def assert_said_once(heard: Heard, reason: str) -> None:
    """Why exports failed (a pattern), and that they are delivered again."""
    [warning] = heard.from_level(logging.WARNING)
    assert re.search(reason, warning), warning
    assert sum("delivered again" in line for line in heard.from_level(logging.INFO)) == 1
