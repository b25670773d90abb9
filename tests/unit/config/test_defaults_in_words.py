"""Defaults that the documents give in words, as they are no constants: each is what happens without the key."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from ff_observe.collector.commands import store_of_fleet
from ff_observe.collector.keys.receipts import Receipts
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store.sqlite import SQLiteStore, open_sqlite
from ff_observe.config.environment import read_environment
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.frontend.posthog import snippet
from ff_observe.outputs.otlp.choice import destinations
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.web.security import server_context
from ff_observe.web.web_config import read_web_config
from tests.attack.world import World
from tests.real_parts.certificates import make_certificate
from tests.unit.config.files import EVERY_KEY, load

CHECKS: dict[str, Callable[[Path], None]] = {}


def without(*paths: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Registers a check of what happens without these keys."""

    def register(check: Callable[[Path], None]) -> Callable[[Path], None]:
        CHECKS.update(dict.fromkeys(paths, check))
        return check

    return register


def test_every_default_in_words_is_checked() -> None:
    in_words = {key.path for _, key in EVERY_KEY if key.otherwise}
    assert in_words == CHECKS.keys(), f"add a check to {__file__}"


@pytest.mark.parametrize("path", sorted({key.path for _, key in EVERY_KEY if key.otherwise}))
def test_a_default_in_words_is_what_happens(path: str, tmp_path: Path) -> None:
    CHECKS[path](tmp_path)


@without("telemetry.ledger")
def _(home: Path) -> None:
    assert load(home, "port: 1").ping.ledger == home / "var" / "ff-observe" / "pings.jsonl"


@without("telemetry.database.ca_file")
def _(home: Path) -> None:
    certificate, _ = make_certificate(home)
    text = "db: {type: postgres, ssl: true}"
    named = {"NODE_EXTRA_CA_CERTS": str(certificate), "PGSSLROOTCERT": "root.pem"}
    root, extra = (load(home, text, **each).database for each in (named, {"NODE_EXTRA_CA_CERTS": str(certificate)}))
    assert isinstance(root, PostgreSQLDatabase)
    assert isinstance(extra, PostgreSQLDatabase)
    assert (root.ca_file, root.extra_ca_file) == (Path("root.pem"), None)
    assert (extra.ca_file, extra.extra_ca_file) == (None, certificate)
    assert "authorities: the system's and" in extra.tls_mode


@without("telemetry.platform.version")
def _(home: Path) -> None:
    (home / "app").mkdir()
    (home / "app" / "package.json").write_text('{"name": "@flowfuse/flowfuse", "version": "2.33.2"}')
    platform = load(home, "port: 1").platform
    assert InstalledVersions(home, platform).flowfuse() == "2.33.2"
    named = read_environment({"FF_OBSERVE_FLOWFUSE_VERSION": "2.34.0"})
    assert InstalledVersions(home, platform, named).flowfuse() == "2.34.0"


@without("telemetry.platform.nodejs_version")
def _(home: Path) -> None:
    platform = load(home, "port: 1").platform
    assert platform.nodejs_version is None  # Node.js is asked: tests of `InstalledVersions`
    named = read_environment({"FF_OBSERVE_NODEJS_VERSION": "v20.1.0"})
    assert InstalledVersions(home, platform, named).nodejs() == "v20.1.0"


@without("telemetry.backend.prometheus.bridge_enabled")
def _(home: Path) -> None:
    for enabled in (True, False):
        text = f"telemetry: {{backend: {{prometheus: {{enabled: {str(enabled).lower()}}}}}}}"
        assert load(home, text).prometheus.enabled is enabled


@without("telemetry.backend.prometheus.probe_url")
def _(home: Path) -> None:
    assert load(home, "base_url: https://forge.example.com").prometheus.probe_url == "https://forge.example.com"


@without("telemetry.backend.otlp.enabled")
def _(home: Path) -> None:
    assert destinations(load(home, "port: 1").otlp, {}) == {}
    in_file = load(home, "telemetry: {backend: {otlp: {endpoint: 'http://h'}}}").otlp
    assert destinations(in_file, {}).keys() == {"metrics"}
    assert destinations(load(home, "port: 1").otlp, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"}).keys() == {"metrics"}


@without(*(f"telemetry.backend.otlp.{name}" for name in ("endpoint", "protocol", "headers", "compression")))
@without(*(f"telemetry.backend.otlp.{name}" for name in ("certificate", "interval", "timeout")))
def _(home: Path) -> None:
    certificate, _ = make_certificate(home)
    general = "OTEL_EXPORTER_OTLP_"
    variables = {
        f"{general}ENDPOINT": "http://h:1",
        f"{general}PROTOCOL": "grpc",
        f"{general}HEADERS": "a=b",
        f"{general}COMPRESSION": "gzip",
        f"{general}CERTIFICATE": str(certificate),
        f"{general}TIMEOUT": "3000",
        "OTEL_METRIC_EXPORT_INTERVAL": "7000",
    }
    settings = load(home, "port: 1").otlp
    to = destinations(settings, variables)["metrics"]
    assert (to.endpoint.reveal(), to.protocol, to.compression) == ("http://h:1", "grpc", "gzip")
    assert [(name, value.reveal()) for name, value in to.headers] == [("a", "b")]
    assert (to.certificate, to.timeout_seconds, to.interval_seconds) == (certificate, 3, 7)


@without("telemetry.frontend.posthog.cookieless_mode")
def _(home: Path) -> None:
    posthog = load(home, "telemetry: {frontend: {posthog: {apikey: phc_k}}}").frontend.posthog
    assert posthog is not None
    assert "cookieless_mode" not in snippet(posthog)


@without("tls_server_config.cipher_suites", "tls_server_config.curve_preferences")
def _(home: Path) -> None:
    make_certificate(home)
    file = home / "web.yml"
    file.write_text("tls_server_config: {cert_file: certificate.pem, key_file: key.pem}")
    config = read_web_config(file)
    assert config.tls is not None
    assert config.tls.curve is None
    openssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert server_context(config, config.tls).get_ciphers() == openssl.get_ciphers()


@without("database", "address.key_file", "receipts.key_file", "keys.wrapping_key_file")
def _(home: Path) -> None:
    settings = CollectorSettings(data_dir=home)
    assert settings.database_file == home / "pings" / "pings.sqlite3"
    assert settings.sender_key_file == home / "key" / "sender.key"
    Receipts.of(settings).open()
    assert (home / "key" / "receipts.key").exists()


@without("fleet.analytics")
def _(home: Path) -> None:
    settings = CollectorSettings(data_dir=home)
    assert settings.fleet_analytics is None
    assert Collector(settings)._sink is None


@without("fleet.database")
def _(home: Path) -> None:
    settings = CollectorSettings(data_dir=home)
    assert settings.database_file is not None
    settings.database_file.parent.mkdir()
    settings.database_file.touch()
    store = store_of_fleet(settings)
    assert isinstance(store, SQLiteStore)
    assert store.path == settings.database_file


@without("fleet.epsilon")
def _(home: Path) -> None:
    assert CollectorSettings(data_dir=home).epsilon is None
    world = World(open_sqlite(home / "pings.sqlite3", CollectorSettings().duplicate_window, "collector"))
    world.honest()
    assert "privacy" not in world.public()
