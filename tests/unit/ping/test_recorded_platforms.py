"""Consent and payload on the recorded platforms and configuration probes, against what real FlowFuse did there."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ff_observe.config import load_settings
from ff_observe.config.settings import Settings, SQLiteDatabase
from ff_observe.errors import ConfigurationError
from ff_observe.outputs.ping.consent import decide
from ff_observe.outputs.ping.sending import preview
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.system.clock import FrozenClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.recordings import Case, assert_as_recorded, cases, home_of, probes
from tests.reduced import licences
from tests.unit.ping.samples import OPERATING_SYSTEM

STARTED = [probe for probe in probes() if probe.meta["platform_started"]]
OUR_ERRORS = {"gate-yml-no-ce", "gate-yml-off-ce", "gate-yml-string-false-ce", "gate-yml-zero-ce"}
"""FlowFuse takes these for true; to us, what is no boolean where one belongs is a mistake to be corrected."""
DELIVERY_FAILED = {"post-ftp", "post-nohost", "post-refused"}
"""Allowed, and none arrived: the URL is wrong or nobody listens."""
LIVE_MAIL = {"cfg-email-smtp-refused", "cfg-email-ses"}
"""FlowFuse reports whether its mail server answers, which neither file nor database shows: ours says it is enabled."""
RUNTIME_LICENCE = {"lic-runtime-apply", "v24-runtime-apply"}
"""A licence applied without a restart: FlowFuse itself does not know yet what it counts, and leaves it out."""


def look(home: Path, at: str, variables: dict[str, str]) -> tuple[Snapshot, Settings]:
    settings = load_settings(home, variables=variables)
    assert isinstance(settings.database, SQLiteDatabase)
    source = SQLiteSource(settings.database.path)
    moment = datetime.fromisoformat(at)
    versions = InstalledVersions(home, settings.platform, settings.environment)
    snapshots = Snapshots(source, settings.platform, FrozenClock(moment), SelfMetrics(), versions)
    try:
        return snapshots.take(moment), settings
    finally:
        source.close()


@pytest.mark.parametrize("case", [case for case in cases() if not case.is_postgresql], ids=lambda case: case.name)
def test_a_recorded_platform_is_treated_as_flowfuse_did(case: Case) -> None:
    at = case.meta.get("captured_at") or case.meta["stats_at"] or datetime.now(UTC).isoformat()
    snapshot, settings = look(case.home, at, {})
    assert snapshot.up
    assert decide(snapshot, settings).allowed is case.meta["ping_sent"]
    if case.ping is not None:
        assert_as_recorded(preview(snapshot, settings, OPERATING_SYSTEM), json.loads(json.dumps(case.ping)))


@pytest.mark.parametrize("probe", STARTED, ids=lambda probe: probe.id)
def test_a_probe_is_treated_as_flowfuse_did(probe: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    licences.accept(monkeypatch)
    meta = probe.meta
    home = home_of(probe, tmp_path / "home")
    if probe.name in OUR_ERRORS:
        with pytest.raises(ConfigurationError, match=r"telemetry\.enabled"):
            load_settings(home, variables=meta["env"])
        return
    if probe.name in ("post-ftp", "post-nohost"):
        with pytest.raises(ConfigurationError, match=r"telemetry\.url"):
            load_settings(home, variables=meta["env"])
        return
    snapshot, settings = look(home, meta.get("captured_at", "2026-11-23T12:00:00Z"), meta["env"])
    assert snapshot.up
    if probe.name in RUNTIME_LICENCE:
        return  # the licence went into a running platform: there is no database to look at
    assert decide(snapshot, settings).allowed is (meta["ping_sent"] or probe.name in DELIVERY_FAILED)
    if probe.ping is not None:
        recorded = json.loads(json.dumps(probe.ping))
        if probe.name in LIVE_MAIL:
            assert recorded["platform"]["config"]["email"] == {"enabled": False}
            recorded["platform"]["config"]["email"] = {"enabled": True}
        assert_as_recorded(preview(snapshot, settings, OPERATING_SYSTEM), recorded)
