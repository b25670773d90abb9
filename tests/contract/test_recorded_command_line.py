"""The commands on every recorded platform, against what the real FlowFuse sent and answered at that moment."""

import json
import shutil
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from ff_observe.cli import main
from tests.platforms import database_name, postgresql_source
from tests.real_parts import postgresql
from tests.recordings import Case, assert_as_recorded, cases

ADMIN_COUNT_IS_ALWAYS_0 = ("v2.4.0-postgres-ce", "v2.4.0-postgres-dev")  # FlowFuse's slip before 2.11

every_case = pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)


@pytest.fixture
def home(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The recorded home; of a PostgreSQL platform with a `db` section that leads to the tests' own cluster."""
    if not case.is_postgresql:
        return case.home
    cluster: postgresql.Cluster = request.getfixturevalue("postgres")
    postgresql_source(case, cluster).close()  # loads the dump
    shutil.copytree(case.home / "etc", tmp_path / "etc")
    file = tmp_path / "etc" / "flowforge.yml"
    file.chmod(0o644)
    before, _, after = file.read_text().partition("db:\n")
    rest = "".join(line for line in after.splitlines(keepends=True) if not _still_in_db(line, after))
    file.write_text(
        f"{before}db:\n  type: postgres\n  host: 127.0.0.1\n  port: {cluster.port}\n  user: postgres\n"
        f"  password: {postgresql.PASSWORD}\n  database: {database_name(case)}\n{rest}"
    )
    return tmp_path


def _still_in_db(line: str, section: str) -> bool:
    lines = section.splitlines(keepends=True)
    ended = next((number for number, text in enumerate(lines) if not text.startswith(" ")), len(lines))
    return line in lines[:ended]


def samples(text: str, parse: object = parse_text) -> dict[str, dict[str, float]]:
    """Values by name of the sample, then by label value (empty without labels)."""
    found: dict[str, dict[str, float]] = {}
    for family in (parse_openmetrics if parse is parse_openmetrics else parse_text)(text):
        for sample in family.samples:
            labels = ",".join(value for name, value in sample.labels.items() if name != "platform_id")
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


@every_case
def test_ping_show_prints_what_flowfuse_sent(
    case: Case, home: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    at = case.meta.get("captured_at") or case.meta["stats_at"]
    assert main(["--home", str(home), "ping", "show", "--at", at]) == 0
    body = capsysbinary.readouterr().out
    shown = json.loads(body)
    if case.ping is not None:
        assert_as_recorded(body, json.loads(json.dumps(case.ping)))
    has_broker_tables = not case.name.startswith("v2.4.0")
    assert ("teamBrokerClients" in shown["platform"]["counts"]) is has_broker_tables
    assert ("remoteBrokers" in shown["platform"]["counts"]) is has_broker_tables


@every_case
def test_ping_why_agrees_with_what_flowfuse_did(case: Case, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(home), "ping", "why", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["allowed"] is case.meta["ping_sent"]


@pytest.mark.parametrize("case", [case for case in cases() if case.stats is not None], ids=lambda case: case.name)
def test_metrics_equal_the_recorded_statistics(
    case: Case, home: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["--home", str(home), "metrics", "--at", case.meta["stats_at"]]) == 0
    ours = samples(capsysbinary.readouterr().out.decode())
    stats = case.stats
    assert stats is not None
    plain = {
        "userCount": "flowfuse_users",
        "adminCount": "flowfuse_admins",
        "inviteCount": "flowfuse_invitations",
        "teamCount": "flowfuse_teams",
        "instanceCount": "flowfuse_instances",
        "deviceCount": "flowfuse_devices",
        "mqttClientCount": "flowfuse_team_broker_clients",
    }
    labelled = {
        "teamsByType": "flowfuse_teams_by_type",
        "instancesByState": "flowfuse_instances_by_state",
        "devicesByMode": "flowfuse_devices_by_mode",
        "devicesByLastSeen": "flowfuse_devices_by_last_seen",
        "teamsByBillingState": "flowfuse_teams_by_billing_state",
        "trialsByState": "flowfuse_trials_by_state",
    }
    limits = {
        "maxUsers": "users",
        "maxTeams": "teams",
        "maxInstances": "instances",
        "maxDevices": "devices",
        "maxMqttClients": "mqtt_clients",
    }
    for key, value in stats.items():
        if key == "adminCount" and case.name in ADMIN_COUNT_IS_ALWAYS_0:
            assert value == 0  # the truth is checked in test_recorded_counts.py
        elif key in plain:
            assert ours[plain[key]][""] == value, key
        elif key in labelled:
            theirs = {label: number for label, number in value.items() if number}
            without = theirs.pop("null", 0) + theirs.pop("undefined", 0) + theirs.pop("", 0)
            found = {label: number for label, number in ours.get(labelled[key], {}).items() if number}
            assert found.pop("none", 0) == without, key
            assert found == theirs, key
        else:
            assert ours["flowfuse_license_limit"][limits[key]] == float(value), key


@every_case
def test_both_formats_say_the_same(case: Case, home: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    arguments = ["--home", str(home), "metrics", "--at", "2026-11-23T12:00:00Z"]
    assert main(arguments) == 0
    text = samples(capsysbinary.readouterr().out.decode())
    assert main([*arguments, "--format", "openmetrics"]) == 0
    openmetrics = samples(capsysbinary.readouterr().out.decode(), parse_openmetrics)
    platform = {name for name in text if name.startswith("flowfuse_")}
    assert platform == {name for name in openmetrics if name.startswith("flowfuse_")}
    # Others write to the disk meanwhile, and PostgreSQL's own work to its tables.
    platform -= {"flowfuse_database_disk_free_bytes", "flowfuse_database_size_bytes", "flowfuse_table_size_bytes"}
    assert {name: text[name] for name in platform} == {name: openmetrics[name] for name in platform}
