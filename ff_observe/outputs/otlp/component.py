"""The OTLP output as parts of the bridge: metrics by a thread of ours, traces and logs by the SDK's batches.

An unreachable receiver costs one warning, a counter, and at most the deadline at the stop.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from opentelemetry.sdk.metrics.export import MetricExporter

from ff_observe import tracing
from ff_observe.catalogue import PLATFORM
from ff_observe.catalogue.bridge import OTLP_EXPORTS
from ff_observe.clock import Clock
from ff_observe.config.settings import OtlpSettings
from ff_observe.outputs.otlp.exporters import log_exporter, metric_exporter, span_exporter
from ff_observe.outputs.otlp.metrics import MetricsExport
from ff_observe.outputs.otlp.resource import build_resource
from ff_observe.outputs.otlp.signals import OtelLogHandler, OtelTracer
from ff_observe.periodic import ErrorSink, Periodic
from ff_observe.self_metrics import SelfMetrics
from ff_observe.snapshots import Snapshot

log = logging.getLogger(__name__)

DEFAULT_INTERVAL_SECONDS = 60.0  # OpenTelemetry specification: OTEL_METRIC_EXPORT_INTERVAL is 60000 ms by default
_BRIDGE_LOGGER = logging.getLogger("ff_observe")
_SDK_LOGGER = logging.getLogger("opentelemetry")


class CurrentSnapshot(Protocol):
    """Whoever has a fresh snapshot."""

    def current(self) -> Snapshot:
        """The present moment of the platform."""


class _SdkComplaints(logging.Handler):
    """Keeps the SDK's last complaint for our one warning, and the rest out of the log: it writes one per failure."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = "no reason given"

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()

    def listen(self) -> None:
        _SDK_LOGGER.addHandler(self)
        _SDK_LOGGER.propagate = False

    def release(self) -> None:
        _SDK_LOGGER.removeHandler(self)
        _SDK_LOGGER.propagate = True


class OtlpMetrics:
    """Exports one snapshot per interval."""

    name = "otlp metrics"

    def __init__(
        self,
        settings: OtlpSettings,
        protocol: str,
        snapshots: CurrentSnapshot,
        self_metrics: SelfMetrics,
        clock: Clock,
        environment: str,
        interval_seconds: float,
        *,
        on_error: ErrorSink | None = None,
    ) -> None:
        self._settings = settings
        self._protocol = protocol
        self._snapshots = snapshots
        self._self_metrics = self_metrics
        self._clock = clock
        self._environment = environment
        self._interval = interval_seconds
        self._complaints = _SdkComplaints()
        self._delivering: bool | None = None
        self._exporter: MetricExporter | None = None
        self._export: MetricsExport | None = None
        self._instance_id: str | None = None
        self._thread = Periodic(self.name, self._run, clock, retry_seconds=interval_seconds, on_error=on_error)

    def start(self) -> None:
        """Raises `FFObserveError` for a protocol that is not there."""
        self._exporter = metric_exporter(self._settings, self._protocol)
        self._complaints.listen()
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Raises `TimeoutError` if an export hangs past the deadline; its daemon thread ends by its own timeout."""
        exporter, self._exporter = self._exporter, None
        if exporter is None:
            return
        exporter.shutdown()  # ends a wait between two tries
        try:
            self._thread.stop(deadline)
        finally:
            self._complaints.release()
        if self._export is not None:
            self._export.close()

    def _run(self) -> float:
        exporter = self._exporter
        if exporter is not None:
            snapshot = self._snapshots.current()
            with tracing.span("otlp export") as span:
                delivered = self._export_of(snapshot, exporter).export(
                    {**snapshot.readings, **self._self_metrics.readings()}
                )
                span.set_attribute("outcome", "delivered" if delivered else "failed")
            self._self_metrics.add(OTLP_EXPORTS, "delivered" if delivered else "failed")
            self._tell(delivered)
        return self._interval

    def _export_of(self, snapshot: Snapshot, exporter: MetricExporter) -> MetricsExport:
        """The instruments; made anew when the platform's identity becomes known, since a resource cannot change."""
        instance_id = snapshot.installation.instance_id or self._instance_id
        if self._export is None or instance_id != self._instance_id:
            if self._export is not None:
                self._export.close()
            self._instance_id = instance_id
            resource = build_resource(instance_id, self._environment)
            self._export = MetricsExport((*PLATFORM, *self._self_metrics.metrics), resource, exporter)
        return self._export

    def _tell(self, delivered: bool) -> None:
        if delivered is self._delivering:
            return
        if not delivered:
            log.warning("OTLP metrics are not delivered, counting on and trying again: %s", self._complaints.last)
        elif self._delivering is False:
            log.info("OTLP metrics are delivered again")
        self._delivering = delivered


class OtlpSignals:
    """Traces and logs of the bridge's own work, as far as `protocols` names them."""

    name = "otlp traces and logs"

    def __init__(self, settings: OtlpSettings, protocols: Mapping[str, str], clock: Clock, environment: str) -> None:
        self._settings = settings
        self._protocols = protocols
        self._clock = clock
        self._environment = environment
        self._tracer: OtelTracer | None = None
        self._log_handler: OtelLogHandler | None = None

    def start(self) -> None:
        """Raises `FFObserveError` for a protocol that is not there."""
        resource = build_resource(None, self._environment)
        if "traces" in self._protocols:
            self._tracer = OtelTracer(resource, span_exporter(self._settings, self._protocols["traces"]))
            tracing.install(self._tracer)
        if "logs" in self._protocols:
            self._log_handler = OtelLogHandler(resource, log_exporter(self._settings, self._protocols["logs"]))
            _BRIDGE_LOGGER.addHandler(self._log_handler)

    def stop(self, deadline: float) -> None:
        """Sends what is left. Raises `TimeoutError` if the receiver hangs past the deadline."""
        tracer, self._tracer = self._tracer, None
        handler, self._log_handler = self._log_handler, None
        if tracer is not None:
            tracing.remove(tracer)
            _by(deadline, self._clock, "otlp traces closing", tracer.shutdown)
        if handler is not None:
            _BRIDGE_LOGGER.removeHandler(handler)
            _by(deadline, self._clock, "otlp logs closing", handler.close)


def _by(deadline: float, clock: Clock, name: str, action: Callable[[], object]) -> None:
    """Run `action`, which takes as long as it likes, in a thread that is waited for until `deadline`."""
    thread = threading.Thread(target=action, name=name, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - clock.monotonic()))
    if thread.is_alive():
        raise TimeoutError(f"{name} did not end in time")


def interval_seconds(settings: OtlpSettings, variables: Mapping[str, str]) -> float:
    """Between two exports: the file, else `OTEL_METRIC_EXPORT_INTERVAL` (milliseconds), else 60 s."""
    if settings.interval_seconds is not None:
        return settings.interval_seconds
    try:
        return float(variables.get("OTEL_METRIC_EXPORT_INTERVAL") or "") / 1000
    except ValueError:
        return DEFAULT_INTERVAL_SECONDS
