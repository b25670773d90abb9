"""`platform_id`: the same for all bridges of a platform, on every sample, and no other id that leaves the building."""

import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import ff_observe
from ff_observe.catalogue import BRIDGE, PLATFORM
from ff_observe.cli import main
from ff_observe.config.settings import PlatformSettings, SQLiteDatabase
from ff_observe.errors import SourceError
from ff_observe.exposition.formats import Format
from ff_observe.outputs.otlp.resource import service_instance_id
from ff_observe.outputs.prometheus import render
from ff_observe.platform.facts import platform_id, without_database
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.model import SETTINGS_READING, Installation
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.platforms import case_named
from tests.unit.otlp.test_metrics import READINGS, families, translated
from tests.unit.platform.scripted_source import AT, ScriptedSource, StandingClock
from tests.unit.platform.scripted_source import PLATFORM as SETTINGS

CASE = case_named("v2.4.0-sqlite-dev")
INSTANCE_ID = "af60f42a-fc6c-4f34-b050-6d89fcb458dc"


@pytest.fixture
def source() -> ScriptedSource:
    return ScriptedSource()


@pytest.fixture
def snapshots(source: ScriptedSource, tmp_path: Path) -> Snapshots:
    return Snapshots(source, SETTINGS, StandingClock(), SelfMetrics(), InstalledVersions(tmp_path, SETTINGS))


@given(st.uuids(), st.uuids())
def test_it_is_a_hash_of_the_instance_id_for_this_purpose_alone(one: uuid.UUID, other: uuid.UUID) -> None:
    made = platform_id(str(one))
    assert made is not None
    assert re.fullmatch(r"[0-9a-f]{16}", made)
    assert (made == platform_id(str(other))) is (one == other)
    time_of_day = hashlib.sha256(b"time of the daily ping\0" + str(one).encode())
    for known in (str(one), service_instance_id(str(one))):
        assert made not in known.replace("-", "")
        assert made not in hashlib.sha256(known.encode()).hexdigest()  # of which the state file has a part
    assert made not in time_of_day.hexdigest()


def test_every_sample_of_every_output_carries_it() -> None:
    platform = {metric.name: READINGS[metric.name] for metric in PLATFORM}
    bridge = {metric.name: READINGS[metric.name] for metric in BRIDGE}
    snapshot = Snapshot(AT, 0.01, True, Installation(), platform, platform_id=platform_id(INSTANCE_ID))
    ours = families(render(snapshot, bridge, Format.TEXT_0_0_4).decode())
    assert len(ours) == len((*PLATFORM, *BRIDGE))
    for _, _, samples in ours.values():
        assert {dict(labels)["platform_id"] for labels in samples} == {snapshot.platform_id}
    assert translated(snapshot.readings_with(bridge), platform_id=snapshot.platform_id) == ours


def test_it_is_unknown_until_the_database_has_answered_and_stays_while_it_does_not(
    snapshots: Snapshots, source: ScriptedSource
) -> None:
    source.error = SourceError("down")
    assert snapshots.take().platform_id is None
    source.error = None
    known = snapshots.take().platform_id
    assert known == platform_id("abc")
    source.error = SourceError("down")
    assert snapshots.take().platform_id == snapshots.unanswered(1).platform_id == known
    source.error, source.settings, source.failures = None, {}, {SETTINGS_READING: "permission denied"}
    assert snapshots.take().platform_id == known


def test_without_it_a_sample_has_no_such_label(snapshots: Snapshots, source: ScriptedSource) -> None:
    source.error = SourceError("down")
    text = render(snapshots.take(), SelfMetrics().readings(), Format.TEXT_0_0_4).decode()
    assert "flowfuse_up 0.0\n" in text
    assert "platform_id" not in text


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[ff_observe.Bridge]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "flowforge.yml").write_text(
        f"db: {{type: sqlite, storage: '{CASE.home / 'var' / 'forge.db'}'}}\ntelemetry: {{enabled: false}}\n"
    )
    built = ff_observe.build_bridge(ff_observe.load_settings(home=tmp_path))
    yield built
    built.stop()


def test_a_reload_keeps_it_unless_the_database_is_another(bridge: ff_observe.Bridge, tmp_path: Path) -> None:
    known = bridge.snapshots.take().platform_id
    assert known is not None
    bridge.start()
    bridge.reload(replace(bridge.settings, platform=replace(bridge.settings.platform, broker=True)))
    assert bridge.snapshots.unanswered(0).platform_id == known
    bridge.reload(replace(bridge.settings, database=SQLiteDatabase(tmp_path / "another.db")))
    assert bridge.snapshots.unanswered(0).platform_id is None


def test_it_is_not_in_the_ping(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(CASE.home), "metrics"]) == 0
    exposed = {
        sample.labels["platform_id"]
        for family in text_string_to_metric_families(capsys.readouterr().out)
        for sample in family.samples
    }
    assert len(exposed) == 1
    assert main(["--home", str(CASE.home), "ping", "show"]) == 0
    assert exposed.pop() not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("base_url", "shown"),
    [
        ("https://forge.example.com/", "https://forge.example.com"),
        ("https://forge.example.com:8443/flow/", "https://forge.example.com:8443/flow"),
        ("http://user:planted@forge.example.com", "http://forge.example.com"),
        ("http://us@er:pl@nted@[::1]:3000", "http://[::1]:3000"),
        ("https://forge.example.com/?token=planted#planted", "https://forge.example.com"),
        ("forge.example.com", None),
        ("https://[planted", None),
        ("", None),
        (None, None),
    ],
)
def test_the_address_is_shown_without_what_may_be_secret(base_url: str | None, shown: str | None) -> None:
    readings = without_database(Installation(), PlatformSettings(driver="stub", base_url=base_url))
    assert readings.get("flowfuse_info") == (None if shown is None else {(shown,): 1})


@given(st.text(st.characters(exclude_characters="@/?#", exclude_categories=["Cs"]), min_size=6))
def test_no_password_of_an_address_is_shown(password: str) -> None:
    address = f"http://user:{password}zzz@forge.example.com"
    readings = without_database(Installation(), PlatformSettings(driver="stub", base_url=address))
    assert readings.get("flowfuse_info", {("http://forge.example.com",): 1}) == {("http://forge.example.com",): 1}
