"""The check-ins of the daily ping, by which Sentry itself notices a ping that did not come."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ff_observe.config.secret import Secret
from ff_observe.running.bridge import Bridge as RunningBridge
from ff_observe.telemetry.platform_context import working_for
from tests.end_to_end import otlp_bridge
from tests.real_parts.envelopes import Receiver
from tests.real_parts.processes import wait_until
from tests.unit.ping.receivers import answer as ping_answer
from tests.unit.ping.receivers import receiver as ping_receiver
from tests.unit.sentry.samples import Bridge, monitored, settings


@pytest.mark.parametrize("platform", [None, "acme"])
@pytest.mark.parametrize(("delivered", "status"), [(True, "ok"), (False, "error")])
def test_a_check_in_says_how_the_day_ended_and_when_the_next_is_due(
    server: Receiver, delivered: bool, status: str, platform: str | None
) -> None:
    with working_for(platform), Bridge(monitored(server.dsn, SENTRY_ENV="staging")) as bridge:
        bridge.sentry.check_in(delivered)
    [(head, body)] = server.requests[0].items()
    assert head["type"] == "check_in"
    assert re.fullmatch("[0-9a-f]{32}", body.pop("check_in_id"))
    assert re.fullmatch("[0-9a-f]{32}", body.pop("event_id"))
    assert body == {
        "type": "check_in",
        "monitor_slug": "daily-ping",
        "status": status,
        "environment": "staging",
        "monitor_config": {
            "schedule": {"type": "interval", "value": 1, "unit": "day"},
            "checkin_margin": 1440,
            "failure_issue_threshold": 1,
            "recovery_threshold": 1,
        },
    }


def test_a_running_bridge_checks_in_for_its_ping(server: Receiver, tmp_path: Path) -> None:
    base = otlp_bridge.settings(tmp_path, otlp_bridge.sqlite("v2.4.0-sqlite-ce"), {}, ping=True)
    with ping_receiver(ping_answer(404, b"")) as refusing:
        told = replace(
            base,
            ping=replace(base.ping, url=Secret(refusing.url())),
            backend_sentry=monitored(server.dsn).backend_sentry,
        )
        with RunningBridge(told, first_ping_seconds=0.0):
            wait_until(lambda: server.requests, "a check-in")
    [(head, body)] = server.requests[0].items()
    assert (head["type"], body["status"]) == ("check_in", "error")


def test_without_a_monitor_there_is_no_check_in(server: Receiver) -> None:
    with Bridge(settings(server.dsn)) as bridge:
        bridge.sentry.check_in(True)
    assert server.requests == []
