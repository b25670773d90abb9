"""The committed rules on real parts: promtool accepts and tests them, and an alert reaches a webhook."""

import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.alert_rules import promtool_on, told_by_promtool
from tests.dashboards import RULE_TESTS, RULES, alerts, quick_rules
from tests.platforms import case_named
from tests.real_parts import alertmanager, postgresql, prometheus
from tests.real_parts.bridge import home_with, running_bridge
from tests.real_parts.processes import free_port, wait_until

PLATFORM = case_named("v2.4.0-postgres-dev")
pytestmark = prometheus.needed

ALERT = "FlowFuseDatabaseUnreachable"
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks.md"


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_promtool_accepts_the_rules(path: Path) -> None:
    checked = subprocess.run([str(prometheus.PROMTOOL), "check", "rules", path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "duplicate" not in checked.stdout + checked.stderr


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_else_stay_quiet(path: Path, tmp_path: Path) -> None:
    assert told_by_promtool(path, tmp_path) == ""


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_alerts_do_the_same_with_the_ranges_of_prometheus_3(path: Path, tmp_path: Path) -> None:
    """They leave out a sample that is exactly as old as the range: as if it were a millisecond shorter."""
    milliseconds = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}

    def shorter(found: re.Match[str]) -> str:
        return f"[{int(found[1]) * milliseconds[found[2]] - 1}ms{found[3]}"

    def shortened(rules: str) -> str:
        changed = re.sub(r"\[(\d+)([mhd])(:1h\]|\])", shorter, rules)
        assert ("ms]" in changed) is bool(re.search(r"\[\d", rules))
        return changed

    assert told_by_promtool(path, tmp_path, of_rules=shortened) == ""


def test_the_runbook_finds_a_silent_platform_and_none_that_has_only_changed_its_sender(tmp_path: Path) -> None:
    """A bridge exposes the time of its own last ping, and none after a restart."""
    (expression,) = re.findall(r"```promql\n(.*)\n```", RUNBOOKS.read_text("utf-8"))
    assert "ff_observe_ping_last_success_timestamp_seconds" in expression

    def series(platform: str, instance: str, values: str) -> dict[str, str]:
        labels = f'job="flowfuse", instance="{instance}", platform_id="{platform}"'
        name = "ff_observe_ping_last_success_timestamp_seconds"
        return {"series": f"{name}{{{labels}}}", "values": values}

    daily = [
        series("followed", "before", "0x96"),
        series("followed", "sender", "_x47 172800x23 259200x24"),
        series("silent", "restarted", "0x24 stale"),
    ]
    found = [{"labels": '{platform_id="silent"}', "value": 345600}]
    asked = [{"expr": expression, "eval_time": "96h", "exp_samples": found}]
    case = {"interval": "1h", "input_series": daily, "promql_expr_test": asked}
    (tmp_path / "test.yml").write_text(json.dumps({"tests": [case]}), encoding="utf-8")
    assert promtool_on(str(tmp_path / "test.yml")) == ""


def test_a_stopped_database_is_told_to_a_webhook_and_so_is_its_return(tmp_path: Path, open_directory: Path) -> None:
    if alertmanager.ALERTMANAGER is None:
        pytest.skip(alertmanager.MISSING)
    directory, port = open_directory / "cluster", free_port()
    postgresql.initialise(directory)
    home = home_with(
        tmp_path / "home",
        f"  type: postgres\n  host: 127.0.0.1\n  port: {port}\n  user: postgres\n"
        f"  password: {postgresql.PASSWORD}\n  database: flowforge\n",
        f"  url: http://127.0.0.1:{free_port()}/ping\n"
        "  backend:\n    prometheus:\n      enabled: true\n      port: 0\n",
    )
    with contextlib.ExitStack() as stack:
        received = stack.enter_context(alertmanager.alertmanager(tmp_path / "alertmanager"))
        with postgresql.server(directory, port):
            postgresql.Cluster(directory, port).load("flowforge", PLATFORM.home / "dump.sql")
            bridge = stack.enter_context(running_bridge(home, tmp_path))
            config = _config(tmp_path, bridge.url.removeprefix("http://"), received.port)
            asked = stack.enter_context(prometheus.prometheus(tmp_path / "prometheus", config))
            asked.wait_for("flowfuse_up", 1)
            assert received.alert(ALERT) is None
        alert = wait_until(lambda: received.alert(ALERT), "the alert")
        assert alert["labels"]["severity"] == "critical"
        assert "has answered none of its bridges" in alert["annotations"]["description"]
        with postgresql.server(directory, port):
            wait_until(lambda: received.alert(ALERT, "resolved"), "the end of the alert")


def _config(directory: Path, target: str, alertmanager_port: int) -> str:
    config = json.loads(prometheus.scrape({"flowfuse": target}, "1s"))
    config["global"]["evaluation_interval"] = "500ms"
    config["rule_files"] = quick_rules(directory)
    targets = [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]
    config["alerting"] = {"alertmanagers": [{"static_configs": targets}]}
    return json.dumps(config)


def test_the_alert_that_is_tried_is_one_of_the_committed() -> None:
    assert ALERT in {alert["alert"] for alert in alerts()}
