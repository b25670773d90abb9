"""What `/api/status` tells in every state, and that the page says the same."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.config.settings import OtlpSettings, PingSettings, SQLiteDatabase
from ff_observe.generate.status_schema import schema
from ff_observe.outputs import OUTPUTS
from ff_observe.platform.limits import Level
from ff_observe.problems import Finding, Severity
from ff_observe.web.status.describe import Audience
from ff_observe.web.status.markup import Markup, element, join
from ff_observe.web.status.memory import DAY, MOST_CHANGES
from ff_observe.web.status.watch import LOOK_SECONDS, Watch
from tests.status_states import (
    COUNTS,
    INSTANCE_ID,
    LICENCE,
    STATES,
    World,
    database_down,
    expired,
    failing_otlp,
    hostile,
    licence_over,
    not_initialised,
    unlicensed_at_the_limit,
)
from tests.unit.web.asgi import get
from tests.unit.web.platforms import Provider, app_of

VALIDATOR = jsonschema_rs.Draft202012Validator(schema(), validate_formats=True)


def status(world: World, audience: Audience = Audience.THIS_MACHINE) -> Any:
    return get(app_of(Provider(world.snapshot()), world.source(), audience), "/api/status").body


def document(world: World, audience: Audience = Audience.THIS_MACHINE) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(status(world, audience))
    return told


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A platform with a day behind it, for tests that change nothing."""
    world = World(tmp_path_factory.mktemp("lived"))
    world.live_through_a_day()
    world.look()
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A platform that the bridge has just begun to read."""
    made = World(tmp_path)
    made.clock.advance(DAY.total_seconds())
    made.look()
    return made


@pytest.mark.parametrize("change", [*STATES.values(), hostile], ids=[*STATES, "hostile"])
def test_in_every_state_it_answers_by_its_schema_without_a_secret(
    change: Callable[[World], None], tmp_path: Path
) -> None:
    world = World(tmp_path)
    world.clock.advance(DAY.total_seconds())
    change(world)
    world.look()
    told = document(world)
    VALIDATOR.validate(told)
    assert "planted" not in json.dumps(told)
    assert INSTANCE_ID not in json.dumps(told)


def test_the_schema_refuses_what_it_does_not_describe(world: World) -> None:
    told = document(world)
    without = {name: value for name, value in told.items() if name != "ping"}
    for wrong in ({**told, "state": "fine"}, {**told, "findings": None}, without):
        assert not VALIDATOR.is_valid(wrong)


def test_figures_have_the_curve_of_the_day_and_their_parts(lived: World) -> None:
    told = document(lived)
    figures = {figure["name"]: figure for figure in told["figures"]}
    assert {name.removeprefix("flowfuse_"): figure["value"] for name, figure in figures.items()} == COUNTS
    users = [value for value in figures["flowfuse_users"]["day"] if value is not None]
    assert (users[0], users[-1]) == (83, 84)
    (by_state,) = figures["flowfuse_instances"]["breakdowns"]
    assert sum(part["value"] for part in by_state["parts"]) == COUNTS["instances"]
    assert [each["name"] for each in figures["flowfuse_teams"]["breakdowns"]] == ["flowfuse_teams_by_type"]
    assert 0 in told["platform"]["database_day"]


def test_what_cannot_be_read_is_null_and_not_zero(world: World) -> None:
    database_down(world)
    told = document(world)
    assert {figure["value"] for figure in told["figures"]} == {None}
    assert told["read_seconds"] is None
    assert told["licence"]["active"] is None
    assert told["ping"]["body"] is None


def test_a_licence_is_overdrawn_with_permission_and_a_limit_without_one_is_not(world: World) -> None:
    licence_over(world)
    users = limits(world)["users"]
    assert users["level"] == Level.OVER
    assert users["outlook"].startswith("FlowFuse permits more than the licence covers")
    unlicensed_at_the_limit(world)
    users = limits(world)["users"]
    assert (users["used"], users["allowed"], users["level"]) == (5, 5, Level.OVER)
    assert users["outlook"].endswith("FlowFuse refuses to create another.")


@pytest.mark.parametrize(
    ("used", "level"), [(0, Level.GOOD), (79, Level.GOOD), (80, Level.NEAR), (100, Level.NEAR), (101, Level.OVER)]
)
def test_how_close_usage_is_to_the_limit_of_a_licence(world: World, used: int, level: Level) -> None:
    world.licence = replace(LICENCE, limits={"users": 100})
    world.counts["users"] = used
    assert limits(world)["users"]["level"] == level


def test_a_combined_limit_is_named_for_both(world: World) -> None:
    assert limits(world)["instances"]["title"] == "Instances and devices"
    assert limits(world)["instances"]["used"] == COUNTS["instances"] + COUNTS["devices"]
    world.licence = replace(LICENCE, combined=False, limits={"instances": 200, "devices": 2000})
    assert limits(world)["instances"]["title"] == "Instances"


def test_a_limit_that_comes_closer_says_when_it_is_reached(lived: World) -> None:
    told = limits(lived)
    assert told["teams"]["reached_at"] is None  # they do not grow
    assert told["instances"]["reached_at"] > document(lived)["taken_at"]
    assert told["instances"]["reached_at"][:10] in told["instances"]["outlook"]


def test_an_expired_licence_says_what_happens_now_and_a_valid_one_what_will_and_when(world: World) -> None:
    licence = document(world)["licence"]
    assert licence["level"] == Level.GOOD
    assert "in 212 days" in licence["outlook"]
    expired(world)
    licence = document(world)["licence"]
    assert licence["level"] == Level.OVER
    assert "02:00" in licence["outlook"]


def test_the_ping_is_shown_whole_only_to_those_who_have_shown_who_they_are(world: World) -> None:
    ping = document(world)["ping"]
    assert ping["hidden"] == ["instanceId", "platform.license.id"]
    assert LICENCE.id not in status(world).decode()
    exact = document(world, Audience.IDENTIFIED)["ping"]
    assert exact["hidden"] == []
    body, shown = json.loads(exact["body"]), json.loads(ping["body"])
    assert body["instanceId"] == INSTANCE_ID
    assert body["platform"]["license"]["id"] == LICENCE.id
    shown["instanceId"], shown["platform"]["license"]["id"] = INSTANCE_ID, LICENCE.id
    assert shown == body


def test_it_tells_what_changed_since_the_last_delivered_ping(world: World) -> None:
    assert document(world)["ping"]["changes"] is None  # none was sent
    world.send_ping()
    world.look()
    assert document(world)["ping"]["changes"] == []
    world.counts["users"] += 2
    world.licence = replace(LICENCE, id="another")
    world.look()
    ping = document(world)["ping"]
    assert ping["last"]["outcome"] == "delivered"
    assert ping["last"]["receiver"] == "ping.example:443"
    assert ping["changes"] == [
        {"field": "platform.counts.users", "before": 84, "now": 86},
        {"field": "platform.license.id", "before": "(hidden here)", "now": "(hidden here)"},
    ]


@pytest.mark.parametrize("content", [b"", b"[]\n", b'{"body": 1}\n', b"\xff\xfe\n"])
def test_a_ledger_that_was_tampered_with_leaves_the_last_ping_unknown(world: World, content: bytes) -> None:
    ledger = world.settings.ping.ledger
    assert ledger is not None
    ledger.write_bytes(content)
    world.look()
    assert document(world)["ping"]["last"] is None


def test_every_output_but_the_ping_is_listed_with_what_it_last_did(world: World) -> None:
    told = {output["name"]: output for output in document(world)["outputs"]}
    assert list(told) == [output.name for output in OUTPUTS if output.name != "ping"]
    assert told["prometheus"]["last"] == "Not fetched since the bridge started"
    assert told["otlp"]["last"] == "Nothing sent yet with these settings"
    assert told["frontend_posthog"]["last"] == ""
    world.self_metrics.delivery("otlp", None, "metrics")
    world.self_metrics.delivery("otlp", "refused", "logs")
    otlp = next(output for output in document(world)["outputs"] if output["name"] == "otlp")
    assert otlp["state"] == "fails"
    assert otlp["last"] == "Metrics delivered, logs not delivered"
    assert otlp["last_at"] == "2026-11-23T14:12:30.000Z"


def test_a_scrape_is_what_prometheus_last_did(world: World) -> None:
    application = app_of(Provider(world.snapshot()), world.source())
    get(application, "/metrics")
    (prometheus, *_) = json.loads(get(application, "/api/status").body)["outputs"]
    assert prometheus["last"] == "Metrics fetched"
    assert prometheus["last_at"] is not None


def test_the_log_notes_what_changes_and_not_what_stays(world: World) -> None:
    assert document(world)["changes"] == []
    for change in (failing_otlp, failing_otlp, database_down):
        change(world)
        world.clock.advance(60)
        world.look()
    world.database = None
    world.self_metrics.delivery("otlp", None, "metrics")
    world.clock.advance(60)
    world.look()
    solved, noted = document(world)["changes"][:2], document(world)["changes"][2:]
    assert {(change["kind"], change["text"]) for change in solved} == {
        ("good", "Solved: The platform's database does not answer"),
        ("good", "Solved: OTLP is on, and its last delivery failed"),
    }
    assert [(change["kind"], change["text"]) for change in noted] == [
        ("bad", "The platform's database does not answer"),
        ("bad", "OTLP is on, and its last delivery failed"),
    ]


def test_a_database_that_is_away_solves_no_problem(world: World) -> None:
    expired(world)
    world.look()
    database_down(world)
    world.look()
    assert not any("Solved" in change["text"] for change in document(world)["changes"])


def test_changes_of_ping_output_licence_and_version_are_noted(world: World) -> None:
    world.settings = replace(world.settings, ping=replace(world.settings.ping, sender="never"), otlp=OtlpSettings())
    world.licence = None
    world.counts = dict.fromkeys(world.counts, 0)
    world.look()
    assert {change["text"] for change in document(world)["changes"]} == {
        "The ping is not sent: `sender_never`",
        "OTLP is off",
        "Licence: none (CE)",
    }


def test_the_log_is_bounded_in_number_and_time(world: World) -> None:
    for _ in range(MOST_CHANGES):
        database_down(world)
        world.look()
        world.database = None
        world.look()
    assert len(document(world)["changes"]) == MOST_CHANGES
    world.clock.advance(timedelta(days=1, seconds=1).total_seconds())
    assert document(world)["changes"] == []


def users_read(world: World) -> int:
    """In how many steps of the day the curve of users has a value."""
    return len([value for value in document(world)["figures"][0]["day"] if value is not None])


@pytest.mark.parametrize("what", ["database", "instance_id"])
def test_another_platform_begins_without_the_curves_of_the_one_before(world: World, what: str) -> None:
    """Also one whose database took the place of the other's."""
    for _ in range(2):
        world.clock.advance(3600)
        world.look()
    assert users_read(world) == 3
    if what == "database":
        world.settings = replace(world.settings, database=SQLiteDatabase(Path("/opt/flowforge/var/forge.db")))
    else:
        world.instance_id = "another"
    world.clock.advance(3600)
    world.look()
    assert users_read(world) == 1


def test_a_platform_whose_id_is_not_known_yet_is_the_one_before(world: World) -> None:
    for name in (world.instance_id, None, world.instance_id):
        world.instance_id = name
        world.clock.advance(3600)
        world.look()
    assert users_read(world) == 4


def test_the_page_is_made_once_for_a_moment(world: World) -> None:
    provider = Provider(world.snapshot())
    application = app_of(provider, world.source())
    first = get(application).body
    assert get(application).body is first
    provider.now = replace(world.snapshot(), duration_seconds=1.0)
    assert get(application).body != first


def test_while_the_database_is_away_a_flood_of_requests_makes_one_page(world: World) -> None:
    database_down(world)
    provider = Provider(world.snapshot())
    application = app_of(provider, world.source())
    first = get(application).body
    provider.now = world.snapshot()  # each that waits in vain has its own
    assert get(application).body is first


def test_the_page_holds_what_the_answer_holds(lived: World) -> None:
    application = app_of(Provider(lived.snapshot()), lived.source(), Audience.IDENTIFIED)
    page = re.sub(r"<span[^>]*>|</span>", "", get(application).text)
    told = json.loads(get(application, "/api/status").body)
    shown = [told["ping"]["rule"], told["licence"]["summary"], *(change["text"] for change in told["changes"])]
    shown += [figure["title"] for figure in told["figures"]] + [limit["title"] for limit in told["licence"]["limits"]]
    for text in (*shown, told["ping"]["body"]):
        assert join(text) in page, text


@given(text=st.text(), other=st.text())
def test_text_never_becomes_markup(text: str, other: str) -> None:
    made = element("p", text, title=other)
    inside = made.removeprefix('<p title="').removesuffix("</p>\n").replace('">', "", 1)
    assert not set(inside) & set("<>\"'\x00\u202e\u2066")
    assert element("p", Markup("<b>")) == "<p><b></p>\n"


def test_a_young_bridge_that_keeps_no_ledger_answers_too(world: World) -> None:
    world.settings = replace(world.settings, ping=PingSettings(ledger=None))
    world.look()
    assert document(world)["ping"]["last"] is None
    assert document(world)["history"]["start"] is not None


def limits(world: World) -> dict[str, Any]:
    return {limit["resource"]: limit for limit in document(world)["licence"]["limits"]}


def test_the_watch_has_the_platform_read_where_no_output_does_and_notes_what_an_examination_found(world: World) -> None:
    found: list[Finding] = []
    provider = Provider(now=None, later=world.snapshot())
    source = replace(world.source(), examined=lambda: found)
    watch = Watch(source, provider, world.clock)
    assert watch.look() == LOOK_SECONDS
    assert provider.asked == 1
    watch.observe(world.snapshot())
    found.append(Finding("clock-off", Severity.WARNING, "The clock is wrong", "By a day.", "Set it."))
    provider.now = world.snapshot()
    watch.look()
    assert provider.asked == 1  # another output just had it read
    assert [change["text"] for change in document(world)["changes"]] == ["The clock is wrong"]
    found.clear()
    watch.look()
    assert document(world)["changes"][0]["text"] == "Solved: The clock is wrong"


def test_the_page_shows_what_an_examination_found_at_once(world: World) -> None:
    finding = Finding("clock-off", Severity.WARNING, "The clock is <wrong>", "By a day.", "Set it.")
    application = app_of(Provider(world.snapshot()), replace(world.source(), examined=lambda: [finding]))
    told = json.loads(get(application, "/api/status").body)
    assert told["findings"] == [
        {"id": "clock-off", "severity": "warning", "title": finding.title, "detail": "By a day.", "fix": "Set it."}
    ]
    assert (told["state"], told["summary"]) == ("warning", "1 warning")
    assert "The clock is &lt;wrong&gt;" in get(application).text


def test_what_leaves_is_listed_and_its_hosts_are_for_this_machine_or_those_who_identify_themselves(
    world: World,
) -> None:
    local, public, private = (
        document(world, audience)["egress"]
        for audience in (Audience.THIS_MACHINE, Audience.ANYONE, Audience.IDENTIFIED)
    )
    assert "ping.flowforge.com:443" in {each["place"] for each in local}
    assert local == private
    assert {(each["place"], each["receiver"]) for each in public} == {(None, None)}
    hidden = [{**each, "place": None, "receiver": None} for each in local]
    assert public == hidden


def test_what_the_database_forbids_does_not_leave(world: World) -> None:
    def by_bridge() -> set[str]:
        return {each["why"] for each in document(world)["egress"] if each["by"] == "ff-observe"}

    assert "Core ping" in by_bridge()
    not_initialised(world)
    world.look()
    assert "Core ping" not in by_bridge()
