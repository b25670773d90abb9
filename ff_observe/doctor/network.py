"""Checks of the way to every receiver, on request: looks up names and connects to ports."""

import socket
from collections.abc import Iterator
from typing import Final

from ff_observe.delivery.connection import AbortableConnection
from ff_observe.delivery.urls import next_hop
from ff_observe.doctor.model import Subject, error
from ff_observe.outputs import statuses
from ff_observe.outputs.model import Destination, Output
from ff_observe.problems import Finding, Severity

CONNECT_SECONDS: Final = 5.0


def examine_network(subject: Subject) -> Iterator[Finding]:
    """One finding for each place that an output contacts, or its proxy."""
    for output, status in statuses(subject.settings, subject.snapshot):
        for destination in output.destinations(subject.settings) if status.on is not False else ():
            yield _connected(output, destination)


def _connected(output: Output, destination: Destination) -> Finding:
    try:
        way = next_hop(destination.url.reveal(), over_grpc=destination.over_grpc)
    except ValueError:
        detail = "The environment names a proxy for it with an invalid address or port."
        return error("proxy", f"{output.title}: the proxy cannot be used", detail, "Correct HTTPS_PROXY or HTTP_PROXY.")
    host, port = way.host, way.port
    via = f", the proxy to {way.receiver}," if way.receiver else ""
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
