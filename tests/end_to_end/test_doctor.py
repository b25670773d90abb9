"""`ff-observe doctor` finds planted faults, each with its advice, and the page of a running bridge shows the same."""

import asyncio
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from ff_observe.cli import main
from ff_observe.config import load_settings
from ff_observe.running.bridge import build_bridge
from tests.planted_faults import FAULTS, Fault, World, world
from tests.real_parts.bridge import running_bridge
from tests.real_parts.postgresql import PASSWORD
from tests.real_parts.processes import free_port, wait_until
from tests.real_parts.prometheus import prometheus, scrape

__all__ = ["world"]  # the fixture


def examined(world: World, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, str]]]:
    world.write()
    before = capsys.readouterr().err
    status = main(["--home", str(world.home), "doctor", "--json", *world.options])
    captured = capsys.readouterr()
    assert captured.err == before == ""
    answer = json.loads(captured.out)
    assert answer["worst"] == answer["findings"][0]["severity"]
    return status, answer["findings"]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found_with_its_advice(
    fault: Fault, world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault.plant(world)
    if fault.id != "runs-as-root":
        monkeypatch.setattr("os.geteuid", lambda: 1000)
    status, findings = examined(world, capsys)
    found = [finding for finding in findings if finding["id"] == fault.id and finding["severity"] != "ok"]
    assert found, [finding["id"] for finding in findings]
    assert fault.advice in f"{found[0]['detail']} {found[0]['fix']}"
    errors = any(finding["severity"] == "error" for finding in findings)
    assert status == (78 if fault.id == "configuration" else int(errors))
    assert PASSWORD not in json.dumps(findings)
    if not fault.unseen:
        shown = page_of(world)
        assert found[0]["title"] in shown
        assert found[0]["fix"].replace("`", "") in shown


def test_the_page_shows_at_least_twenty_of_them() -> None:
    assert len([fault for fault in FAULTS.values() if not fault.unseen]) >= 20


def page_of(world: World) -> str:
    """The words of the status page after an examination."""
    bridge = build_bridge(load_settings(world.home))
    try:
        bridge.snapshots.current()
        examination = bridge._platforms.only._parts.examination
        examination.findings()
        wait_until(lambda: examination._ended is not None, "the examination")
        return words(bridge)
    finally:
        bridge.stop()


def words(bridge: Any) -> str:
    async def ask() -> str:
        transport = httpx.ASGITransport(app=bridge.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.get("/")).text

    return unescape(re.sub(r"<[^>]*>", "", asyncio.run(ask()).replace("<wbr>", "")))


def test_what_prometheus_says_of_the_bridge(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real one, first with a target that is not there, then with the bridge."""
    port = free_port()
    world.backend(f"    prometheus: {{enabled: true, port: {port}}}\n")
    config = scrape({"bridge": f"127.0.0.1:{port}"})
    with prometheus(tmp_path / "prometheus", config) as server:
        wait_until(lambda: "down" in {one["health"] for one in server.targets()}, "the target to be down")
        world.options = ["--prometheus", server.url]
        status, findings = examined(world, capsys)
        (down,) = [finding for finding in findings if finding["id"] == "target-down"]
        assert "connection refused" in down["detail"]
        assert status == 1
        with running_bridge(world.home, tmp_path):
            wait_until(lambda: server.targets()[0]["health"] == "up", "the target to be up")
            status, findings = examined(world, capsys)
            ids = {finding["id"]: finding["severity"] for finding in findings}
            assert (ids["prometheus"], ids["port"], status) == ("ok", "ok", 0)
        world.backend("    prometheus: {enabled: true, path: /other}\n")
        _, findings = examined(world, capsys)
        assert "not-a-target" in {finding["id"] for finding in findings}


def test_one_line_for_each_in_colour_only_on_a_terminal(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.telemetry = "  enable: false\n"
    world.write()
    arguments = ["--home", str(world.home), "doctor"]
    assert main(arguments) == 0
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    lines = plain.splitlines()
    assert {line.split()[0] for line in lines} == {"warning", "ok"} | ({"note"} if "\nnote" in plain else set())
    (unknown,) = [line for line in lines if "telemetry.enable" in line]
    assert unknown.startswith("warning  The settings hold keys that ff-observe does not know. `telemetry.enable` in ")
    assert unknown.endswith("`ff-observe check` guesses what was meant.")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(arguments) == 0
    assert "\x1b[33mwarning\x1b[0m  The settings" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(arguments) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_proxy_that_cannot_be_used_is_named_for_each_receiver(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://planted:pr0xy-passw0rd@127.0.0.1:99999")
    world.options.append("--network")
    _, findings = examined(world, capsys)
    titles = [finding["title"] for finding in findings if finding["id"] == "proxy"]
    assert "Core ping: the proxy cannot be used" in titles
    assert "HTTPS_PROXY is no proxy that can be used" in titles
    assert "pr0xy-passw0rd" not in json.dumps(findings)
