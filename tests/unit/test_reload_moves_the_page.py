"""While a reload moves the server, its old and its new address are asked: what is shown is for those of both."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ff_observe.config import load_settings
from ff_observe.config.settings import Settings
from ff_observe.errors import FFObserveError
from ff_observe.running.bridge import Bridge, build_bridge
from tests.real_parts.many_platforms import sqlite_home
from tests.real_parts.processes import free_port

PUBLIC = {"host": "0.0.0.0", "allow_public": "true"}
LOCAL = {"host": "127.0.0.1"}


def settings_at(home: Path, port: int, keys: dict[str, str]) -> Settings:
    given = {"host": keys["host"], "port": str(port), "allow_public": keys.get("allow_public", "false")}
    prefix = "FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_"
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    return load_settings(home, variables={**{prefix + key.upper(): value for key, value in given.items()}, **endpoint})


def hosts(port: int) -> set[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=10) as answer:
        status: dict[str, Any] = json.load(answer)
    return {each["place"] for each in status["egress"] if each["place"]}


def during(bridge: Bridge, name: str, ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is answered right before the reload takes that step."""
    part = bridge._platforms if name == "reload" else bridge._server
    step, said = getattr(part, name), []

    def asked_first(*arguments: object) -> object:
        said.append(ask())
        return step(*arguments)

    monkeypatch.setattr(part, name, asked_first)
    return said


@pytest.mark.parametrize(("before", "after", "step"), [(PUBLIC, LOCAL, "stop"), (LOCAL, PUBLIC, "reload")])
def test_hosts_are_shown_only_where_both_addresses_are_of_this_machine(
    before: dict[str, str], after: dict[str, str], step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, first, second = sqlite_home(tmp_path), free_port(), free_port()
    with build_bridge(settings_at(home, first, before), serve=True) as bridge:
        assert bool(hosts(first)) is (before is LOCAL)
        said = during(bridge, step, lambda: hosts(first if step == "stop" else second), monkeypatch)
        bridge.reload(settings_at(home, second, after))
        assert said == [set()]
        assert bool(hosts(second)) is (after is LOCAL)


def test_an_address_that_is_taken_changes_nothing(tmp_path: Path) -> None:
    home, first, other = sqlite_home(tmp_path), free_port(), free_port()
    with (
        build_bridge(settings_at(home, first, LOCAL), serve=True) as bridge,
        build_bridge(settings_at(home, other, PUBLIC), serve=True),
    ):
        with pytest.raises(FFObserveError, match=str(other)):
            bridge.reload(settings_at(home, other, PUBLIC))
        assert hosts(first)
