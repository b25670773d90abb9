"""The SDK's exporters, one for each signal and protocol, how to abort them, and the variables to set them up with."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ff_observe.delivery.trust import authorities
from ff_observe.errors import FFObserveError
from ff_observe.outputs.otlp.choice import HTTP, Destination, Signal

_PLACES: dict[Signal, tuple[str, str, str, str]] = {
    "metrics": ("metric_exporter", "OTLPMetricExporter", "metrics", "ExportMetricsServiceResponse"),
    "traces": ("trace_exporter", "OTLPSpanExporter", "trace", "ExportTraceServiceResponse"),
    "logs": ("_log_exporter", "OTLPLogExporter", "logs", "ExportLogsServiceResponse"),
}
"""Module and class of the exporter, below the package of its protocol; service and message of the answer."""


@dataclass(frozen=True, slots=True)
class Exporting:
    """An exporter of the SDK. `cut` aborts an export from any thread; `problem` is why the last one failed."""

    exporter: Any
    cut: Callable[[], None]
    problem: Callable[[], str | None]


_ENVIRONMENT = threading.Lock()


@contextmanager
def variables_as_the_sdk_needs_them() -> Iterator[None]:
    """The environment in which the SDK's parts are made and grpc is loaded; the program's own is restored afterwards.

    An empty variable is the same as unset in the specification, and an invalid number to the SDK. The library below
    grpc, which reads its variable when it is loaded, writes to standard error, bypassing any log, for each handshake
    that fails.
    """
    with _ENVIRONMENT:
        empty = [name for name, value in os.environ.items() if name.startswith("OTEL_") and not value]
        for name in empty:
            del os.environ[name]
        has_verbosity = "GRPC_VERBOSITY" in os.environ
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            yield
        finally:
            os.environ.update(dict.fromkeys(empty, ""))
            if not has_verbosity:
                del os.environ["GRPC_VERBOSITY"]


def exporting_to(destination: Destination) -> Exporting:
    """With the exporter of the destination's signal. Raises `FFObserveError` if the protocol needs a package that is
    not installed."""
    return _over_http(destination) if destination.protocol == HTTP else _over_grpc(destination)


def _over_http(destination: Destination) -> Exporting:
    from opentelemetry.exporter.otlp.proto.http import Compression

    from ff_observe.outputs.otlp.session import ExportSession

    module, name, service, answer = _PLACES[destination.signal]
    exporter_class = getattr(import_module(f"opentelemetry.exporter.otlp.proto.http.{module}"), name)
    session = ExportSession(getattr(_messages(service), answer), destination.certificate, _headers(destination))
    exporter = exporter_class(
        endpoint=destination.endpoint.reveal(),
        timeout=destination.timeout_seconds,
        compression=Compression.Gzip if destination.compression == "gzip" else Compression.NoCompression,
        session=session,
    )
    certificate, key = destination.client_certificate, destination.client_key
    # In place of what the exporter found in the environment.
    session.cert = (str(certificate), str(key)) if certificate and key else None

    def cut() -> None:
        session.cut()
        exporter.shutdown()  # ends a wait between two attempts

    return Exporting(exporter, cut, lambda: session.problem)


def _over_grpc(destination: Destination) -> Exporting:
    module, name, service, answer = _PLACES[destination.signal]
    try:
        import grpc

        from ff_observe.outputs.otlp.calls import Calls, over

        exporter_class = getattr(import_module(f"opentelemetry.exporter.otlp.proto.grpc.{module}"), name)
    except ImportError:
        raise FFObserveError("OTLP over gRPC needs an extra: pip install 'ff-observe[grpc]'") from None
    endpoint = destination.endpoint.reveal()
    if "@" in urlsplit(endpoint).netloc:
        raise FFObserveError("OTLP over gRPC: an endpoint holds no user and password; use a header instead")
    messages = _messages(service)
    [described] = messages.DESCRIPTOR.services_by_name.values()
    calls = Calls(described, getattr(messages, answer), destination.certificate, _headers(destination))
    exporter = over(exporter_class, calls)(
        endpoint=endpoint,
        insecure=destination.insecure,
        timeout=destination.timeout_seconds,
        compression=grpc.Compression.Gzip if destination.compression == "gzip" else grpc.Compression.NoCompression,
        credentials=None
        if destination.insecure
        else grpc.ssl_channel_credentials(
            # Without this, grpc trusts its own authorities and not the system's.
            root_certificates=_content(destination.certificate) or authorities(),
            private_key=_content(destination.client_key),
            certificate_chain=_content(destination.client_certificate),
        ),
    )
    return Exporting(exporter, exporter.shutdown, lambda: calls.problem)  # closes the channel, and every call on it


def _messages(service: str) -> Any:
    """The module with a service's requests and answers."""
    return import_module(f"opentelemetry.proto.collector.{service}.v1.{service}_service_pb2")


def _headers(destination: Destination) -> dict[str, str]:
    return {name: value.reveal() for name, value in destination.headers}


def _content(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise FFObserveError(f"OTLP: {path} cannot be read: {error.strerror}") from None
