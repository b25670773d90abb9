"""Platforms by configuration: the recorded ones, each output on alone, and combinations."""

import itertools
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ff_observe.outputs import OUTPUTS
from tests.end_to_end.egress_recorder import Configuration
from tests.platforms import case_named

_DATABASE = case_named("v2.4.0-sqlite-ce").home / "var" / "forge.db"
_SENTRY = "https://key@sentry.example.com/1"
_PROXY = "http://user:planted@proxy.example.com:3128"

Keys = Mapping[str, Any]
_PINGS: Mapping[str, tuple[Keys, Mapping[str, str]]] = {
    "ping": ({}, {}),
    "own collector": ({"telemetry.url": "http://collector.example.com:8080/ping"}, {}),
    "no ping": ({}, {"FF_TELEMETRY_DISABLED": "1"}),
}
_SENTRIES: Mapping[str, Keys] = {"no Sentry": {}, "Sentry": {"telemetry.backend.sentry.dsn": _SENTRY}}
_OTLPS: Mapping[str, tuple[Keys, Mapping[str, str]]] = {
    "no OTLP": ({}, {}),
    "OTLP": ({"telemetry.backend.otlp.endpoint": "https://otlp.example.com/base"}, {}),
    "OTLP over gRPC": (
        {
            "telemetry.backend.otlp.endpoint": "http://otlp.example.com:4317",
            "telemetry.backend.otlp.protocol": "grpc",
            "telemetry.backend.otlp.logs": True,
        },
        {},
    ),
    "OTLP by variables": (
        {},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otlp.example.com:4318",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces.example.com/v1/traces",
        },
    ),
}
_PROBES: Mapping[str, Keys] = {
    "no probe": {},
    "probe": {"base_url": "https://forge.example.com"},
    "probe elsewhere": {
        "base_url": "https://forge.example.com:8443",
        "telemetry.backend.prometheus.enabled": True,
        "telemetry.backend.prometheus.probe_url": "http://forge.internal:3000",
    },
}
_POSTGRESQL: Keys = {"db.type": "postgres", "db.host": "db.example.com", "db.user": "forge", "db.password": "planted"}
_WITH_PROXIES: Mapping[str, tuple[Keys, Mapping[str, str]]] = {
    "a proxy for all": ({"telemetry.backend.sentry.dsn": _SENTRY}, {"HTTPS_PROXY": _PROXY, "HTTP_PROXY": _PROXY}),
    "a proxy with exceptions": (
        {"telemetry.backend.sentry.dsn": _SENTRY},
        {"https_proxy": _PROXY, "no_proxy": "sentry.example.com"},
    ),
    "gRPC through a proxy": (_OTLPS["OTLP over gRPC"][0], {"https_proxy": "http://proxy.example.com"}),
    "gRPC ignores a proxy in capitals": (_OTLPS["OTLP over gRPC"][0], {"HTTPS_PROXY": _PROXY}),
    "gRPC makes an exception": (_OTLPS["OTLP over gRPC"][0], {"http_proxy": _PROXY, "no_proxy": "example.com"}),
    "gRPC takes a star for a name": (_OTLPS["OTLP over gRPC"][0], {"http_proxy": _PROXY, "no_proxy": "*"}),
}


def home_with(directory: Path, keys: Keys) -> str:
    """A home with these keys in FlowFuse's file, and the database of a recorded platform."""
    (directory / "etc").mkdir(parents=True)
    (directory / "var").mkdir()
    shutil.copyfile(_DATABASE, directory / "var" / "forge.db")
    tree: dict[str, Any] = {"port": 3000}
    for path, value in keys.items():
        *sections, name = path.split(".")
        below = tree
        for section in sections:
            below = below.setdefault(section, {})
        below[name] = value
    (directory / "etc" / "flowforge.yml").write_text(yaml.safe_dump(tree))
    return str(directory)


def configurations(directory: Path) -> Iterator[Configuration]:
    """All, each with a home of its own below `directory`."""
    yield from _recorded(directory)
    for number, (name, keys, variables) in enumerate((*_alone(), *_further(), *_combined())):
        yield Configuration(name, home_with(directory / str(number), keys), variables)


def _recorded(directory: Path) -> Iterator[Configuration]:
    for home in sorted(case_named("v2.4.0-sqlite-ce").home.parent.iterdir()):
        shutil.copytree(home, directory / home.name, ignore=shutil.ignore_patterns("ff-observe"))
        yield Configuration(home.name, str(directory / home.name))


def _alone() -> Iterator[tuple[str, Keys, Mapping[str, str]]]:
    for output in OUTPUTS:
        off = {} if output.build_lasting is not None else {"FF_TELEMETRY_DISABLED": "1"}
        yield f"{output.title} alone", {output.key: yaml.safe_load(output.example)}, off


def _further() -> Iterator[tuple[str, Keys, Mapping[str, str]]]:
    for name, (keys, variables) in _WITH_PROXIES.items():
        yield name, keys, variables
    yield "PostgreSQL", _POSTGRESQL, {}
    yield "PostgreSQL and Sentry", {**_POSTGRESQL, "telemetry.backend.sentry.dsn": _SENTRY}, {}
    yield "no scheduled tasks", {"housekeeper": False}, {}
    yield "opted out", {"telemetry.enabled": False}, {}
    yield "an address", {"telemetry.backend.otlp.endpoint": "http://127.77.200.1:4318"}, {}


def _combined() -> Iterator[tuple[str, Keys, Mapping[str, str]]]:
    for ping, sentry, otlp, probe in itertools.product(_PINGS, _SENTRIES, _OTLPS, _PROBES):
        keys = {**_PINGS[ping][0], **_SENTRIES[sentry], **_OTLPS[otlp][0], **_PROBES[probe]}
        yield ", ".join((ping, sentry, otlp, probe)), keys, {**_PINGS[ping][1], **_OTLPS[otlp][1]}
