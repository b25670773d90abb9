"""Snapshots and settings to begin with; each test changes what it is about."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ff_observe.catalogue.model import Reading
from ff_observe.config.environment import Environment
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PingSettings, PlatformSettings, Settings, SQLiteDatabase
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import Installation, Licence, OperatingSystem

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OPERATING_SYSTEM = OperatingSystem("Linux", "6.1.0-18-amd64", "x64")
LICENCE = Licence(id="a428c0da", type="DEV", tier="enterprise", expires_at=None)
INSTALLATION = Installation(
    instance_id="ac4e6235-6b4b-466d-abd6-aa4fcb12f7b6",  # its time of day is 18:00, found by trying
    initialised=True,
    telemetry_allowed=True,
    flowfuse_version="2.33.2",
    nodejs_version="v20.20.2",
)
READINGS: Mapping[str, Reading] = {
    "flowfuse_users": {(): 7.0},
    "flowfuse_instances_by_state": {("running",): 4.0},
    "flowfuse_devices_by_last_seen": {("day",): 2.0, ("never",): 3.0, ("older",): 1.0},
    "flowfuse_blueprints": {(): 9.0},
}


def snapshot(*, up: bool = True, readings: Mapping[str, Reading] = READINGS, **installation: object) -> Snapshot:
    """A platform that may be counted; keyword arguments change its installation."""
    changed = replace(INSTALLATION, **installation)  # type: ignore[arg-type]  # tests name the fields
    return Snapshot(NOW, 0.01, up, changed, readings)


def settings(
    url: str = "http://127.0.0.1:9/ping",
    /,
    *,
    enabled: bool = True,
    housekeeper: bool = True,
    ff_telemetry_disabled: bool = False,
    do_not_track: bool = False,
) -> Settings:
    """A file that says nothing of telemetry but the URL, unless told otherwise."""
    return Settings(
        home=Path("/opt/flowforge"),
        file=Path("/opt/flowforge/etc/flowforge.yml"),
        database=SQLiteDatabase(Path("/opt/flowforge/var/forge.db")),
        platform=PlatformSettings(housekeeper=housekeeper),
        ping=PingSettings(enabled, Secret(url), sender="always"),
        environment=Environment(ff_telemetry_disabled=ff_telemetry_disabled, do_not_track=do_not_track),
    )
