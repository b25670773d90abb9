"""A platform as a description of what it holds, and by plain counting what it sends and answers; written as files."""

import contextlib
import json
import re
import shutil
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.reduced.licences import PUBLISHED_ID, PUBLISHED_LIMITS
from tests.reduced.schema import Row, script

AT: Final = datetime(2026, 5, 4, 8, 15, 30, 250_000, tzinfo=UTC)
"""When every platform is looked at."""
HEAD: Final = "port: 31000\nhost: 127.0.0.1\ndomain: example.com\nbase_url: http://localhost:31000\n"
SQLITE: Final = "db:\n  type: sqlite\n  storage: forge.db\n  logging: false\n"
POSTGRESQL: Final = (
    "db:\n  type: postgres\n  host: 127.0.0.1\n  port: 5432\n  user: forge\n  password: invented\n"
    "  database: forge\n  logging: false\n"
)
STUB: Final = "driver:\n  type: stub\n"
MAIL_OFF: Final = "email:\n  enabled: false\n  smtp:\n    host: localhost\n    port: 587\n    secure: false\n"
TELEMETRY: Final = "telemetry:\n  url: http://127.0.0.1:9/ping\n  enabled: true\n"
BROKER: Final = "broker:\n  url: mqtt://127.0.0.1:1884\n  public_url: ws://localhost:1885\n"
FILE_STORE: Final = "fileStore:\n  enabled: true\n  url: http://127.0.0.1:3001\n"
UNLICENSED_LIMITS: Final = {"maxUsers": 5, "maxTeams": 5, "maxInstances": 5}
CE: Final = ("", "CE")
DEV: Final = (PUBLISHED_ID, "DEV")


def config(*enabled: str, driver: str = "stub") -> dict[str, Any]:
    """`platform.config` of a ping."""
    return {"driver": driver, **{name: {"enabled": name in enabled} for name in ("broker", "fileStore", "email")}}


@dataclass(frozen=True)
class Platform:
    """No two tables have the same number of rows, so that no count can pass for another."""

    name: str
    users: int = 0
    admins: int = 0
    invitations: int = 0
    teams: Mapping[str, int] = field(default_factory=dict)
    """By the name of their type."""
    states: Mapping[str, int] = field(default_factory=dict)
    modes: Mapping[str | None, int] = field(default_factory=dict)
    seen: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    """Seconds since each device was seen, by the group that FlowFuse puts it into."""
    snapshots: int = 0
    stacks: int = 0
    templates: int = 0
    library: int = 0
    blueprints: int = 0
    shared_library: int = 0
    broker_clients: int = 0
    remote_brokers: int = 0
    subscriptions: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, tuple[str | None, int]] = field(default_factory=lambda: {"setup:initialised": ("true", 1)})
    file: str = STUB + MAIL_OFF + TELEMETRY
    enabled: tuple[str, ...] = ()
    licensed: bool = False
    pings: bool = True
    answers: bool = True
    """Whether it has statistics: not before its set-up."""

    @property
    def is_postgresql(self) -> bool:
        return "postgres" in self.name

    @property
    def instance_id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.example.com"))

    def rows(self) -> Iterator[Row]:
        for key, (value, kind) in {"instanceId": (self.instance_id, 0), **self.settings}.items():
            yield "PlatformSettings", {"key": key, "value": value, "valueType": kind}
        yield "PlatformSettings", {"key": "cookieSecret", "value": "planted-cookie-secret", "valueType": 0}
        for number, name in enumerate(self.teams, 1):
            yield "TeamTypes", {"id": number, "name": name}
            yield from [("Teams", {"TeamTypeId": number})] * self.teams[name]
        for number in range(self.users):
            yield "Users", {"username": f"user-{number}", "admin": number < self.admins}
        for state, number in self.states.items():
            for place in range(number):
                yield "Projects", {"id": uuid.uuid5(uuid.NAMESPACE_OID, f"{state} {place}"), "state": state}
        seen = [seconds for group in self.seen.values() for seconds in group]
        modes = [mode for mode, number in self.modes.items() for _ in range(number)]
        for seconds, mode in zip(seen, modes, strict=True):
            yield "Devices", {"lastSeenAt": None if seconds is None else AT - timedelta(seconds=seconds), "mode": mode}
        for status, trial in self.subscriptions:
            yield "Subscriptions", {"status": status, "trialStatus": trial}
        yield from [("Invitations", {})] * self.invitations
        yield from [("ProjectSnapshots", {})] * self.snapshots
        yield from [("ProjectStacks", {})] * self.stacks
        yield from [("ProjectTemplates", {})] * self.templates
        yield from [("StorageLibraries", {})] * self.library
        yield from [("FlowTemplates", {})] * self.blueprints
        yield from [("StorageSharedLibraries", {})] * self.shared_library
        yield from [("TeamBrokerClients", {})] * self.broker_clients
        yield from [("BrokerCredentials", {})] * self.remote_brokers

    def ping(self, licence: tuple[str, str], reported: dict[str, Any]) -> dict[str, Any]:
        """What FlowFuse sends, with its stacks under `projectTemplates` and its templates under `projectStacks`."""
        of_enterprise = {
            "blueprints": self.blueprints,
            "sharedLibraryEntries": self.shared_library,
            "teamBrokerClients": self.broker_clients,
            "remoteBrokers": self.remote_brokers,
        }
        counts = {
            "users": self.users,
            "teams": sum(self.teams.values()),
            "projects": sum(self.states.values()),
            "projectsByState": {"suspended": self.states.get("suspended", 0)},
            "devices": sum(self.modes.values()),
            "devicesByLastSeen": {"never": len(self.seen["never"]), "day": len(self.seen["day"])},
            "projectSnapshots": self.snapshots,
            "projectTemplates": self.stacks,
            "projectStacks": self.templates,
            "libraryEntries": self.library,
            **(of_enterprise if licence != CE else dict.fromkeys(of_enterprise, 0)),
        }
        return {
            "instanceId": self.instance_id,
            "os": {"type": "Linux", "release": "6.1.0-example", "arch": "x64"},
            "env": {"nodejs": "v22.14.0", "flowforge": "2.33.2"},
            "platform": {
                "counts": counts,
                "config": reported,
                "license": dict(zip(("id", "type"), licence, strict=True)),
            },
        }

    def stats(self, limits: Mapping[str, object]) -> dict[str, Any]:
        """What FlowFuse answers to a request for its statistics."""
        answer = {
            "userCount": self.users,
            "adminCount": self.admins,
            "inviteCount": self.invitations,
            "teamCount": sum(self.teams.values()),
            "teamsByType": dict(self.teams),
            "instanceCount": sum(self.states.values()),
            "instancesByState": dict(self.states),
            "deviceCount": sum(self.modes.values()),
            "devicesByMode": {"null" if mode is None else mode: number for mode, number in self.modes.items()},
            "devicesByLastSeen": {group: len(self.seen[group]) for group in ("never", "day", "week", "month", "older")},
            **limits,
        }
        if "maxMqttClients" in limits:
            answer["mqttClientCount"] = self.broker_clients
        if self.subscriptions:
            states = [status for status, _ in self.subscriptions]
            trials = [trial for status, trial in self.subscriptions if status == "trial"]
            answer["teamsByBillingState"] = {status: states.count(status) for status in states}
            answer["trialsByState"] = {trial: trials.count(trial) for trial in trials}
        return answer


def write_platforms(platforms: Iterable[Platform], directory: Path, recorded: Path) -> None:
    for platform in platforms:
        home = directory / platform.name
        write_text(home / "etc" / "flowforge.yml", HEAD + _database_section(platform) + platform.file)
        sql = script(platform.rows(), AT, postgresql=platform.is_postgresql)
        if platform.is_postgresql:
            write_text(home / "dump.sql", sql)
        else:
            write_sqlite(home / "var" / "forge.db", sql)
        licence, limits = (DEV, PUBLISHED_LIMITS) if platform.licensed else (CE, UNLICENSED_LIMITS)
        ping = platform.ping(licence, config(*platform.enabled)) if platform.pings else None
        write_answers(home, ping, platform.stats(limits) if platform.answers else None, licensed=platform.licensed)
    _write_upgraded(directory / "reduced-sqlite-dev-upgraded", recorded / "v2.4.0-sqlite-dev")


def _write_upgraded(home: Path, before: Path) -> None:
    """A recorded platform of 2.4.0 after an upgrade: its own tables and rows, and the tables that came since."""
    shutil.copytree(before / "etc", home / "etc")
    (home / "var").mkdir()
    shutil.copyfile(before / "var" / "forge.db", home / "var" / "forge.db")
    new = {"TeamBrokerClients": 3, "BrokerCredentials": 2}
    rows: list[Row] = [(table, {}) for table, number in new.items() for _ in range(number)]
    write_sqlite(home / "var" / "forge.db", script(rows, AT, tables=new))
    ping, stats = (json.loads((before / name).read_text()) for name in ("ping.json", "admin-stats.json"))
    counts = ping["platform"]["counts"]
    groups = stats["devicesByLastSeen"]
    ping["platform"]["counts"] = {
        **{name: counts[name] for name in ("users", "teams", "projects", "projectsByState", "devices")},
        "devicesByLastSeen": {"never": groups["never"], "day": groups["day"]},
        **{name: counts[name] for name in ("projectSnapshots", "projectTemplates", "projectStacks", "libraryEntries")},
        "blueprints": 10,
        "sharedLibraryEntries": counts["sharedLibraryEntries"],
        "teamBrokerClients": new["TeamBrokerClients"],
        "remoteBrokers": new["BrokerCredentials"],
    }
    ping["env"]["flowforge"] = "2.33.2"
    stats |= {"maxMqttClients": PUBLISHED_LIMITS["maxMqttClients"], "mqttClientCount": new["TeamBrokerClients"]}
    write_answers(home, ping, stats, licensed=True, at=json.loads((before / "meta.json").read_text())["stats_at"])


def _database_section(platform: Platform) -> str:
    return POSTGRESQL if platform.is_postgresql else SQLITE


def write_sqlite(path: Path, sql: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(sql)


def write_answers(
    home: Path,
    ping: Mapping[str, Any] | None,
    stats: Mapping[str, Any] | None,
    *,
    at: str = AT.isoformat(),
    **meta: Any,
) -> None:
    """What a platform sent and answered, beside its home, and what is known about it."""
    meta = {"flowfuse_version": "2.33.2", "ping_sent": ping is not None, "captured_at": at, **meta}
    if ping is not None:
        write_text(home / "ping.json", json.dumps(ping, separators=(",", ":"), ensure_ascii=False))
    if stats is not None:
        meta["stats_at"] = at
        write_text(home / "admin-stats.json", json.dumps(stats))
        write_text(home / "admin-stats.openmetrics.txt", "\n".join(_exposition(stats)))
    write_text(home / "meta.json", json.dumps(meta))


def _exposition(stats: Mapping[str, Any]) -> Iterator[str]:
    """The statistics as FlowFuse spells them for Prometheus."""
    for key, value in stats.items():
        name = "flowforge_" + re.sub("(?=[A-Z])", "_", key).lower()
        if isinstance(value, dict):
            for label, number in value.items():
                yield f"{name}_{re.sub('[^a-z0-9]+', '_', label.lower()).strip('_')} {number}"
        else:
            yield f"{name} {value}"


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
