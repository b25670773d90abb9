"""A real Prometheus scrapes the bridge over TLS, with a password, a token and a certificate of its own."""

import json
import logging
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ff_observe.cli import main
from ff_observe.config import load_settings
from ff_observe.errors import ConfigurationError, FFObserveError
from ff_observe.running.bridge import build_bridge
from tests import recordings
from tests.real_parts import htpasswd, prometheus
from tests.real_parts.certificates import make_certificate
from tests.real_parts.processes import wait_until

CASE = recordings.named("v2.4.0-sqlite-ce")


@pytest.fixture(autouse=True)
def real_programs() -> None:
    if prometheus.PROMETHEUS is None:
        pytest.skip(prometheus.MISSING)
    if htpasswd.HTPASSWD is None:
        pytest.skip(htpasswd.MISSING)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home on a recorded platform, with all that secures it beside the file."""
    etc = tmp_path / "home" / "etc"
    (etc / "web" / "client").mkdir(parents=True)
    make_certificate(etc / "web")
    make_certificate(etc / "web" / "client")
    (etc / "web" / "token").write_text("mF_9.B5f-4.1JqM\n")
    (etc / "web" / "config.yml").write_text(
        "tls_server_config:\n  cert_file: certificate.pem\n  key_file: key.pem\n"
        "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: client/certificate.pem\n"
        f"basic_auth_users:\n  prometheus: {htpasswd.bcrypt_hash('open sesame', 10)}\n"
    )
    configure(tmp_path / "home")
    return tmp_path / "home"


def configure(home: Path, *, port: int = 0, web: bool = True) -> None:
    files = {"web_config_file": "web/config.yml", "bearer_token_file": "web/token"} if web else {}
    settings = {
        "db": {"type": "sqlite", "storage": str(CASE.home / "var" / "forge.db")},
        "telemetry": {"enabled": False, "backend": {"prometheus": {"enabled": True, "port": port, **files}}},
    }
    (home / "etc" / "flowforge.yml").write_text(json.dumps(settings))  # JSON is YAML


def load(home: Path) -> Any:
    return load_settings(home=home, variables={"FF_TELEMETRY_DISABLED": "1"})


def test_prometheus_gets_in_by_password_by_token_and_not_without(home: Path, tmp_path: Path) -> None:
    web = home / "etc" / "web"
    tls = {"ca_file": str(web / "certificate.pem")}
    shown = tmp_path / "token"
    shown.write_text((web / "token").read_text())
    own = {"cert_file": str(web / "client" / "certificate.pem"), "key_file": str(web / "client" / "key.pem")}
    jobs: dict[str, dict[str, Any]] = {
        "password": {"basic_auth": {"username": "prometheus", "password": "open sesame"}},
        "token": {"authorization": {"credentials_file": str(shown)}},
        "certificate": {"authorization": {"credentials_file": str(shown)}, "tls_config": {**tls, **own}},
        "nothing": {},
        "wrong": {"basic_auth": {"username": "prometheus", "password": "open barley"}},
        "plain": {"scheme": "http"},
    }
    with build_bridge(load(home), serve=True) as bridge:
        assert bridge.url is not None
        assert bridge.url.startswith("https://127.0.0.1:")
        target = {"targets": [bridge.url.removeprefix("https://")]}
        common = {"scheme": "https", "scrape_interval": "5s", "scrape_timeout": "5s", "tls_config": tls}
        scrapes = [
            {"job_name": name, **common, "static_configs": [target], **options} for name, options in jobs.items()
        ]
        with prometheus.prometheus(tmp_path / "prometheus", json.dumps({"scrape_configs": scrapes})) as asked:
            for name in ("password", "token", "certificate"):
                asked.wait_for(f'flowfuse_up{{job="{name}"}}', 1)
            for name in ("nothing", "wrong", "plain"):
                asked.wait_for(f'up{{job="{name}"}}', 0)

            def refused() -> set[str]:
                return {each["labels"]["job"] for each in asked.targets() if "status 401" in each["lastError"]}

            wait_until(lambda: refused() == {"nothing", "wrong"}, "both to be refused")
            (web / "token").write_text("another\n")
            asked.wait_for('up{job="token"}', 0)
            shown.write_text("another\n")
            asked.wait_for('up{job="token"}', 1)
            assert asked.value('up{job="password"}') == 1


def test_switching_tls_at_the_same_address_is_refused_on_reload_and_nothing_changes(home: Path) -> None:
    trusting = ssl.create_default_context(cafile=home / "etc" / "web" / "certificate.pem")
    with build_bridge(load(home), serve=True) as bridge:
        url = f"{bridge.url}/-/healthy"
        configure(home, web=False)
        with pytest.raises(FFObserveError, match="restart"):
            bridge.reload(load(home))
        configure(home)
        (home / "etc" / "web" / "config.yml").write_text("tls_server_config: {cert_file: x, key_file: y}\n")
        with pytest.raises(ConfigurationError, match="no such file"):
            bridge.reload(load(home))
        with urllib.request.urlopen(url, timeout=5, context=trusting) as reply:
            assert reply.status == 200


def test_a_reload_uses_another_web_configuration_file_on_the_same_socket(home: Path) -> None:
    web = home / "etc" / "web"
    with build_bridge(load(home), serve=True) as bridge:
        url = f"{bridge.url}/-/healthy"
        make_certificate(web / "client")
        (web / "config.yml").rename(web / "old.yml")
        (web / "config.yml").write_text(
            "tls_server_config: {cert_file: client/certificate.pem, key_file: client/key.pem}\n"
        )
        bridge.reload(load(home))
        trusting = ssl.create_default_context(cafile=web / "client" / "certificate.pem")
        with urllib.request.urlopen(url, timeout=5, context=trusting) as reply:
            assert reply.status == 200


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_bad_web_configuration_ends_the_command_with_78(
    home: Path, command: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    (home / "etc" / "web" / "config.yml").write_text("basic_auth_users: {prometheus: open sesame}\n")
    assert main(["--home", str(home), command]) == 78
    told = capsys.readouterr().err + caplog.text
    assert "config.yml:1:32: basic_auth_users.prometheus: write a bcrypt hash" in told
    assert "sesame" not in told
