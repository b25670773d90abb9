"""The OTLP output as components: metrics from a thread of ours, traces and logs in the SDK's batches.

An unreachable receiver costs one warning, a counter, and a second at the stop.
"""

import contextlib
import threading
from collections.abc import Mapping

from opentelemetry.sdk.resources import Resource

from ff_observe.catalogue import PLATFORM, PROCESS
from ff_observe.errors import FFObserveError
from ff_observe.lifecycle.periodic import Periodic
from ff_observe.outputs.model import Context
from ff_observe.outputs.otlp.choice import Destination, Signal
from ff_observe.outputs.otlp.exporters import exporting_to, variables_as_the_sdk_needs_them
from ff_observe.outputs.otlp.metrics import MetricsExport
from ff_observe.outputs.otlp.reports import Reports
from ff_observe.outputs.otlp.signals import OtelLogHandler, OtelTracer, Watched
from ff_observe.platform.snapshot import Snapshot
from ff_observe.system.clock import Clock
from ff_observe.telemetry import tracing
from ff_observe.telemetry.platform_context import current_platform
from ff_observe.telemetry.redaction import Redactor
from ff_observe.telemetry.self_metrics import SelfMetrics

GRACE_SECONDS = 1.0
"""How long an export in progress may take when the bridge stops: other parts have to stop within the same deadline."""

_ABOUT_ITSELF: tuple[Signal, ...] = ("traces", "logs")


class OtlpMetrics:
    """Exports one snapshot per interval."""

    name = "otlp metrics"

    def __init__(self, destination: Destination, resource: Resource, context: Context) -> None:
        self._destination = destination
        self._resource = resource
        self._snapshots = context.snapshots
        self._self_metrics = context.self_metrics
        self._clock = context.clock
        self._reports = Reports("metrics", context.self_metrics, context.redactor)
        self._export: MetricsExport | None = None
        self._reading = False  # the database is being read
        self._thread = Periodic(
            self.name,
            self._run,
            context.clock,
            retry_seconds=destination.interval_seconds,
            on_error=context.on_error,
            schedule=context.schedule,
        )

    def start(self) -> None:
        """Raises `FFObserveError` if the protocol needs a package that is not installed."""
        metrics = (*PLATFORM, *self._self_metrics.metrics, *PROCESS)
        counted = self._self_metrics.own_readings()
        with variables_as_the_sdk_needs_them():
            self._export = MetricsExport(metrics, self._resource, exporting_to(self._destination), counted)
        self._reports.begin()
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Aborts an export that does not end by itself. Raises `TimeoutError` if the thread hangs elsewhere.

        A thread that waits for the database is left alone: stopping the snapshots, which happens later, releases it.
        """
        export, self._export = self._export, None
        if export is None:
            return
        try:
            with contextlib.suppress(TimeoutError):
                self._thread.stop(min(deadline, self._clock.monotonic() + GRACE_SECONDS))
            with self._reports.of_the_sdk():
                export.exporting.cut()
            if not self._reading:
                self._thread.stop(deadline)
        finally:
            export.close()
            self._reports.end()

    def _run(self) -> float:
        export = self._export
        if export is not None:
            with tracing.span("export metrics") as span:
                snapshot = self._snapshot()
                if self._export is None:  # stopped meanwhile
                    return self._destination.interval_seconds
                readings = snapshot.readings_with(self._self_metrics.readings())
                with self._reports.of_the_sdk():
                    delivered = export.export(readings, snapshot.platform_id, snapshot.counters_began(readings))
                span.set_attribute("ff_observe.outcome", "delivered" if delivered else "failed")
                if not delivered:
                    span.fail("failed")
            self._reports(export.exporting.problem, delivered=delivered)
        return self._destination.interval_seconds

    def _snapshot(self) -> Snapshot:
        self._reading = True
        try:
            return self._snapshots.current()
        finally:
            self._reading = False


class OtlpSignals:
    """Traces and logs of the bridge itself (or the collector), for the signals in `destinations`.

    Logs are redacted like those on standard error. `with_tracebacks` says whether the exception of a log record is sent
    in full: if Sentry receives errors, once is enough.
    """

    name = "otlp traces and logs"

    def __init__(
        self,
        destinations: Mapping[Signal, Destination],
        resource: Resource,
        self_metrics: SelfMetrics | None,
        clock: Clock,
        redactor: Redactor,
        *,
        with_tracebacks: bool = True,
    ) -> None:
        self._destinations = destinations
        self._resource = resource
        self._clock = clock
        self._redactor = redactor
        self._with_tracebacks = with_tracebacks
        self._reports = {signal: Reports(signal, self_metrics, redactor) for signal in _ABOUT_ITSELF}
        self._tracer: OtelTracer | None = None
        self._log_handler: OtelLogHandler | None = None
        self._watched: list[Watched] = []

    def start(self) -> None:
        """Raises `FFObserveError` if the protocol needs a package that is not installed, or a variable cannot be
        used."""
        try:
            with variables_as_the_sdk_needs_them():
                if "traces" in self._destinations:
                    self._tracer = OtelTracer(self._resource, self._exporter("traces"))
                if "logs" in self._destinations:
                    self._log_handler = OtelLogHandler(
                        self._resource, self._exporter("logs"), self._redactor, with_tracebacks=self._with_tracebacks
                    )
        except ValueError as error:  # the SDK raises it for its own variables (OTEL_BSP_…, OTEL_SPAN_…)
            raise FFObserveError(f"OTLP: a variable of OpenTelemetry cannot be used: {error}") from None
        # Only now: the SDK's messages about other variables, such as those of sampling, belong in the log.
        for reports in self._reports.values():
            reports.begin()
        if self._tracer is not None:
            tracing.install(self._tracer)
        if self._log_handler is not None:
            platform = current_platform()
            self._log_handler.addFilter(lambda _record: current_platform() == platform)
            self._log_handler.listen()

    def _exporter(self, signal: Signal) -> Watched:
        self._watched.append(Watched(exporting_to(self._destinations[signal]), self._reports[signal]))
        return self._watched[-1]

    def stop(self, deadline: float) -> None:
        """Sends what is left; data that a receiver does not accept within a second is lost. Raises `TimeoutError`."""
        tracer, self._tracer = self._tracer, None
        handler, self._log_handler = self._log_handler, None
        watched, self._watched = self._watched, []
        closing: list[threading.Thread] = []
        if tracer is not None:
            tracing.remove(tracer)
            closing.append(threading.Thread(target=tracer.shutdown, name="otlp traces closing", daemon=True))
        if handler is not None:
            handler.unlisten()
            closing.append(threading.Thread(target=handler.close, name="otlp logs closing", daemon=True))
        for thread in closing:
            thread.start()
        self._join(closing, min(deadline, self._clock.monotonic() + GRACE_SECONDS))
        for exporter in watched:
            exporter.cut()
        self._join(closing, deadline)
        for reports in self._reports.values():
            reports.end()
        if any(thread.is_alive() for thread in closing):
            raise TimeoutError("the last traces and logs were not sent in time")

    def _join(self, threads: list[threading.Thread], deadline: float) -> None:
        for thread in threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
