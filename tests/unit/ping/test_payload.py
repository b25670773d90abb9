"""What a ping says, and that nothing else can get into it."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.model import Reading
from ff_observe.catalogue.ping_contract import FIELDS, MAX_BODY_BYTES, Values, reviewed
from ff_observe.config.settings import PlatformSettings
from ff_observe.errors import DeliveryError
from ff_observe.outputs.ping.payload import build_payload, encode
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import Installation, Licence, OperatingSystem
from tests.recordings import Case, cases
from tests.unit.ping.samples import LICENCE, NOW, OPERATING_SYSTEM, snapshot

Leaf = tuple[tuple[str, ...], object]


def leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, (*path, key))
    else:
        yield path, value


def counts_of(platform: Snapshot) -> dict[str, object]:
    payload = build_payload(platform, PlatformSettings(), OPERATING_SYSTEM)
    return {".".join(path[2:]): value for path, value in leaves(payload) if path[:2] == ("platform", "counts")}


# Which reading a field of a recorded ping tells of, written down here once more on purpose: FlowFuse's own words, with
# the stacks and templates that it swaps under the name that FlowFuse gives them.
RECORDED = {
    "users": ("flowfuse_users", ()),
    "teams": ("flowfuse_teams", ()),
    "projects": ("flowfuse_instances", ()),
    "projectsByState.suspended": ("flowfuse_instances_by_state", ("suspended",)),
    "devices": ("flowfuse_devices", ()),
    "devicesByLastSeen.never": ("flowfuse_devices_by_last_seen", ("never",)),
    "devicesByLastSeen.day": ("flowfuse_devices_by_last_seen", ("day",)),
    "projectSnapshots": ("flowfuse_snapshots", ()),
    "projectTemplates": ("flowfuse_stacks", ()),
    "projectStacks": ("flowfuse_templates", ()),
    "libraryEntries": ("flowfuse_library_entries", ()),
    "blueprints": ("flowfuse_blueprints", ()),
    "sharedLibraryEntries": ("flowfuse_shared_library_entries", ()),
    "teamBrokerClients": ("flowfuse_team_broker_clients", ()),
    "remoteBrokers": ("flowfuse_remote_brokers", ()),
}


@pytest.mark.parametrize("case", [case for case in cases() if case.ping], ids=lambda case: case.name)
def test_a_platform_of_recorded_figures_gives_the_recorded_bytes(case: Case) -> None:
    recorded = (case.home / "ping.json").read_bytes()
    ping = json.loads(recorded)
    licensed = ping["platform"]["license"]["type"] != "CE"
    readings: dict[str, dict[tuple[str, ...], float]] = {}
    for path, value in leaves(ping["platform"]["counts"]):
        name, labels = RECORDED[".".join(path)]
        readings.setdefault(name, {})[labels] = float(str(value))
    config = ping["platform"]["config"]
    payload = build_payload(
        Snapshot(
            NOW,
            0.0,
            True,
            Installation(
                instance_id=ping["instanceId"],
                flowfuse_version=ping["env"]["flowforge"],
                nodejs_version=ping["env"]["nodejs"],
                licence=Licence(ping["platform"]["license"]["id"], "DEV", "", None) if licensed else None,
            ),
            readings,
        ),
        PlatformSettings(
            driver=config["driver"],
            broker=config["broker"]["enabled"],
            file_store=config["fileStore"]["enabled"],
            email=config["email"]["enabled"],
        ),
        OperatingSystem(**ping["os"]),
    )
    counts = ping["platform"]["counts"]
    counts["projectTemplates"], counts["projectStacks"] = counts["projectStacks"], counts["projectTemplates"]
    assert payload == ping
    swapped = re.sub(
        rb'"projectTemplates":(\d+),"projectStacks":(\d+)', rb'"projectTemplates":\2,"projectStacks":\1', recorded
    )
    assert encode(payload) == swapped


def test_a_failed_reading_is_absent_from_the_ping() -> None:
    assert counts_of(snapshot(readings={"flowfuse_users": {(): 3}})) == {"users": 3}


def test_a_label_value_that_no_row_has_is_zero() -> None:
    readings: dict[str, Reading] = {"flowfuse_instances_by_state": {("running",): 4}}
    assert counts_of(snapshot(readings=readings)) == {"projectsByState.suspended": 0}


def test_enterprise_counts_are_zero_without_a_licence_where_their_tables_exist() -> None:
    enterprise: dict[str, Reading] = {count.name: {(): 5} for count in COUNTS if count.enterprise}
    names = ["blueprints", "sharedLibraryEntries", "teamBrokerClients", "remoteBrokers"]
    assert counts_of(snapshot(readings=enterprise)) == dict.fromkeys(names, 0)
    assert counts_of(snapshot(readings=enterprise, licence=LICENCE)) == dict.fromkeys(names, 5)
    assert counts_of(snapshot(readings={})) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1, 0.5, 2.0**53, 1e300])
def test_what_is_no_count_is_absent(value: float) -> None:
    assert counts_of(snapshot(readings={"flowfuse_users": {(): value}})) == {}


@pytest.mark.parametrize("text", ["v" * 257, "a\nb", "a\x00b", "\x7f", "\ud800", "a\x85b"])
def test_a_text_that_does_not_fit_is_absent_and_not_cut(text: str) -> None:
    payload = build_payload(snapshot(nodejs_version=text), PlatformSettings(driver=text), OPERATING_SYSTEM)
    paths = [path for path, _ in leaves(payload)]
    assert ("env", "nodejs") not in paths
    assert ("env", "flowforge") in paths
    assert ("platform", "config", "driver") not in paths


def test_unknown_versions_are_absent() -> None:
    payload = build_payload(snapshot(nodejs_version=None, flowfuse_version=None), PlatformSettings(), OPERATING_SYSTEM)
    assert "env" not in payload


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland"])
def test_the_review_must_hold_on_the_day_of_the_figures_in_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    days: list[object] = []

    def noted(values: Values, day: date) -> Values:
        days.append(day)
        return reviewed(values, day)

    monkeypatch.setattr("ff_observe.outputs.ping.payload.reviewed", noted)
    taken_at = datetime(2026, 11, 24, 1, 0, tzinfo=timezone(timedelta(hours=13)))
    build_payload(replace(snapshot(), taken_at=taken_at), PlatformSettings(), OPERATING_SYSTEM)
    monkeypatch.undo()
    time.tzset()
    assert days == [date(2026, 11, 23)]


@pytest.mark.parametrize("instance_id", [None, "x" * 300, "\n"])
def test_there_is_no_ping_without_an_instance_id(instance_id: str | None) -> None:
    with pytest.raises(DeliveryError, match=r"instanceId: .* usable one\. FlowFuse writes it at its first start\.$"):
        build_payload(snapshot(instance_id=instance_id), PlatformSettings(), OPERATING_SYSTEM)


def test_text_beyond_ascii_is_sent_as_utf_8_as_javascript_does() -> None:
    assert encode({"driver": 'Zürich 😀 "x" \u2028'}) == '{"driver":"Zürich 😀 \\"x\\" \u2028"}'.encode()


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode({"users": float("nan")})


anything = st.text(max_size=300) | st.none()
numbers = st.floats() | st.integers(-(2**70), 2**70) | st.booleans() | st.text(max_size=3) | st.none()
names = st.sampled_from([*(count.name for count in COUNTS), "flowfuse_license_info", "flowfuse_teams_by_type", "x"])
labels = st.lists(st.sampled_from(["suspended", "never", "day", "jane@example.com"]) | st.text(max_size=5), max_size=2)
hostile_readings = st.dictionaries(names, st.dictionaries(labels.map(tuple), numbers, max_size=4), max_size=25)
licences = st.none() | st.builds(
    Licence, id=st.text(max_size=300), type=st.text(max_size=20), tier=st.text(max_size=5), expires_at=st.none()
)
installations = st.builds(
    Installation,
    instance_id=st.uuids().map(str) | st.text(max_size=300),
    licence=licences,
    licence_problem=anything,
    flowfuse_version=anything,
    nodejs_version=anything,
)


@given(
    readings=hostile_readings,
    installation=installations,
    platform=st.builds(
        PlatformSettings, driver=st.text(max_size=300), broker=st.booleans(), node_path=anything, base_url=anything
    ),
    system=st.builds(OperatingSystem, st.text(max_size=300), st.text(max_size=300), st.text(max_size=300)),
)
def test_nothing_beyond_the_contract_can_get_into_a_ping(
    readings: dict[str, Reading], installation: Installation, platform: PlatformSettings, system: OperatingSystem
) -> None:
    """By construction: whatever a source claims to have read, every leaf is a field of the contract, of its type and
    of its form, in the order of the contract; and it can be sent as it is."""
    try:
        payload = build_payload(Snapshot(NOW, 0.0, True, installation, readings), platform, system)
    except DeliveryError:
        return
    fields = {field.path: field for field in FIELDS}
    found = list(leaves(payload))
    for path, value in found:
        field = fields[path]
        assert field.accepts(value)
    assert [path for path, _ in found] == [field.path for field in FIELDS if field.path in dict(found)]
    body = encode(payload)
    assert json.loads(body) == payload
    assert len(body) <= MAX_BODY_BYTES
