"""Whether OTLP is on, which signals, over which protocol: the file first, then the standard variables.

Names of the variables: OpenTelemetry specification, "OpenTelemetry Protocol Exporter" and "Environment Variable
Specification". An empty variable counts as unset.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ff_observe.config.settings import OtlpSettings

HTTP = "http/protobuf"
GRPC = "grpc"
SIGNALS = ("metrics", "traces", "logs")


@dataclass(frozen=True, slots=True)
class Choice:
    """The decision, with its reason for people. `protocols` holds the signals that are on."""

    on: bool
    reason: str
    protocols: Mapping[str, str]


def choose(settings: OtlpSettings, variables: Mapping[str, str]) -> Choice:
    """Decide from the file and the environment. Metrics are on whenever OTLP is; traces and logs when asked for."""
    if settings.enabled is False:
        return Choice(False, "telemetry.backend.otlp.enabled is false", {})
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Choice(False, "OTEL_SDK_DISABLED is true", {})
    named = [name for name in map(_endpoint_variable, ("", *SIGNALS)) if variables.get(name)]
    if not settings.enabled and not named:
        return Choice(False, "switch it on with telemetry.backend.otlp.enabled: true", {})
    signals = ["metrics"]
    if settings.traces or variables.get(_endpoint_variable("traces")):
        signals.append("traces")
    if settings.logs or variables.get(_endpoint_variable("logs")):
        signals.append("logs")
    reason = "telemetry.backend.otlp.enabled is true" if settings.enabled else f"{named[0]} names an endpoint"
    return Choice(True, reason, {signal: _protocol(settings, variables, signal) for signal in signals})


def _endpoint_variable(signal: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT" if signal else "OTEL_EXPORTER_OTLP_ENDPOINT"


def _protocol(settings: OtlpSettings, variables: Mapping[str, str], signal: str) -> str:
    return (
        settings.protocol
        or variables.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
        or variables.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or HTTP
    )
