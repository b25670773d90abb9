"""Traces and logs of the bridge itself, as the SDK batches and sends them."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from ff_observe import tracing
from ff_observe.version import VERSION

_SEVERITIES = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}


class OtelTracer:
    """The bridge's tracer over the SDK. Sampling is by the standard variables (`OTEL_TRACES_SAMPLER`)."""

    def __init__(self, resource: Resource, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ff_observe", VERSION)

    def span(self, name: str, attributes: Mapping[str, tracing.AttributeValue]) -> AbstractContextManager[tracing.Span]:
        return self._span(name, attributes)

    @contextmanager
    def _span(self, name: str, attributes: Mapping[str, tracing.AttributeValue]) -> Iterator[tracing.Span]:
        # The exception itself is told once, by Sentry or the log; the span only says that there was one.
        with self._tracer.start_as_current_span(
            name, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(trace.StatusCode.ERROR)
                raise

    def current_ids(self) -> tuple[str, str] | None:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)

    def shutdown(self) -> None:
        """Send what is left and end the SDK's thread. May take as long as the exporter's timeout."""
        self._provider.shutdown()


class OtelLogHandler(logging.Handler):
    """Sends log records, with the trace they belong to. The SDK's own handler is deprecated in favour of a package
    that patches `logging` as a whole."""

    def __init__(self, resource: Resource, exporter: LogRecordExporter) -> None:
        super().__init__(logging.INFO)
        self._provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_log_record_processor(BatchLogRecordProcessor(exporter))

    def emit(self, record: logging.LogRecord) -> None:
        attributes: dict[str, str] = {"thread.name": record.threadName or ""}
        if record.exc_info and record.exc_info[0] is not None:
            attributes["exception.type"] = record.exc_info[0].__qualname__
            attributes["exception.stacktrace"] = logging.Formatter().formatException(record.exc_info)
        self._provider.get_logger(record.name).emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                context=get_current(),
                severity_number=_SEVERITIES.get(record.levelno, SeverityNumber.UNSPECIFIED),
                severity_text=record.levelname,
                body=self.format(record) if self.formatter else record.getMessage(),
                attributes=attributes,
            )
        )

    def close(self) -> None:
        """Send what is left and end the SDK's thread. May take as long as the exporter's timeout."""
        self._provider.shutdown()
        super().close()
