"""Checks of the way to every receiver, on request: looks up names and connects to ports."""

import socket
from collections.abc import Iterator
from typing import Final
from urllib.parse import SplitResult, urlsplit

from ff_observe.delivery.connection import AbortableConnection
from ff_observe.delivery.urls import DEFAULT_PORTS, proxy_for
from ff_observe.doctor.model import Subject, error
from ff_observe.outputs import statuses
from ff_observe.outputs.model import Output
from ff_observe.problems import Finding, Severity

CONNECT_SECONDS: Final = 5.0
_PORT_WITHOUT_SCHEME: Final = 4317  # an endpoint of OTLP over gRPC


def examine_network(subject: Subject) -> Iterator[Finding]:
    """One finding for each place that an output contacts, or its proxy."""
    for output, status in statuses(subject.settings, subject.snapshot):
        for destination in output.destinations(subject.settings) if status.on is not False else ():
            yield _connected(output, destination.reveal())


def _connected(output: Output, url: str) -> Finding:
    proxy = proxy_for(url)
    try:
        parts = _parts(url if proxy is None else proxy)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, _PORT_WITHOUT_SCHEME)
    except ValueError:
        detail = "The environment names a proxy for it with an invalid address or port."
        return error("proxy", f"{output.title}: the proxy cannot be used", detail, "Correct HTTPS_PROXY or HTTP_PROXY.")
    via = "" if proxy is None else f", the proxy to {_parts(url).hostname},"
    connection = AbortableConnection()
    try:
        with connection.limited(CONNECT_SECONDS):
            connection.connect(host, port, CONNECT_SECONDS).close()
    except (socket.gaierror, UnicodeError) as failure:  # the second: not a host name, such as `a..b`
        reason = getattr(failure, "strerror", None) or "it is not a host name"
        return error(
            f"{output.name}-dns",
            f"{output.title}: {host} is not found",
            f"The name of the receiver{via} does not resolve: {reason}.",
            "Check the name, and this machine's DNS (`/etc/resolv.conf`; in a container its network).",
        )
    except (OSError, TimeoutError) as failure:
        return error(
            f"{output.name}-connect",
            f"{output.title}: {host}:{port} does not accept a connection",
            f"{host}:{port}{via} cannot be reached: {failure.strerror or 'no answer in time'}.",
            "Open it in the firewall or the NetworkPolicy, or name a proxy in HTTPS_PROXY.",
        )
    return Finding(f"{output.name}-connect", Severity.OK, f"{output.title}: {host}:{port}{via} accepts connections", "")


def _parts(url: str) -> SplitResult:
    return urlsplit(url if "://" in url else f"//{url}")
