"""Decides from the file and the standard variables which signals OTLP sends, where and how. The file wins.

Whether OTLP is on at all is decided by `output.status`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from ff_observe.config.environment import otlp_signals
from ff_observe.config.kinds import is_header_name, is_header_value, is_http_url
from ff_observe.config.pem import problem_with_authority, problem_with_pair
from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.errors import ConfigurationError, Problem


class Variables:
    """The standard variables, read as the OpenTelemetry specification defines them ("OpenTelemetry Protocol Exporter",
    "Environment Variable Specification"): empty means unset, one for a signal wins over the general one.

    Collects every problem; `raise_problems` raises them all as one `ConfigurationError`. They name the variable and, if
    it may hold a secret, not its value.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._problems: dict[Problem, None] = {}  # each once: three signals read the same general variable

    def raise_problems(self) -> None:
        if self._problems:
            raise ConfigurationError(tuple(self._problems))

    def text(self, name: str) -> str:
        return self._values.get(name, "").strip()

    def of_signal(self, signal: str, name: str) -> tuple[str, str]:
        """Value and name of a variable that may be set for each signal; an empty value if neither is set."""
        own, general = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", f"OTEL_EXPORTER_OTLP_{name}"
        return (self.text(own), own) if self.text(own) else (self.text(general), general)

    def word(self, signal: str, name: str, allowed: tuple[str, ...]) -> str:
        """One of a few words; empty if it is another."""
        text, variable = self.of_signal(signal, name)
        if text and text.lower() not in allowed:
            self._problem(variable, f"{text!r} is not supported; use {' or '.join(map(repr, allowed))}")
            return ""
        return text.lower()

    def seconds(self, variable: str) -> float | None:
        """A duration in seconds: the variable is in whole milliseconds."""
        text = self.text(variable)
        if not text:
            return None
        if not re.fullmatch("[0-9]{1,12}", text) or int(text) == 0:  # nothing waits for longer than those digits say
            allowed = "a whole number of milliseconds above 0, of at most 12 digits"
            self._problem(variable, f"must be {allowed}, such as 10000, and is {text!r}")
            return None
        return int(text) / 1000

    def authority(self, signal: str) -> Path | None:
        path, variable = self._path(signal, "CERTIFICATE")
        if path is not None:
            self._problem(variable, problem_with_authority(path))
        return path

    def certificate_and_key(self, signal: str) -> tuple[Path | None, Path | None]:
        """The client certificate and its key, for a receiver that asks for one."""
        certificate, variable = self._path(signal, "CLIENT_CERTIFICATE")
        key, _ = self._path(signal, "CLIENT_KEY")
        self._problem(variable, problem_with_pair(certificate, key))
        return certificate, key

    def _path(self, signal: str, name: str) -> tuple[Path | None, str]:
        text, variable = self.of_signal(signal, name)
        return (Path(text) if text else None), variable

    def headers(self, signal: str) -> dict[str, Secret]:
        """Headers by lower-case name: `name=value`, separated by commas, both percent-encoded."""
        text, variable = self.of_signal(signal, "HEADERS")
        headers: dict[str, Secret] = {}
        for pair in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = pair.partition("=")
            name, value = unquote(name).strip().lower(), unquote(value).strip()
            if not equals or not is_header_name(name) or not is_header_value(value):
                self._problem(variable, "must be name=value, several separated by commas, special characters as %XX")
            else:
                headers[name] = Secret(value)
        return headers

    def endpoint(self, variable: str, *, without_scheme: bool) -> str:
        """A URL; with `without_scheme` also `host:port`."""
        text = self.text(variable)
        if text and not is_http_url(text) and not (without_scheme and "://" not in text):
            self._problem(variable, "must be a URL that begins with http:// or https:// and names a host")
            return ""
        return text

    def _problem(self, variable: str, message: str | None) -> None:
        if message is not None:
            self._problems[Problem("environment", 0, 0, variable, message)] = None


HTTP = "http/protobuf"
GRPC = "grpc"
DEFAULT_TIMEOUT_SECONDS = 10.0  # from the specification, like the next one
DEFAULT_INTERVAL_SECONDS = 60.0
_DEFAULT_ENDPOINTS = {HTTP: "http://localhost:4318", GRPC: "http://localhost:4317"}

_TEMPORALITIES = ("cumulative", "delta", "lowmemory")

Signal = Literal["metrics", "traces", "logs"]

_SIGNALS: tuple[Signal, ...] = ("metrics", "traces", "logs")
_OF_A_RECEIVER = (
    *("ENDPOINT", "HEADERS", "PROTOCOL", "COMPRESSION", "TIMEOUT", "INSECURE"),
    *("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"),
)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one signal goes, and how.

    `endpoint` is complete: for HTTP with the path of the signal. `headers` come from the variables and the file, their
    names in lower case, as gRPC requires. `interval_seconds` is that of metrics.
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
    interval_seconds: float


def destinations(
    settings: OtlpSettings,
    environment: Mapping[str, str],
    signals: Collection[Signal] = _SIGNALS,
    *,
    traces_by_default: bool = False,
) -> dict[Signal, Destination]:
    """Those of `signals` that are on: that the file or the variables ask for (`otlp_signals`). Raises
    `ConfigurationError` for variables that cannot be used."""
    if settings.endpoint is not None:
        environment = _of_the_receiver_in_the_file(settings.endpoint.reveal(), environment)
    variables = Variables(environment)
    asked = otlp_signals(environment)
    traces_by_default = traces_by_default and not variables.text("OTEL_TRACES_EXPORTER")
    on: dict[Signal, bool] = {
        "metrics": bool(settings.enabled) or settings.endpoint is not None or "metrics" in asked,
        "traces": settings.traces or traces_by_default or "traces" in asked,
        "logs": settings.logs or "logs" in asked,
    }
    chosen = {signal: _destination(settings, variables, signal) for signal in signals if on[signal]}
    if "metrics" in chosen:  # read by the SDK, which ignores an invalid one
        variables.word("metrics", "TEMPORALITY_PREFERENCE", _TEMPORALITIES)
    variables.raise_problems()
    return chosen


def _of_the_receiver_in_the_file(endpoint: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    """The variables, without those of receivers if they name another one: its key is not for this one."""
    prefixes = ("OTEL_EXPORTER_OTLP_", *(f"OTEL_EXPORTER_OTLP_{signal.upper()}_" for signal in _SIGNALS))
    named = {environment.get(f"{prefix}ENDPOINT", "").strip().rstrip("/") for prefix in prefixes}
    if named <= {"", endpoint.rstrip("/"), *(_with_path(endpoint, signal) for signal in _SIGNALS)}:
        return environment
    of_receivers = {prefix + each for prefix in prefixes for each in _OF_A_RECEIVER}
    return {name: value for name, value in environment.items() if name not in of_receivers}


def _destination(settings: OtlpSettings, variables: Variables, signal: Signal) -> Destination:
    protocol = settings.protocol or variables.word(signal, "PROTOCOL", (HTTP, GRPC)) or HTTP
    compression = settings.compression or variables.word(signal, "COMPRESSION", ("gzip", "none")) or "none"
    _, timeout_name = variables.of_signal(signal, "TIMEOUT")
    timeout = settings.timeout_seconds or variables.seconds(timeout_name) or DEFAULT_TIMEOUT_SECONDS
    headers = variables.headers(signal) | {name.lower(): value for name, value in settings.headers}
    endpoint = _endpoint(settings, variables, signal, protocol)
    client_certificate, client_key = variables.certificate_and_key(signal)
    insecure, _ = variables.of_signal(signal, "INSECURE")
    interval = settings.interval_seconds
    if interval is None and signal == "metrics":
        interval = variables.seconds("OTEL_METRIC_EXPORT_INTERVAL")
    return Destination(
        signal,
        protocol,
        Secret(endpoint),
        tuple(headers.items()),
        timeout,
        compression,
        settings.certificate or variables.authority(signal),
        client_certificate,
        client_key,
        # The variable is for an endpoint without a scheme; a scheme decides by itself.
        endpoint.startswith("http://") or ("://" not in endpoint and insecure.lower() == "true"),
        DEFAULT_INTERVAL_SECONDS if interval is None else interval,
    )


def _endpoint(settings: OtlpSettings, variables: Variables, signal: Signal, protocol: str) -> str:
    over_grpc = protocol == GRPC
    if settings.endpoint is not None:
        base = settings.endpoint.reveal()
    else:
        own = variables.endpoint(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", without_scheme=over_grpc)
        if own:
            return own  # used as it is, also for HTTP
        base = variables.endpoint("OTEL_EXPORTER_OTLP_ENDPOINT", without_scheme=over_grpc)
        base = base or _DEFAULT_ENDPOINTS[protocol]
    return base if over_grpc else _with_path(base, signal)


def _with_path(base: str, signal: Signal) -> str:
    parts = urlsplit(base)  # keeps a query behind the path
    return parts._replace(path=f"{parts.path.rstrip('/')}/v1/{signal}").geturl()
