"""Which licences the real FlowFuse loaded, with which limits; and what a snapshot of every recorded platform says."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ff_observe.config.secret import Secret
from ff_observe.config.settings import PlatformSettings
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.model import Source
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.system.clock import FrozenClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.platforms import moment, postgresql_source, sqlite_source
from tests.recordings import Case, cases, home_of, probes
from tests.reduced import licences

# The licence was given to the running platform: neither its database before nor its file has it.
NOT_TO_BE_SEEN = ("lic-runtime-apply",)
PROBES = [case for case in probes() if case.name.startswith("lic-") and case.name not in NOT_TO_BE_SEEN]


@dataclass(frozen=True)
class Seen:
    """A snapshot, and the licence that was in the file."""

    snapshot: Snapshot
    token: str


def snapshot_of(source: Source, file: Path, at: datetime) -> Seen:
    settings: dict[str, Any] = yaml.safe_load(file.read_text())
    token = settings.get("license") or ""
    platform = PlatformSettings(license=Secret(token), billing="billing" in settings, driver="stub")
    snapshots = Snapshots(source, platform, FrozenClock(at), SelfMetrics(), InstalledVersions(file.parent.parent))
    return Seen(snapshots.take(), token)


def limits(stats: dict[str, Any]) -> dict[tuple[str, ...], int]:
    """`max…` of the recorded statistics, by our names. Some licences have text where a number belongs."""
    names = {
        "maxUsers": "users",
        "maxTeams": "teams",
        "maxInstances": "instances",
        "maxDevices": "devices",
        "maxMqttClients": "mqtt_clients",
    }
    return {(names[key],): int(value) for key, value in stats.items() if key.startswith("max")}


@pytest.fixture
def source(case: Case, request: pytest.FixtureRequest) -> Iterator[Source]:
    opened: Source = (
        postgresql_source(case, request.getfixturevalue("postgres")) if case.is_postgresql else sqlite_source(case)
    )
    yield opened
    opened.close()


@pytest.mark.parametrize("case", [case for case in cases() if case.stats], ids=lambda case: case.name)
def test_a_snapshot_has_the_licence_and_the_limits_of_the_real_platform(case: Case, source: Source) -> None:
    assert case.stats is not None
    seen = snapshot_of(source, case.home / "etc" / "flowforge.yml", moment(case.meta["stats_at"])).snapshot
    licence = seen.installation.licence
    assert (licence is not None) == case.meta["licensed"]
    assert seen.readings["flowfuse_license_active"] == {(): int(case.meta["licensed"])}
    assert seen.readings["flowfuse_license_limit"] == limits(case.stats)
    if case.ping is not None:
        told = case.ping["platform"]["license"]
        assert (licence.id if licence else "", licence.type if licence else "CE") == (told["id"], told["type"])
    bills = "teamsByBillingState" in case.stats
    assert ("flowfuse_teams_by_billing_state" in seen.readings) == bills
    assert ("flowfuse_trials_by_state" in seen.readings) == bills
    assert seen.failures == {}


@pytest.mark.parametrize("case", [case for case in cases() if case.stats], ids=lambda case: case.name)
def test_usage_counts_devices_against_a_combined_limit(case: Case, source: Source) -> None:
    assert case.stats is not None
    seen = snapshot_of(source, case.home / "etc" / "flowforge.yml", moment(case.meta["stats_at"])).snapshot
    expected = {
        ("users",): case.stats["userCount"],
        ("teams",): case.stats["teamCount"],
        ("instances",): case.stats["instanceCount"] + case.stats["deviceCount"],
    }
    if "mqttClientCount" in case.stats:
        expected[("mqtt_clients",)] = case.stats["mqttClientCount"]
    assert seen.readings["flowfuse_license_usage"] == expected


@pytest.fixture
def probe(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Case, Source]]:
    """A single-question run of FlowFuse, with its database put together again."""
    licences.accept(monkeypatch)
    described: Case = request.param
    source = SQLiteSource(home_of(described, tmp_path / "home") / "var" / "forge.db")
    yield described, source
    source.close()


def seen_at(probe: Case) -> datetime:
    if probe.name == "lic-not-yet-valid":
        return datetime(2023, 6, 1, tzinfo=UTC)  # that FlowFuse ran with a clock of 2023
    return moment(probe.meta.get("captured_at") or "2026-11-23T12:00:00Z")


@pytest.mark.parametrize("probe", PROBES, indirect=True, ids=lambda case: case.id)
def test_a_licence_is_judged_as_the_real_flowfuse_judged_it(probe: tuple[Case, Source]) -> None:
    described, source = probe
    seen = snapshot_of(source, described.home / "flowforge.yml", seen_at(described))
    licence, problem = seen.snapshot.installation.licence, seen.snapshot.installation.licence_problem
    if not described.meta["platform_started"]:
        assert licence is None
        assert problem is not None
        for part in re.findall(r"[\w-]{20,}", seen.token):
            assert part not in problem
        return
    assert problem is None
    assert described.ping is not None
    told = described.ping["platform"]["license"]
    assert (licence.id if licence else "", licence.type if licence else "CE") == (told["id"], told["type"])
    if described.stats is not None:
        assert seen.snapshot.readings["flowfuse_license_limit"] == limits(described.stats)
        devices_apart = "maxDevices" in described.stats
        usage = seen.snapshot.readings["flowfuse_license_usage"]
        counted = described.stats["instanceCount"] + (0 if devices_apart else described.stats["deviceCount"])
        assert usage[("instances",)] == counted
        assert usage.get(("devices",)) == (described.stats["deviceCount"] if devices_apart else None)
