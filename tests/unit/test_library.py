"""The bridge as a part of somebody else's program: `import ff_observe`."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import ff_observe
from tests.network_guard import guarded_environment
from tests.platforms import case_named
from tests.real_parts.certificates import make_certificate
from tests.unit.web.asgi import get

PLATFORM = case_named("v2.4.0-sqlite-ce")


@pytest.fixture
def settings(tmp_path: Path) -> ff_observe.Settings:
    (tmp_path / "etc").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "etc" / "flowforge.yml").write_text(
        "telemetry: {url: 'http://127.0.0.1:9/ping', backend: {prometheus: {enabled: true, port: 0}}}\n"
    )
    shutil.copyfile(PLATFORM.home / "var" / "forge.db", tmp_path / "var" / "forge.db")
    return ff_observe.load_settings(home=tmp_path)


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(ff_observe, name) is not None for name in ff_observe.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ff_observe.nothing  # noqa: B018 - the access itself is tested


def test_its_application_can_be_mounted_below_a_path_of_another(settings: ff_observe.Settings) -> None:
    async def answers(bridge: ff_observe.Bridge) -> list[httpx.Response]:
        mounted = httpx.ASGITransport(app=Starlette(routes=[Mount("/observe", app=bridge.app)]))
        async with httpx.AsyncClient(transport=mounted, base_url="http://platform") as client:
            return [await client.get(path) for path in ("/observe/", "/observe/metrics", "/observe/-/ready")]

    assert PLATFORM.stats is not None
    with ff_observe.build_bridge(settings) as bridge:
        page, metrics, ready = asyncio.run(answers(bridge))
    assert 'href="/observe/metrics"' in page.text
    assert re.search(rf"\nflowfuse_users\{{.*\}} {PLATFORM.stats['userCount']}.0\n", metrics.text)
    assert ready.status_code == 200


DEMANDS_CERTIFICATES = """\
tls_server_config:
  cert_file: certificate.pem
  key_file: key.pem
  client_ca_file: certificate.pem
  client_auth_type: RequireAndVerifyClientCert
"""


@pytest.mark.parametrize("web_config", ["", DEMANDS_CERTIFICATES])
def test_where_it_is_mounted_it_knows_of_no_client_that_it_is_local_or_has_shown_a_certificate(
    settings: ff_observe.Settings, tmp_path: Path, web_config: str
) -> None:
    make_certificate(tmp_path)
    (tmp_path / "web-config.yml").write_text(web_config)
    secured = replace(settings.prometheus, web_config_file=tmp_path / "web-config.yml")
    with ff_observe.build_bridge(replace(settings, prometheus=secured)) as bridge:
        told = json.loads(get(bridge.app, "/api/status").body)
    assert {contact["place"] for contact in told["egress"]} == {None}
    assert told["ping"]["hidden"] == ["instanceId", "platform.license.id"]


def test_it_may_be_stopped_before_it_starts_and_twice(settings: ff_observe.Settings) -> None:
    bridge = ff_observe.build_bridge(settings)
    bridge.stop()
    bridge = ff_observe.build_bridge(settings)
    bridge.start()
    assert "core ping" in {thread.name for thread in threading.enumerate()}
    bridge.stop()
    bridge.stop()


def test_it_is_started_once(settings: ff_observe.Settings) -> None:
    with ff_observe.build_bridge(settings) as bridge, pytest.raises(ff_observe.FFObserveError, match="build another"):
        bridge.start()
    with pytest.raises(ff_observe.FFObserveError, match="build another"):
        bridge.start()


def test_a_wrong_home_is_an_error_that_can_be_told(tmp_path: Path) -> None:
    with pytest.raises(ff_observe.ConfigurationError, match="there is no such file"):
        ff_observe.load_settings(home=tmp_path / "nowhere")


PROGRAM = """
import logging, sys
import ff_observe

platform = ff_observe.load_settings(home=sys.argv[1])
for settings in (platform, {"acme": platform}):
    with ff_observe.build_bridge(settings):
        logging.getLogger("ff_observe.test").warning("of the bridge")
        logging.getLogger("program").warning("of the program")
        logging.basicConfig(format="configured: %(message)s", level=logging.INFO)
        logging.getLogger("ff_observe.test").warning("of the bridge")
        logging.getLogger("program").info("of the program")
        logging.root.handlers.clear()
"""


def test_a_program_that_configures_no_logging_or_does_so_later_does_not_notice_the_outputs(
    settings: ff_observe.Settings,
) -> None:
    settings.file.write_text(
        "telemetry: {enabled: false, backend: {sentry: {dsn: 'http://key@127.0.0.1:9/1'},\n"
        "  otlp: {endpoint: 'http://127.0.0.1:9', logs: true, interval: 3600}}}\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(settings.file.parent.parent)],
        capture_output=True,
        text=True,
        env=guarded_environment(),
    )
    said = [line for line in ran.stderr.splitlines() if line.endswith(("of the bridge", "of the program"))]
    assert said == 2 * [
        *("of the bridge", "of the program"),
        *("configured: of the bridge", "configured: of the program"),
    ], ran.stderr
