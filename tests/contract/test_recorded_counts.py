"""The counts of every recorded platform, against what the real FlowFuse sent and answered at that moment."""

from collections.abc import Iterator
from typing import Any

import pytest

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.model import ping_fields
from ff_observe.platform.sources.model import Answer, Source
from tests.platforms import moment, postgresql_rows, postgresql_source, reported, sqlite_rows, sqlite_source, truth
from tests.recordings import Case, cases

# FlowFuse's own slips, known and not copied: PostgreSQL's adminCount before 2.11 (`u.admin === 1`).
ADMIN_COUNT_IS_ALWAYS_0 = ("v2.4.0-postgres-ce", "v2.4.0-postgres-dev")
SWAPPED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("projectTemplates",): ("projectStacks",),
    ("projectStacks",): ("projectTemplates",),
}


every_case = pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
every_case_with_a_ping = pytest.mark.parametrize(
    "case", [case for case in cases() if case.ping is not None], ids=lambda case: case.name
)
every_case_with_statistics = pytest.mark.parametrize(
    "case", [case for case in cases() if case.stats is not None], ids=lambda case: case.name
)


@pytest.fixture
def source(case: Case, request: pytest.FixtureRequest) -> Iterator[Source]:
    opened: Source = (
        postgresql_source(case, request.getfixturevalue("postgres")) if case.is_postgresql else sqlite_source(case)
    )
    yield opened
    opened.close()


def in_the_ping(answer: Answer) -> dict[tuple[str, ...], float]:
    """Our counts by their path in the ping, before the rule that an unlicensed platform sends 0 for some."""
    found: dict[tuple[str, ...], float] = {}
    for count, field in ping_fields(COUNTS):
        if count.name in answer.readings:
            key: tuple[str, ...] = () if field.label_value is None else (field.label_value,)
            found[field.path] = answer.readings[count.name].get(key, 0)
    return found


def flattened(tree: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    flat: dict[tuple[str, ...], Any] = {}
    for key, value in tree.items():
        flat.update(flattened(value, (*path, key)) if isinstance(value, dict) else {(*path, key): value})
    return flat


@every_case_with_a_ping
def test_every_count_of_the_recorded_ping_is_ours_too(case: Case, source: Source) -> None:
    assert case.ping is not None
    ours = in_the_ping(source.read(moment(case.meta["captured_at"])))
    enterprise = {field.path for count, field in ping_fields(COUNTS) if count.enterprise}
    theirs = flattened(case.ping["platform"]["counts"])
    for path, value in theirs.items():
        if path in enterprise and not case.meta["licensed"]:
            assert value == 0  # FlowFuse does not count them; ours are the truth (next test)
            continue
        own = ours[SWAPPED.get(path, path)]
        assert (own, type(own)) == (value, type(value)), path


@every_case
def test_every_count_is_what_counting_the_rows_gives(
    case: Case, source: Source, request: pytest.FixtureRequest
) -> None:
    at = moment(case.meta.get("stats_at") or "2026-11-23T12:00:00Z")
    answers = [source.read(at) for _ in range(3)]  # grouped, then by known values, then perhaps from what is known
    if case.is_postgresql:
        database = postgresql_database(source)
        with request.getfixturevalue("postgres").connect(database) as connection:
            expected = truth(postgresql_rows(connection), at)
    else:
        expected = truth(sqlite_rows(case.home / "var" / "forge.db"), at)
    for answer in answers:
        assert reported(answer.readings) == expected
        assert answer.failures == {}


def postgresql_database(source: Source) -> str:
    name = vars(vars(source)["_server"])["_database"].database
    assert isinstance(name, str)
    return name


@every_case_with_statistics
def test_every_figure_of_the_recorded_statistics_is_ours_too(case: Case, source: Source) -> None:
    stats = case.stats
    assert stats is not None
    readings = source.read(moment(case.meta["stats_at"])).readings
    plain = {
        "userCount": "users",
        "adminCount": "admins",
        "inviteCount": "invitations",
        "teamCount": "teams",
        "instanceCount": "instances",
        "deviceCount": "devices",
        "mqttClientCount": "team_broker_clients",
    }
    labelled = {
        "teamsByType": "teams_by_type",
        "instancesByState": "instances_by_state",
        "devicesByMode": "devices_by_mode",
        "devicesByLastSeen": "devices_by_last_seen",
        "teamsByBillingState": "teams_by_billing_state",
        "trialsByState": "trials_by_state",
    }
    for key, value in stats.items():
        if key == "adminCount" and case.name in ADMIN_COUNT_IS_ALWAYS_0:
            assert value == 0
            continue
        if key in plain:
            assert readings["flowfuse_" + plain[key]] == {(): value}, key
        elif key in labelled:
            ours = {label: number for (label,), number in readings["flowfuse_" + labelled[key]].items() if number}
            theirs = {label: number for label, number in value.items() if number}
            without = theirs.pop("null", 0) + theirs.pop("undefined", 0) + theirs.pop("", 0)
            assert ours.pop("none", 0) == without
            assert ours == theirs, key
        else:
            assert key.startswith("max"), f"{key} is not compared"


@every_case
def test_a_count_without_a_table_is_absent(case: Case, source: Source) -> None:
    readings = source.read(moment("2026-11-23T12:00:00Z")).readings
    has_broker = not case.name.startswith("v2.4.0")
    assert ("flowfuse_team_broker_clients" in readings) == has_broker
    assert ("flowfuse_remote_brokers" in readings) == has_broker


@every_case
def test_the_settings_are_decoded_and_no_other_leaves_the_database(case: Case, source: Source) -> None:
    settings = source.read(moment("2026-11-23T12:00:00Z")).settings
    assert set(settings) <= {"instanceId", "setup:initialised", "telemetry:enabled", "license"}
    if case.ping is not None:
        assert settings["instanceId"] == case.ping["instanceId"]
    assert settings.get("setup:initialised", False) is not ("uninitialised" in case.name)
