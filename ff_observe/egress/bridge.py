"""What ff-observe itself contacts: the destinations of its outputs, the platform that it reads, Sentry in a build."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from ff_observe.config import declaration as key_of
from ff_observe.config.key import Key
from ff_observe.config.kinds import is_http_url
from ff_observe.config.settings import PostgreSQLDatabase, Settings
from ff_observe.delivery.urls import DEFAULT_PORTS, next_hop
from ff_observe.egress.contact import Contact, Party
from ff_observe.errors import FFObserveError
from ff_observe.outputs import statuses
from ff_observe.outputs.model import Output, Status
from ff_observe.platform.snapshot import Snapshot

_KEYS: Final[Mapping[str, Key[Any]]] = {key.path: key for key in key_of.EVERY_KEY}
_SOURCE_MAPS_SINCE: Final = "0.1.0"


def contacts_of_outputs(settings: Settings, snapshot: Snapshot | None) -> Iterator[Contact]:
    """Of each output that is on, what this process contacts and what a visitor's browser does. Without a snapshot,
    an output that the platform's database decides is possible."""
    for output, status in statuses(settings, snapshot):
        if status.on is False:
            continue
        for destination in output.destinations(settings):
            try:
                way = next_hop(destination.url.reveal(), over_grpc=destination.over_grpc)
            except ValueError:
                continue  # a proxy that cannot be used: nothing is contacted
            yield _of_output(
                *(output, status, Party.BRIDGE, way.host, way.port),
                receiver=way.receiver,
                extra=destination.extra,
            )
        try:
            origins = output.origins(settings)
        except FFObserveError:
            continue  # an address that no browser could contact
        for origin in origins:
            parts = urlsplit(origin)
            port = parts.port or DEFAULT_PORTS.get(parts.scheme, 443)
            yield _of_output(output, status, Party.BROWSER, parts.hostname or "", port)


def _of_output(
    output: Output, status: Status, by: Party, host: str, port: int, *, receiver: str = "", extra: str = ""
) -> Contact:
    return Contact(
        host,
        port,
        by,
        output.title,
        "; ".join(filter(None, (output.content, extra))),
        output.key,
        _KEYS[output.key].since,
        output.stop,
        decided=status.reason,
        condition="" if status.on else "if the platform's database allows it",
        receiver=receiver,
    )


def contacts_of_platform(settings: Settings) -> Iterator[Contact]:
    """The platform's database, and FlowFuse itself."""
    if isinstance(settings.database, PostgreSQLDatabase) and not settings.database.host.startswith("/"):
        database = settings.database
        yield Contact(
            *(database.host, database.port, Party.BRIDGE),
            "The platform's database",
            "the questions that count, a role and its password",
            *(key_of.DATABASE_HOST.path, key_of.DATABASE_HOST.since),
            "it is what ff-observe reads: stop ff-observe",
        )
    if settings.prometheus.probe_url is not None:
        yield from _probe(settings.prometheus.probe_url)
    base_url = settings.platform.base_url or ""
    nodejs = settings.platform.nodejs_version or settings.environment.nodejs_version
    if settings.prometheus.flowfuse_enabled and nodejs is None and (way := _direct(base_url)) is not None:
        yield Contact(
            *(*way, Party.BRIDGE),
            "The version of Node.js, from FlowFuse's own metrics",
            "a request for /metrics, without credentials",
            *(key_of.PROMETHEUS_ENABLED.path, key_of.PROMETHEUS_ENABLED.since),
            f"name it in `{key_of.PLATFORM_NODEJS_VERSION.path}`",
            condition="where the version of Node.js is neither set nor found",
        )


def _probe(url: str) -> Iterator[Contact]:
    way = _direct(url)
    if way is None:
        return
    probe = Contact(
        *(*way, Party.BRIDGE),
        "Whether FlowFuse answers over HTTP",
        "a request for its public settings, without credentials",
        *(key_of.PROMETHEUS_PROBE_URL.path, key_of.PROMETHEUS_PROBE_URL.since),
        f"`{key_of.PROMETHEUS_PROBE_URL.path}: false`",
    )
    yield probe
    if url.lower().startswith("http:"):
        yield replace(
            probe,
            port=DEFAULT_PORTS["https"],
            condition="if FlowFuse redirects to https on the same host, there or on the port it names",
        )


def _direct(url: str) -> tuple[str, int] | None:
    """Host and port of a URL that is asked without a proxy; None if it is no URL."""
    if not is_http_url(url):
        return None
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]


def contacts_of_build(variables: Mapping[str, str] | None = None) -> Iterator[Contact]:
    """Sentry, where this environment lets `ff-observe sentry sourcemaps` upload."""
    from ff_observe.source_maps.credentials import read_credentials

    try:
        credentials = read_credentials(os.environ if variables is None else variables)
    except FFObserveError:
        return  # it would refuse to upload
    way = None if credentials is None else _direct(credentials.url)
    if way is not None:
        yield Contact(
            *(*way, Party.BUILD),
            "Source maps of a build",
            "bundles and source maps of the build, organisation, project and token",
            *("SENTRY_AUTH_TOKEN", _SOURCE_MAPS_SINCE),
            "leave `SENTRY_AUTH_TOKEN` out",
            condition="when `ff-observe sentry sourcemaps` runs",
        )
