"""The newer counts asked as FlowFuse's models would ask: statements of `data/recounts.toml`, and Python for JSON."""

import json
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

Rows = Callable[[str], list[tuple[Any, ...]]]
Recount = Mapping[tuple[str, ...], float]

STATEMENTS: Mapping[str, Mapping[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "data" / "recounts.toml").read_text(encoding="utf-8")
)
_AGO = {"now": 0, "m30": 1_800, "d1": 86_400, "d7": 7 * 86_400, "d28": 28 * 86_400}


def recount(name: str, rows: Rows, at: datetime, *, postgresql: bool) -> Recount:
    """One count. What the database lacks for it is the driver's own error."""
    if name in IN_PYTHON:
        return IN_PYTHON[name](rows, at)
    statement = STATEMENTS[name]
    moments = {key: f"'{_written(at - timedelta(seconds=seconds))}'" for key, seconds in _AGO.items()}
    found = rows(statement["sql"].format(true="true" if postgresql else "1", **moments))
    if statement.get("moment"):
        return {(): float(int(_moment(found[0][0]).timestamp()))} if found else {}
    counted = {tuple(map(str, labels)): number for *labels, number in found}
    return _top(counted) if statement.get("top") else counted


def _top(counted: Recount) -> Recount:
    sizes: Counter[str] = Counter()
    for key, number in counted.items():
        sizes[key[0]] += int(number)
    shown = sorted(sizes, key=lambda value: (-sizes[value], value))[:20]
    summed: Counter[tuple[str, ...]] = Counter()
    for key, number in counted.items():
        summed[(key[0] if key[0] in shown else "other", *key[1:])] += int(number)
    return dict(summed)


def _written(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} +00:00"


def _moment(value: Any) -> datetime:
    return datetime.fromisoformat(value.replace(" +", "+")) if isinstance(value, str) else value


def _teams_over_limit(rows: Rows, _: datetime) -> Recount:
    """Team.js, getUserLimit, getDeviceLimit, getRuntimeLimit."""
    types = {key: json.loads(text or "{}") for key, text in rows('SELECT "id", "properties" FROM "TeamTypes"')}
    try:
        own = {key: json.loads(text or "{}") for key, text in rows('SELECT t."id", t."properties" FROM "Teams" t')}
    except Exception:
        own = {}
    used = {
        name: Counter(team for (team,) in rows(f'SELECT "TeamId" FROM "{table}"'))
        for name, table in {"users": "TeamMembers", "devices": "Devices", "instances": "Projects"}.items()
    }
    over: Counter[tuple[str, ...]] = Counter({("users",): 0, ("devices",): 0, ("runtimes",): 0})
    for team, kind in rows('SELECT "id", "TeamTypeId" FROM "Teams"'):
        for limited in ("users", "devices", "runtimes"):
            of_type = types.get(kind, {}).get(limited, {}).get("limit")
            limit = own.get(team, {}).get(limited, {}).get("limit", of_type)
            parts = ("devices", "instances") if limited == "runtimes" else (limited,)
            if limit is not None and limit > -1 and sum(used[part][team] for part in parts) > limit:
                over[(limited,)] += 1
    return dict(over)


def _certificates(rows: Rows, _: datetime) -> Recount:
    """saml-cert-check.js."""
    found: dict[tuple[str, ...], float] = {}
    columns = {name for name in ("type",) if _has(rows, name)}
    for name, active, options, *kind in rows(
        f'SELECT "name", "active", "options"{", " if columns else ""}{"".join(columns)} FROM "SAMLProviders"'
    ):
        pem = json.loads(options or "{}").get("cert")
        if not active or (kind and kind[0] != "saml") or not pem:
            continue
        if not pem.startswith("-----BEGIN"):
            pem = f"-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n"
        try:
            expires = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.timestamp()
        except ValueError:
            continue
        found[(name,)] = min(expires, found.get((name,), expires))
    return found


def _has(rows: Rows, column: str) -> bool:
    try:
        rows(f'SELECT p."{column}" FROM "SAMLProviders" p')
    except Exception:
        return False
    return True


def _certified_nodes(rows: Rows, at: datetime) -> Recount:
    """certifiedNodes.js, without its end at the first device that has no snapshot."""
    if not rows(
        """SELECT 1 FROM "PlatformSettings" WHERE "key" = 'platform:ff-npm-registry:token' AND "value" <> ''"""
    ):
        return {}
    payload: Counter[tuple[str, ...]] = Counter()

    def report(modules: set[str]) -> None:
        payload.update(
            (name,) for name in modules if name.startswith(("@flowfuse-certified-nodes/", "@flowfuse-nodes/"))
        )

    settings: dict[Any, Any] = dict(
        rows("""SELECT "ProjectId", "value" FROM "ProjectSettings" WHERE "key" = 'settings'""")
    )
    for (instance,) in rows("""SELECT "id" FROM "Projects" WHERE "state" = 'running'"""):
        modules = json.loads(settings.get(instance) or "{}").get("palette", {}).get("modules") or []
        report({module["name"] for module in modules})
    snapshots: dict[Any, Any] = dict(rows('SELECT "id", "settings" FROM "ProjectSnapshots"'))
    seen = _written(at - timedelta(days=1))
    for (active,) in rows(
        f"""SELECT "activeSnapshotId" FROM "Devices" WHERE "state" = 'running' AND "lastSeenAt" >= '{seen}'"""
    ):
        report(set(json.loads(snapshots.get(active) or "{}").get("modules") or {}))
    return dict(payload)


IN_PYTHON: Mapping[str, Callable[[Rows, datetime], Recount]] = {
    "flowfuse_teams_over_limit": _teams_over_limit,
    "flowfuse_sso_certificate_expiry_timestamp_seconds": _certificates,
    "flowfuse_certified_nodes": _certified_nodes,
}
