"""Which signals go over OTLP, and over which protocol: the file first, then the standard variables.

Whether OTLP is on at all is told by `config.explain`. Names of the variables: OpenTelemetry specification,
"OpenTelemetry Protocol Exporter". An empty variable counts as unset.
"""

from collections.abc import Mapping

from ff_observe.config.settings import OtlpSettings

HTTP = "http/protobuf"
GRPC = "grpc"


def choose_protocols(settings: OtlpSettings, variables: Mapping[str, str]) -> Mapping[str, str]:
    """The protocol of each signal that is on. Metrics are always on; traces and logs when asked for, by the file or by
    an endpoint of their own."""
    signals = ["metrics"]
    if settings.traces or variables.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        signals.append("traces")
    if settings.logs or variables.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"):
        signals.append("logs")
    return {signal: _protocol(settings, variables, signal) for signal in signals}


def _protocol(settings: OtlpSettings, variables: Mapping[str, str], signal: str) -> str:
    return (
        settings.protocol
        or variables.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
        or variables.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or HTTP
    )
