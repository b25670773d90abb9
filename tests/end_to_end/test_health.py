"""`ff-observe health` asks a real bridge, as the health check of a container does."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.cli import main
from ff_observe.config import load_settings
from ff_observe.running.bridge import build_bridge
from tests.network_guard import guarded_environment
from tests.platforms import case_named
from tests.real_parts.certificates import make_certificate
from tests.real_parts.processes import free_port

CASE = case_named("v2.4.0-sqlite-ce")


def configure(home: Path, **prometheus: object) -> Path:
    (home / "etc").mkdir(parents=True, exist_ok=True)
    settings = {
        "db": {"type": "sqlite", "storage": str(home / "forge.db")},
        "telemetry": {"enabled": False, "backend": {"prometheus": {"enabled": True, **prometheus}}},
    }
    (home / "etc" / "flowforge.yml").write_text(json.dumps(settings))  # JSON is YAML
    shutil.copyfile(CASE.home / "var" / "forge.db", home / "forge.db")
    return home


def health(home: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    status = main(["--home", str(home), "health", *options])
    captured = capsys.readouterr()
    return status, (captured.out + captured.err).strip()


@pytest.fixture(params=[{}, {"host": "0.0.0.0", "allow_public": True}, {"web_config_file": "web.yml"}], ids=str)
def served(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A bridge that runs on a home: plain, on all addresses, and with TLS. Proxies of the environment lead nowhere."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    home = configure(tmp_path / "home", port=free_port(), **request.param)
    make_certificate(home / "etc")
    (home / "etc" / "web.yml").write_text("tls_server_config:\n  cert_file: certificate.pem\n  key_file: key.pem\n")
    with build_bridge(load_settings(home=home, variables=guarded_environment()), serve=True):
        yield home


def test_a_bridge_that_runs_is_healthy_and_ready(served: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert health(served, capsys) == (0, "ff-observe is healthy.")
    assert health(served, capsys, "--ready") == (0, "ff-observe is ready: the platform's database answers.")


def test_no_bridge_is_not_healthy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    status, text = health(configure(tmp_path / "home", port=port), capsys)
    assert (status, text) == (1, f"ff-observe: http://127.0.0.1:{port} does not answer: Connection refused")
    assert health(tmp_path / "home", capsys, "--url", f"http://127.0.0.1:{port}")[0] == 1


def test_a_database_that_does_not_answer_is_not_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = configure(tmp_path / "home", port=free_port())
    (home / "forge.db").unlink()
    with build_bridge(load_settings(home=home, variables=guarded_environment()), serve=True):
        assert health(home, capsys)[0] == 0
        status, text = health(home, capsys, "--ready")
    assert status == 1
    assert text.endswith("answers 503: ff-observe is not ready: the platform's database does not answer.")


def test_a_port_that_only_the_bridge_knows_is_named_as_the_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = health(configure(tmp_path / "home", port=0), capsys)
    assert status == 1
    assert "telemetry.backend.prometheus.port" in text


@pytest.mark.parametrize(
    "url", ["127.0.0.1:1", "ftp://127.0.0.1:1", "http://127.0.0.1", "http://u:p@127.0.0.1:1", "http://127.0.0.1:x"]
)
def test_what_is_no_address_is_a_wrong_command_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["health", "--url", url])
    assert ended.value.code == 2
    assert "is not the address of a server" in capsys.readouterr().err
