"""What the file and the standard variables say about OTLP: which signals, where to, how. The file wins.

Whether OTLP is on at all is told by `config.explain`. Names and meaning of the variables: OpenTelemetry specification,
"OpenTelemetry Protocol Exporter" and "Environment Variable Specification". An empty variable counts as unset.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.errors import FFObserveError

HTTP = "http/protobuf"
GRPC = "grpc"
DEFAULT_TIMEOUT_SECONDS = 10.0  # as the specification has it, like the next one
DEFAULT_INTERVAL_SECONDS = 60.0
_DEFAULT_ENDPOINTS = {HTTP: "http://localhost:4318", GRPC: "http://localhost:4317"}

Signal = Literal["metrics", "traces", "logs"]
Variables = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one signal goes, and how. `endpoint` is complete: for HTTP with the path of the signal.

    Headers of the variables are left to the SDK, which adds them.
    """

    signal: Signal
    protocol: str
    endpoint: Secret
    headers: tuple[tuple[str, Secret], ...]
    timeout_seconds: float
    compression: str
    certificate: Path | None
    client_certificate: Path | None
    client_key: Path | None
    insecure: bool


def destinations(
    settings: OtlpSettings, variables: Variables, *, traces_by_default: bool = False
) -> dict[Signal, Destination]:
    """The signals that are on. Raises `FFObserveError` for a variable that cannot be used.

    Metrics are on wherever an endpoint is named for them (or the file says `enabled`); traces and logs when the file
    asks for them, when a variable names an endpoint of their own, or with `OTEL_TRACES_EXPORTER=otlp`.
    """
    on: dict[Signal, bool] = {
        "metrics": _metrics_on(settings, variables),
        "traces": settings.traces or _asked_for(variables, "traces", by_default=traces_by_default),
        "logs": settings.logs or _asked_for(variables, "logs"),
    }
    return {signal: _destination(settings, variables, signal) for signal in on if on[signal]}


def interval_seconds(settings: OtlpSettings, variables: Variables) -> float:
    """Between two exports of metrics: the file, else `OTEL_METRIC_EXPORT_INTERVAL` (milliseconds), else 60 s."""
    if settings.interval_seconds is not None:
        return settings.interval_seconds
    return _milliseconds(variables, "OTEL_METRIC_EXPORT_INTERVAL") or DEFAULT_INTERVAL_SECONDS


def _metrics_on(settings: OtlpSettings, variables: Variables) -> bool:
    if settings.enabled or settings.endpoint is not None:
        return True
    named = any(variables.get(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT") for part in ("", "METRICS_"))
    return named and _exporter(variables, "metrics") in ("", "otlp")


def _asked_for(variables: Variables, signal: Signal, *, by_default: bool = False) -> bool:
    exporter = _exporter(variables, signal)
    own = bool(variables.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"))
    return exporter == "otlp" or (exporter == "" and (own or by_default))


def _exporter(variables: Variables, signal: Signal) -> str:
    return variables.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower()


def _of_signal(variables: Variables, signal: Signal, name: str) -> tuple[str, str]:
    """Value and name of a variable that a signal may have of its own; an empty value if neither is set."""
    own, general = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", f"OTEL_EXPORTER_OTLP_{name}"
    return (variables[own].strip(), own) if variables.get(own) else (variables.get(general, "").strip(), general)


def _destination(settings: OtlpSettings, variables: Variables, signal: Signal) -> Destination:
    told, name = _of_signal(variables, signal, "PROTOCOL")
    protocol = settings.protocol or told or HTTP
    if protocol not in (HTTP, GRPC):
        raise FFObserveError(f"{name}: the protocol {protocol!r} is not supported; use {HTTP!r} or {GRPC!r}")
    compression, name = _of_signal(variables, signal, "COMPRESSION")
    compression = settings.compression or compression.lower() or "none"
    if compression not in ("gzip", "none"):
        raise FFObserveError(f"{name}: the compression {compression!r} is not supported; use 'gzip' or 'none'")
    _, timeout_name = _of_signal(variables, signal, "TIMEOUT")
    timeout = settings.timeout_seconds or _milliseconds(variables, timeout_name) or DEFAULT_TIMEOUT_SECONDS
    endpoint = _endpoint(settings, variables, signal, protocol)
    insecure, _ = _of_signal(variables, signal, "INSECURE")
    return Destination(
        signal,
        protocol,
        Secret(endpoint),
        settings.headers,
        timeout,
        compression,
        settings.certificate or _file(variables, signal, "CERTIFICATE"),
        _file(variables, signal, "CLIENT_CERTIFICATE"),
        _file(variables, signal, "CLIENT_KEY"),
        # The variable is for an endpoint without a scheme; one with a scheme has said so.
        endpoint.startswith("http://") or ("://" not in endpoint and insecure.lower() == "true"),
    )


def _file(variables: Variables, signal: Signal, name: str) -> Path | None:
    path, variable = _of_signal(variables, signal, name)
    if path and not Path(path).is_file():
        raise FFObserveError(f"{variable}: there is no file {path}")
    return Path(path) if path else None


def _endpoint(settings: OtlpSettings, variables: Variables, signal: Signal, protocol: str) -> str:
    own = variables.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
    if settings.endpoint is None and own:
        return own  # complete as it is, also for HTTP
    general = variables.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or _DEFAULT_ENDPOINTS[protocol]
    endpoint = settings.endpoint.reveal() if settings.endpoint is not None else general
    return endpoint if protocol == GRPC else f"{endpoint.rstrip('/')}/v1/{signal}"


def _milliseconds(variables: Variables, name: str) -> float | None:
    """The seconds that a variable with a duration means (specification: durations are whole milliseconds)."""
    text = variables.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise FFObserveError(f"{name} must be a whole number of milliseconds above 0, such as 10000, and is {text!r}")
    return int(text) / 1000
