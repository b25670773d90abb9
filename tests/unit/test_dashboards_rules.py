"""The committed rules: they name what exists; each alert has words, a runbook, and both kinds of tests."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ff_observe.cli import build_parser
from ff_observe.generate.dashboards.licence import limit_reached_at, of_each
from ff_observe.generate.dashboards.platforms import NOT_SCRAPED
from ff_observe.generate.dashboards.queries import BY_PLATFORM, CHOSEN, by_platform
from tests.dashboards import OF_PROMETHEUS, ROOT, RULE_TESTS, RULES, alerts, known_names, misread_counters, rules
from tests.promql import selectors

RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
each_alert = pytest.mark.parametrize(
    "alert", alerts(), ids=lambda alert: f"{alert['alert']}-{alert.get('labels', {}).get('severity')}"
)
each_rule = pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule.get("alert") or rule["record"])


@each_rule
def test_a_rule_names_only_metrics_of_the_catalogue_and_asks_of_counters_how_much_they_grew(
    rule: dict[str, Any],
) -> None:
    found = selectors(rule["expr"])
    recorded = {each["record"] for each in rules() if "record" in each}
    assert found
    for selector in found:
        assert set(selector.names) <= known_names() | recorded | OF_PROMETHEUS
    assert misread_counters(rule["expr"]) == []


@each_alert
def test_an_alert_says_what_it_means(alert: dict[str, Any]) -> None:
    assert alert["alert"].startswith("FlowFuse")
    severity = alert.get("labels", {}).get("severity")
    assert severity in ("critical", "warning", "info"), f"grafana/rules: {alert['alert']} lacks a label severity"
    assert alert.get("for"), f"grafana/rules: {alert['alert']} lacks `for`"
    annotations = alert["annotations"]
    needed = {"summary", "description", "runbook_url"}
    assert set(annotations) == needed, f"grafana/rules: the annotations of {alert['alert']} are {sorted(needed)}"
    assert "{{" not in annotations["summary"]
    assert "{{ $labels." in annotations["description"]


OF_BRIDGES = {
    *("FlowFuseBridgeDown", "FlowFuseBridgeWithoutDatabase", "FlowFuseSnapshotStale"),
    *("FlowFuseConfigurationRejected", "FlowFuseOtlpExportsFailing", "FlowFuseSentryEventsLost"),
}
OF_JOBS = {"FlowFuseBridgeMissing", "FlowFuseBridgeVersionSkew", "FlowFuseVersionSkew"}
NAME_OF_PLATFORM = (
    "{{ with or $labels.platform $labels.target }}{{ . }}{{ else }}{{ with printf "
    '"last_over_time(flowfuse_info{platform_id=%q}[1h])" $labels.platform_id | query }}{{ . | first | label "base_url" '
    "}}{{ else }}{{ $labels.platform_id }}{{ end }}{{ end }}"
)
NAME_OF_BRIDGE = (
    "{{ $labels.instance }} (job {{ $labels.job }}){{ with $labels.platform }} of {{ . }}{{ else }}{{ with printf "
    '"last_over_time(flowfuse_info{job=%q,instance=%q}[7d])" $labels.job $labels.instance | query }} of {{ . | first | '
    'label "base_url" }}{{ end }}{{ end }}'
)


@each_alert
def test_an_alert_names_its_platform_and_is_one_however_many_bridges_tell_of_it(alert: dict[str, Any]) -> None:
    if "Collector" in alert["alert"] or "Fleet" in alert["alert"] or alert["alert"] in OF_JOBS:
        return
    description, expression = (" ".join(text.split()) for text in (alert["annotations"]["description"], alert["expr"]))
    if alert["alert"] in OF_BRIDGES:
        assert NAME_OF_BRIDGE in description
        assert BY_PLATFORM not in expression
    else:
        advice = f"grafana/rules: write {alert['alert']} like FlowFuseInstancesCrashing, by platform and with its name"
        assert NAME_OF_PLATFORM in description, advice
        by_platforms = rf"(max|min) by \({BY_PLATFORM}(, \w+)?\) \(label_replace\(label_join\("
        assert re.match(by_platforms, expression), advice
        assert by_platform("").partition("(, ")[2].removeprefix("label_join(, ") in expression, advice


@each_alert
def test_an_alert_has_a_runbook(alert: dict[str, Any]) -> None:
    file, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert file == "docs/runbooks.md"
    assert anchor == alert["alert"].lower()
    headings = {heading.lower() for heading in re.findall(r"^### (\w+)$", RUNBOOKS, re.MULTILINE)}
    assert anchor in headings, f"docs/runbooks.md: add `### {alert['alert']}`"


def test_the_documented_command_makes_every_runbook_url_absolute(tmp_path: Path) -> None:
    """And changes nothing else."""
    for path in RULES:
        shutil.copy(path, tmp_path)
    readme = (ROOT / "grafana" / "README.md").read_text(encoding="utf-8")
    command = next(line for line in readme.splitlines() if line.startswith("sed "))
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    for path in RULES:
        changed = (tmp_path / path.name).read_text(encoding="utf-8")
        address = "https://wiki.example.com/ff-observe/"
        assert changed.replace(address, "") == path.read_text(encoding="utf-8")
        assert changed.count(f"runbook_url: {address}docs/runbooks.md#") == changed.count("runbook_url")
        yaml.safe_load(changed)


def test_each_runbook_has_an_alert() -> None:
    described = set(re.findall(r"^### (\w+)$", RUNBOOKS, re.MULTILINE))
    assert described == {alert["alert"] for alert in alerts()}, "docs/runbooks.md has `### <alert>` for each, no more"


def test_the_commands_of_the_runbooks_exist() -> None:
    commands = re.findall(r"`ff-observe ([a-z ]+)`", RUNBOOKS)
    assert commands
    for command in commands:
        build_parser().parse_args(command.split())
    units = re.findall(r"`systemctl status ?(\S*)`", RUNBOOKS)
    assert units
    assert {f"{unit}.service" for unit in units} <= {path.name for path in (ROOT / "deploy" / "systemd").iterdir()}


def test_each_alert_is_tested_for_firing_and_for_staying_quiet() -> None:
    fired, quiet = set(), set()
    for path in RULE_TESTS:
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for check in case.get("alert_rule_test", ()):
                fired |= {(check["alertname"], expected["exp_labels"]["severity"]) for expected in check["exp_alerts"]}
                if not check["exp_alerts"]:
                    quiet.add(check["alertname"])
    untested = {(alert["alert"], alert["labels"]["severity"]) for alert in alerts()} ^ fired
    assert untested == set(), "grafana/rules/tests: add a case in which it fires"
    assert quiet == {alert["alert"] for alert in alerts()}, "grafana/rules/tests: add a case with `exp_alerts: []`"


def test_alert_and_dashboard_foretell_the_same_date() -> None:
    alert = next(alert for alert in alerts() if alert["alert"] == "FlowFuseLicenceLimitSoon")
    usage, limit = of_each("flowfuse_license_usage"), of_each("last_over_time(flowfuse_license_limit[10m])")
    expected = limit_reached_at(limit, usage, within_seconds=30 * 86_400)
    assert f"( {expected} and on (job, instance, resource) " in " ".join(alert["expr"].split())


def test_recorded_names_are_those_of_flowfuse() -> None:
    recorded = [rule["record"] for rule in rules() if "record" in rule]
    assert len(set(recorded)) == len(recorded)
    assert all(re.fullmatch(r"flowforge_[a-z0-9_]+", name) for name in recorded)


def test_what_is_recorded_is_taken_from_one_bridge_of_a_platform() -> None:
    source, *others = [rule for rule in rules() if "record" in rule]
    assert by_platform("flowfuse_up").replace(" ", "") in source["expr"].replace(" ", "")
    assert all(rule["expr"].endswith(f" and ignoring (target) {source['record']}") for rule in others)


def test_only_the_committed_files_hold_rules() -> None:
    assert [path.stem for path in RULES] == ["flowfuse-admin-stats", "flowfuse-alerts", "flowfuse-collector-alerts"]


_UNIT_SECONDS = {"minute": 60, "day": 86_400, "m": 60, "h": 3600, "d": 86_400}
_BRIDGING = re.compile(r"(?:max_over_time|min_over_time|increase)\([^\[]*\[(\d+)([mhd])\]")


def seconds_until_it_fires(alert: dict[str, Any]) -> int:
    """From the last good sample: a range that has to fill with bad ones, then `for`. Both count."""
    ranges = [int(number) * _UNIT_SECONDS[unit] for number, unit in _BRIDGING.findall(alert["expr"])]
    return max(ranges, default=0) + int(alert["for"][:-1]) * _UNIT_SECONDS[alert["for"][-1]]


def test_an_alert_that_says_how_long_says_after_how_long_it_fires() -> None:
    said = {}
    for alert in alerts():
        words = " ".join(alert["annotations"]["description"].split())
        for number, unit in re.findall(r"for (?:more than )?(\d+) (minute|day)s", words):
            said[alert["alert"]] = int(number)
            assert seconds_until_it_fires(alert) // _UNIT_SECONDS[unit] == int(number), alert["alert"]
    assert said == {
        "FlowFuseBridgeDown": 5,
        "FlowFuseDatabaseUnreachable": 4,
        "FlowFuseNotAnswering": 4,
        "FlowFusePingFailing": 3,
        "FlowFuseCollectorDown": 5,
        "FlowFuseCollectorStoreFailing": 4,
    }


def words_of(name: str) -> str:
    """Everything that an alert and its runbook say."""
    runbook = RUNBOOKS.partition(f"### {name}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    told = [value for alert in alerts() if alert["alert"] == name for value in alert["annotations"].values()]
    return " ".join(" ".join([*told, runbook]).split())


@pytest.mark.parametrize("name", ["FlowFuseLicenceExpiring", "FlowFuseLicenceExpired"])
def test_the_end_of_a_licence_is_told_as_flowfuse_enforces_it(name: str) -> None:
    """FlowFuse 2.8 and later: db/models/Device.js, containers/wrapper.js, comms/authRoutes.js, licenseCheck.js."""
    for alert in alerts():
        if alert["alert"] == name:
            words = " ".join(alert["annotations"]["description"].split())
            for consequence in (
                "new devices are refused",
                "a new or suspended instance that is started ends suspended",
                "MQTT",
                "v1 route",
                "02:00",
                "FlowFuse 2.8",
            ):
                assert consequence in words
    assert "nothing happens" not in words_of(name)
    assert "started or restarted" not in words_of(name)


def test_overage_is_permitted_with_a_licence_and_refused_without() -> None:
    """FlowFuse's models on creation: `if the product is licensed, we permit overage`."""
    licensed, unlicensed = words_of("FlowFuseLicenceOverage"), words_of("FlowFuseUnlicensedLimitReached")
    assert "permits" in licensed
    assert "platform.license.overage" in licensed
    assert not re.search("refuse|delete", licensed, re.IGNORECASE)
    assert "refuses" in unlicensed
    assert "overage" not in unlicensed


def test_no_alert_waits_for_a_state_that_flowfuses_database_never_holds() -> None:
    """`Projects.state` is what was asked for; crashes are in FlowFuse's memory (db/models/Project.js, liveState)."""
    for alert in alerts():
        for selector in selectors(alert["expr"]):
            assert not re.search("error|crashed|starting|safe", selector.matchers.get("state", ""))


def test_a_platform_is_not_scraped_on_the_dashboard_where_the_alert_says_so() -> None:
    [alert] = (each for each in alerts() if each["alert"] == "FlowFuseBridgeDown")
    assert NOT_SCRAPED.replace(f"{{{CHOSEN}}}", "").replace(f", {CHOSEN}", "") == " ".join(alert["expr"].split())
