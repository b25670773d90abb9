"""What follows from the database's answer: settings as FlowFuse reads them, the licence, and usage against limits."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ff_observe.catalogue.model import Reading
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PlatformSettings
from ff_observe.demo.company import DEVELOPMENT_LICENCE
from ff_observe.platform import facts
from ff_observe.platform.sources.model import SETTINGS_READING, Answer, HttpAnswer, Installation, Licence

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLATFORM = PlatformSettings()
COUNTED: dict[str, Reading] = {
    "flowfuse_users": {(): 7},
    "flowfuse_teams": {(): 3},
    "flowfuse_instances": {(): 20},
    "flowfuse_devices": {(): 4},
}
LICENCE = Licence("id-1", "EE", "teams", datetime(2027, 1, 1, tzinfo=UTC), {"users": 9, "instances": 50}, combined=True)


def answer(settings: dict[str, object] | None = None, **more: Any) -> Answer:
    return Answer(**{"settings": settings or {}, "readings": {}, "failures": {}, **more})


def found(settings: dict[str, object], platform: PlatformSettings = PLATFORM, at: datetime = AT) -> Installation:
    return facts.installation(answer(settings), platform, Installation(flowfuse_version="2.33.2"), at)


def test_the_id_of_a_platform_is_a_hash_of_its_instance_id() -> None:
    expected = hashlib.sha256(b"platform_id of metrics\x00an id \xc3\xa9?").hexdigest()[:16]
    assert facts.platform_id("an id \u00e9\ud800") == expected
    assert facts.platform_id(None) is None


@pytest.mark.parametrize("database", [True, False])
def test_whether_the_database_answers_has_two_names(database: bool) -> None:
    assert facts.liveness(database=database, http=None) == {
        "flowfuse_up": {(): int(database)},
        "flowfuse_database_up": {(): int(database)},
    }


def test_how_long_flowfuse_took_is_known_only_if_it_answered() -> None:
    answered = facts.liveness(database=True, http=HttpAnswer(0.25))
    assert answered["flowfuse_http_up"] == {(): 1}
    assert answered["flowfuse_http_duration_seconds"] == {(): 0.25}
    silent = facts.liveness(database=True, http=HttpAnswer(None, "refuses connections"))
    assert silent["flowfuse_http_up"] == {(): 0}
    assert "flowfuse_http_duration_seconds" not in silent


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("https://flows.example.com", "https://flows.example.com"),
        (" http://u:p@flows.example.com:3000/a/b/?token=x#y ", "http://flows.example.com:3000/a/b"),
        ("https://a@b@flows.example.com/X/", "https://flows.example.com/X"),
        ("ftp://flows.example.com", None),
        ("https:///path", None),
        ("http://[::1", None),
        ("flows.example.com", None),
        ("", None),
        (None, None),
    ],
)
def test_the_address_is_shown_without_its_secret_parts_or_not_at_all(written: str | None, shown: str | None) -> None:
    readings = facts.without_database(Installation(), PlatformSettings(base_url=written))
    assert readings.get("flowfuse_info") == (None if shown is None else {(shown,): 1})


def test_versions_driver_and_features_are_known_without_the_database() -> None:
    platform = PlatformSettings(driver="k8s", broker=True, file_store=False, email=True)
    readings = facts.without_database(Installation(flowfuse_version="2.33.2", nodejs_version="v20.1.0"), platform)
    assert readings == {
        "flowfuse_platform_info": {("2.33.2", "v20.1.0", "k8s"): 1},
        "flowfuse_feature_enabled": {("broker",): 1, ("file_store",): 0, ("email",): 1},
    }
    other = facts.without_database(Installation(), PlatformSettings(driver="k8s", file_store=True))
    assert other["flowfuse_platform_info"] == {("", "", "k8s"): 1}
    assert other["flowfuse_feature_enabled"] == {("broker",): 0, ("file_store",): 1, ("email",): 0}


@pytest.mark.parametrize("true", [True, 1, -0.5, "false", "0", " ", [], {}])
def test_what_javascript_takes_for_true_is_true(true: object) -> None:
    made = found({"setup:initialised": true, "telemetry:enabled": true})
    assert (made.initialised, made.telemetry_allowed) == (True, True)


@pytest.mark.parametrize("false", [False, None, 0, 0.0, -0.0, ""])
def test_what_javascript_takes_for_false_is_false(false: object) -> None:
    made = found({"setup:initialised": false, "telemetry:enabled": false})
    assert (made.initialised, made.telemetry_allowed) == (False, False)


def test_settings_that_are_not_there_are_flowfuses_defaults() -> None:
    assert found({}) == Installation(initialised=False, telemetry_allowed=True, flowfuse_version="2.33.2")


def test_settings_that_could_not_be_read_are_unknown() -> None:
    failed = answer({"instanceId": "i", "license": DEVELOPMENT_LICENCE}, failures={SETTINGS_READING: "denied"})
    made = facts.installation(failed, PLATFORM, Installation(nodejs_version="v20"), AT)
    assert made == Installation(instance_id="i", nodejs_version="v20")


@pytest.mark.parametrize(("value", "known"), [("an-id", "an-id"), ("", None), (7, None), (None, None)])
def test_an_instance_id_is_a_text(value: object, known: str | None) -> None:
    assert found({"instanceId": value}).instance_id == known


def test_a_licence_in_the_database_comes_before_one_in_the_file() -> None:
    in_file = PlatformSettings(license=Secret("not a licence"))
    both = found({"license": DEVELOPMENT_LICENCE}, in_file)
    assert both.licence is not None
    assert both.licence.id == "a428c0da-51a4-4e75-bb90-e8932b498dda"
    assert both.licence_problem is None
    of_file = found({"license": ""}, PlatformSettings(license=Secret(DEVELOPMENT_LICENCE)))
    assert of_file.licence == both.licence
    assert found({}, PlatformSettings(license=Secret(""))).licence_problem is None
    early = found({"license": DEVELOPMENT_LICENCE}, at=datetime(2024, 3, 3, tzinfo=UTC))
    assert early.licence is None
    assert early.licence_problem is not None


@pytest.mark.parametrize(
    ("settings", "platform", "place"),
    [
        ({"license": 12}, PLATFORM, "in the database"),
        ({}, PlatformSettings(license=Secret("planted")), "in flowforge.yml"),
    ],
)
def test_a_licence_that_flowfuse_refuses_is_a_problem_with_its_place_and_without_its_text(
    settings: dict[str, object], platform: PlatformSettings, place: str
) -> None:
    made = found(settings, platform)
    assert made.licence is None
    assert made.licence_problem is not None
    start = f"the licence {place} is not accepted, and FlowFuse does not start with it: the licence is not a JSON"
    assert made.licence_problem.startswith(start)
    assert "planted" not in made.licence_problem


def known_facts(known: Installation, platform: PlatformSettings = PLATFORM, **more: Any) -> dict[str, Reading]:
    made = facts.readings(answer(**{"readings": COUNTED, **more}), known, platform)
    return {name: reading for name, reading in made.items() if name not in facts.without_database(known, platform)}


def test_without_a_licence_its_limits_are_those_of_the_community_edition() -> None:
    assert known_facts(Installation(initialised=False)) == {
        **COUNTED,
        "flowfuse_initialised": {(): 0},
        "flowfuse_license_active": {(): 0},
        "flowfuse_license_limit": {("users",): 5, ("teams",): 5, ("instances",): 5},
        "flowfuse_license_usage": {("users",): 7, ("teams",): 3, ("instances",): 24},
    }


def test_a_licence_is_shown_with_its_end_limits_and_usage() -> None:
    assert known_facts(Installation(initialised=True, licence=LICENCE)) == {
        **COUNTED,
        "flowfuse_initialised": {(): 1},
        "flowfuse_license_active": {(): 1},
        "flowfuse_license_info": {("id-1", "EE", "teams"): 1},
        "flowfuse_license_expiry_timestamp_seconds": {(): 1798761600.0},
        "flowfuse_license_limit": {("users",): 9, ("instances",): 50},
        "flowfuse_license_usage": {("users",): 7, ("instances",): 24},
    }


def test_an_older_licence_limits_instances_and_devices_apart() -> None:
    limits = {"instances": 8, "devices": 9}
    made = known_facts(Installation(licence=replace(LICENCE, limits=limits, combined=False, expires_at=None)))
    assert made["flowfuse_license_limit"] == {("instances",): 8, ("devices",): 9}
    assert made["flowfuse_license_usage"] == {("instances",): 20, ("devices",): 4}
    assert "flowfuse_license_expiry_timestamp_seconds" not in made


def test_a_limit_whose_usage_could_not_be_counted_is_shown_alone() -> None:
    without_devices = {name: reading for name, reading in COUNTED.items() if name != "flowfuse_devices"}
    made = known_facts(Installation(licence=LICENCE), readings=without_devices)
    assert made["flowfuse_license_limit"] == {("users",): 9, ("instances",): 50}
    assert made["flowfuse_license_usage"] == {("users",): 7}


def test_mqtt_clients_are_limited_where_flowfuse_has_a_broker_for_teams() -> None:
    known = Installation(licence=replace(LICENCE, limits={"mqtt_clients": 20, "teams": 4}))
    assert known_facts(known)["flowfuse_license_limit"] == {("teams",): 4}
    with_broker = known_facts(known, readings={**COUNTED, "flowfuse_team_broker_clients": {(): 2}})
    assert with_broker["flowfuse_license_limit"] == {("mqtt_clients",): 20, ("teams",): 4}
    assert with_broker["flowfuse_license_usage"] == {("mqtt_clients",): 2, ("teams",): 3}


@pytest.mark.parametrize(
    ("known", "billing", "shown"),
    [
        (Installation(), True, set()),
        (Installation(licence=LICENCE), False, {"flowfuse_certified_nodes"}),
        (Installation(licence=LICENCE), True, {"flowfuse_certified_nodes", "flowfuse_trials_by_state"}),
    ],
)
def test_counts_of_licensed_and_of_billing_platforms_are_shown_only_there(
    known: Installation, billing: bool, shown: set[str]
) -> None:
    both = {"flowfuse_certified_nodes": {(): 1}, "flowfuse_trials_by_state": {("active",): 1}}
    made = known_facts(known, PlatformSettings(billing=billing), readings={**COUNTED, **both})
    assert made.keys() & both.keys() == shown
    assert made.keys() >= COUNTED.keys()


def test_without_the_settings_nothing_is_said_of_the_licence() -> None:
    made = known_facts(Installation(), failures={SETTINGS_READING: "denied"})
    assert made == COUNTED
    always = facts.without_database(Installation(), PLATFORM)
    assert facts.readings(answer(), Installation(), PLATFORM).keys() > always.keys()


def test_settings_that_could_not_be_read_are_failures_of_two_metrics() -> None:
    failed = answer(failures={"flowfuse_users": "too slow", SETTINGS_READING: "denied"})
    assert facts.failures(failed) == {
        "flowfuse_users": "too slow",
        "flowfuse_initialised": "denied",
        "flowfuse_license_active": "denied",
    }
    assert facts.failures(answer(failures={"flowfuse_users": "too slow"})) == {"flowfuse_users": "too slow"}
