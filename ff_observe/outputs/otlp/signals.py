"""Traces and logs of the bridge itself, batched and sent by the SDK."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context, get_current
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ff_observe.catalogue.names import encodable
from ff_observe.outputs.otlp.exporters import Exporting
from ff_observe.outputs.otlp.reports import Reports
from ff_observe.telemetry import tracing
from ff_observe.telemetry.log import Listener
from ff_observe.telemetry.redaction import Redactor
from ff_observe.version import VERSION

_SEVERITIES = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}


class _Span(tracing.Span):
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set_attribute(self, name: str, value: tracing.AttributeValue) -> None:
        self._span.set_attribute(name, value)

    def fail(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(trace.StatusCode.ERROR)


class OtelTracer:
    """The bridge's tracer over the SDK. Sampling follows the standard variables (`OTEL_TRACES_SAMPLER`)."""

    def __init__(self, resource: Resource, exporter: "Watched") -> None:
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(_Batches(exporter))
        self._tracer = self._provider.get_tracer("ff_observe", VERSION)

    @contextmanager
    def span(
        self,
        name: str,
        kind: tracing.Kind,
        attributes: Mapping[str, tracing.AttributeValue],
        after: Sequence[tracing.Context],
    ) -> Iterator[tracing.Span]:
        contexts = [context for context in after if isinstance(context, Context)]
        # The exception itself is reported once, by Sentry or the log; the span only records that one occurred.
        with self._tracer.start_as_current_span(
            name,
            context=contexts[0] if contexts else None,
            kind=trace.SpanKind[kind.upper()],
            attributes=dict(attributes),
            links=[trace.Link(trace.get_current_span(context).get_span_context()) for context in contexts[1:]],
            record_exception=False,
            set_status_on_exception=False,
        ) as under_way:
            span = _Span(under_way)
            try:
                yield span
            except BaseException as error:
                span.fail(type(error).__qualname__)
                raise

    def current_ids(self) -> tuple[str, str] | None:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)

    def here(self) -> tracing.Context:
        return get_current()

    def shutdown(self) -> None:
        """Send what is left and end the SDK's thread. May take as long as the exporter's timeout."""
        self._provider.shutdown()


class OtelLogHandler(Listener):
    """Sends log records, with the trace they belong to.

    The SDK's own handler is deprecated in favour of a package that patches `logging` as a whole.
    """

    def __init__(self, resource: Resource, exporter: "Watched", redactor: Redactor, *, with_tracebacks: bool) -> None:
        super().__init__(logging.INFO)
        self._exporter = exporter
        self._redactor = redactor
        self._with_tracebacks = with_tracebacks
        self._provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_log_record_processor(BatchLogRecordProcessor(exporter))  # type: ignore[arg-type]  # has its methods

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(record)
        except Exception:
            self.handleError(record)

    def _send(self, record: logging.LogRecord) -> None:
        attributes: dict[str, str] = {"thread.name": record.threadName or ""}
        if record.exc_info and record.exc_info[0] is not None:
            attributes["exception.type"] = record.exc_info[0].__qualname__
            if self._with_tracebacks:
                attributes["exception.message"] = self._text(str(record.exc_info[1]))
                attributes["exception.stacktrace"] = self._text(logging.Formatter().formatException(record.exc_info))
        line = LogRecord(
            timestamp=int(record.created * 1e9),
            context=get_current(),
            severity_number=_SEVERITIES.get(record.levelno, SeverityNumber.UNSPECIFIED),
            severity_text=record.levelname,
            body=self._text(record.getMessage()),
            attributes=attributes,
        )
        with self._exporter.reports.of_the_sdk():
            self._provider.get_logger(record.name).emit(line)

    def _text(self, text: str) -> str:
        """Redacted; one that cannot be encoded would cost all records of its batch."""
        return encodable(self._redactor.text(text))

    def close(self) -> None:
        """Send what is left and end the SDK's thread. May take as long as the exporter's timeout."""
        self._provider.shutdown()
        super().close()


class Watched:
    """An exporter of spans or log records that reports each export's outcome to `reports`."""

    def __init__(self, exporting: Exporting, reports: Reports) -> None:
        self._exporting = exporting
        self.reports = reports

    def export(self, batch: Sequence[Any]) -> Any:
        with self.reports.of_the_sdk():
            result = self._exporting.exporter.export(batch)
        self.reports(self._exporting.problem, delivered=result.name == "SUCCESS")
        return result

    def shutdown(self) -> None:
        with self.reports.of_the_sdk():
            self._exporting.exporter.shutdown()

    def cut(self) -> None:
        """Abort an export, from any thread."""
        with self.reports.of_the_sdk():
            self._exporting.cut()


class _Batches(BatchSpanProcessor):
    def __init__(self, exporter: Watched) -> None:
        super().__init__(exporter)  # type: ignore[arg-type]  # has its methods
        self._reports = exporter.reports

    def on_end(self, span: ReadableSpan) -> None:
        with self._reports.of_the_sdk():  # the queue may be full
            super().on_end(span)
