"""The SDK's exporters for a signal and a protocol. What the file does not say is left to the standard variables."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace.export import SpanExporter

from ff_observe.config.settings import OtlpSettings
from ff_observe.errors import FFObserveError
from ff_observe.outputs.otlp.choice import GRPC, HTTP

_PATHS = {"metrics": "v1/metrics", "traces": "v1/traces", "logs": "v1/logs"}


def metric_exporter(settings: OtlpSettings, protocol: str) -> MetricExporter:
    """Raises `FFObserveError` for a protocol that is not there."""
    exporter: MetricExporter
    if _is_grpc(protocol):
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

        exporter = GrpcExporter(**_grpc_arguments(settings))
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        exporter = OTLPMetricExporter(**_http_arguments(settings, "metrics"))
    return exporter


def span_exporter(settings: OtlpSettings, protocol: str) -> SpanExporter:
    """Raises `FFObserveError` for a protocol that is not there."""
    exporter: SpanExporter
    if _is_grpc(protocol):
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        exporter = GrpcExporter(**_grpc_arguments(settings))
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(**_http_arguments(settings, "traces"))
    return exporter


def log_exporter(settings: OtlpSettings, protocol: str) -> LogRecordExporter:
    """Raises `FFObserveError` for a protocol that is not there."""
    exporter: LogRecordExporter
    if _is_grpc(protocol):
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter

        exporter = GrpcExporter(**_grpc_arguments(settings))
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        exporter = OTLPLogExporter(**_http_arguments(settings, "logs"))
    return exporter


def _is_grpc(protocol: str) -> bool:
    if protocol == HTTP:
        return False
    if protocol != GRPC:
        raise FFObserveError(f"OTLP: the protocol {protocol!r} is not supported; use {HTTP!r} or {GRPC!r}")
    try:
        import opentelemetry.exporter.otlp.proto.grpc
    except ImportError:
        raise FFObserveError("OTLP over gRPC needs an extra: pip install 'ff-observe[grpc]'") from None
    return bool(opentelemetry.exporter.otlp.proto.grpc)


def _common_arguments(settings: OtlpSettings) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if settings.headers:
        arguments["headers"] = {name: value.reveal() for name, value in settings.headers}
    if settings.timeout_seconds is not None:
        arguments["timeout"] = settings.timeout_seconds
    return arguments


def _http_arguments(settings: OtlpSettings, signal: str) -> Mapping[str, Any]:
    from opentelemetry.exporter.otlp.proto.http import Compression

    arguments = _common_arguments(settings)
    if settings.endpoint is not None:
        arguments["endpoint"] = f"{settings.endpoint.reveal().rstrip('/')}/{_PATHS[signal]}"
    if settings.compression is not None:
        arguments["compression"] = Compression(settings.compression)
    if settings.certificate is not None:
        arguments["certificate_file"] = str(settings.certificate)
    return arguments


def _grpc_arguments(settings: OtlpSettings) -> Mapping[str, Any]:
    import grpc

    arguments = _common_arguments(settings)
    if settings.endpoint is not None:
        endpoint = settings.endpoint.reveal()
        arguments["endpoint"] = endpoint
        arguments["insecure"] = urlsplit(endpoint).scheme != "https"
    if settings.compression is not None:
        arguments["compression"] = grpc.Compression.Gzip if settings.compression == "gzip" else None
    if settings.certificate is not None:
        arguments["credentials"] = grpc.ssl_channel_credentials(settings.certificate.read_bytes())
    return arguments
