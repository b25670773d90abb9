"""Single questions to FlowFuse: a change to the file, the environment or the settings, and what comes of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.reduced.descriptions import DEVELOPMENT, OPTED_OUT, PURE, UNINITIALISED
from tests.reduced.licences import PUBLISHED, PUBLISHED_LIMITS, signed
from tests.reduced.platforms import CE, DEV, HEAD, SQLITE, STUB, TELEMETRY, Platform, config, write_answers, write_text

RECORDED_BASE: Final = "v2.4.0-sqlite-ce"
"""The platform that the questions to FlowFuse 2.4.0 are based on."""


@dataclass(frozen=True)
class Probe:
    """Sections of its file, where they are not the usual ones, and what the platform reports and does."""

    name: str
    base: Platform | None = PURE
    """None is the recorded platform of 2.4.0."""
    driver: str = STUB
    email: str = "email:\n  enabled: false\n"
    telemetry: str = TELEMETRY
    more: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    sql: Sequence[str] = ()
    starts: bool = True
    sends: bool = True
    enabled: tuple[str, ...] = ()
    reported_driver: str = "stub"
    licence: tuple[str, str] = CE
    limits: Mapping[str, object] | None = None
    """`max…` of its statistics."""


def _telemetry(enabled: str) -> str:
    return f"telemetry:\n  url: http://127.0.0.1:9/ping\n{enabled}"


def _url(url: str) -> str:
    return f"telemetry:\n  url: {url}\n  enabled: true\n"


def _setting(key: str, value: str, kind: int) -> tuple[str]:
    times = "'2026-05-04 08:00:00.000 +00:00', '2026-05-04 08:00:00.000 +00:00'"
    return (f"INSERT OR REPLACE INTO PlatformSettings VALUES ('{key}', {value}, {kind}, {times})",)


SMTP: Final = "email:\n  enabled: true\n  smtp:\n    host: 127.0.0.1\n    port: 2525\n    secure: false\n"

FEATURES: Final = (
    Probe("cfg-broker-emptymap", more="broker: {}\n", enabled=("broker",)),
    Probe("cfg-broker-false", more="broker: false\n"),
    Probe("cfg-broker-nourl", more="broker:\n  public_url: ws://localhost:2\n", enabled=("broker",)),
    Probe("cfg-broker-null", more="broker:\n"),
    Probe("cfg-driver-absent", driver="", reported_driver="localfs"),
    Probe("cfg-driver-localfs", driver="driver:\n  type: localfs\n", reported_driver="localfs"),
    Probe("cfg-driver-notype", driver="driver:\n  options: {}\n", starts=False, sends=False),
    Probe("cfg-email-absent", email=""),
    Probe(
        "cfg-email-disabled-with-transport", email="email:\n  enabled: false\n  transport:\n    jsonTransport: true\n"
    ),
    Probe("cfg-email-enabled-no", email="email:\n  enabled: no\n", enabled=("email",)),
    Probe("cfg-email-enabled-only", email="email:\n  enabled: true\n", enabled=("email",)),
    Probe("cfg-email-enabled-string-false", email='email:\n  enabled: "false"\n', enabled=("email",)),
    Probe("cfg-email-null", email="email:\n"),
    Probe("cfg-email-ses", email="email:\n  enabled: true\n  ses:\n    region: eu-north-1\n"),
    Probe("cfg-email-smtp-hang", email=SMTP, enabled=("email",)),
    Probe("cfg-email-smtp-ok", email=SMTP + "    ignoreTLS: true\n", enabled=("email",)),
    Probe("cfg-email-smtp-refused", email=SMTP),
    Probe("cfg-filestore-disabled-map", more="fileStore:\n  enabled: false\n", enabled=("fileStore",)),
    Probe("cfg-filestore-null", more="fileStore:\n"),
    Probe("cfg-filestore-string", more='fileStore: "no"\n', enabled=("fileStore",)),
    Probe("v24-email-enabled-only", base=None, email="email:\n  enabled: true\n", enabled=("email",)),
    Probe("ver-npm-env", environment={"npm_package_version": "7.7.7"}),
)

CONSENT: Final = (
    Probe("gate-db-empty-ce", sql=_setting("telemetry:enabled", "''", 0), sends=False),
    Probe("gate-db-null-ce", sql=_setting("telemetry:enabled", "NULL", 0), sends=False),
    Probe("gate-db-setup-json-false-ce", sql=_setting("setup:initialised", "'false'", 1), sends=False),
    Probe("gate-db-setup-string-false-ce", sql=_setting("setup:initialised", "'false'", 0)),
    Probe("gate-db-string-false-ce", sql=_setting("telemetry:enabled", "'false'", 0)),
    Probe("gate-db-zero-json-ce", sql=_setting("telemetry:enabled", "'0'", 1), sends=False),
    Probe("gate-env-disabled-0", environment={"FF_TELEMETRY_DISABLED": "0"}, sends=False),
    Probe("gate-env-disabled-1", environment={"FF_TELEMETRY_DISABLED": "1"}, sends=False),
    Probe("gate-env-disabled-1-licensed", DEVELOPMENT, environment={"FF_TELEMETRY_DISABLED": "1"}, sends=False),
    Probe("gate-env-disabled-empty", environment={"FF_TELEMETRY_DISABLED": ""}),
    Probe("gate-env-disabled-false", environment={"FF_TELEMETRY_DISABLED": "false"}, sends=False),
    Probe("gate-housekeeper-false", more="housekeeper: false\n", sends=False),
    Probe("gate-optout-licensed", OPTED_OUT, more=f"license: {PUBLISHED}\n", licence=DEV),
    Probe("gate-uninit-licensed", UNINITIALISED, more=f"license: {PUBLISHED}\n", sends=False),
    Probe("gate-yml-False-ce", telemetry=_telemetry("  enabled: False\n"), sends=False),
    Probe("gate-yml-absent-ce", telemetry=_telemetry("")),
    Probe("gate-yml-false-ce", telemetry=_telemetry("  enabled: false\n"), sends=False),
    Probe("gate-yml-no-ce", telemetry=_telemetry("  enabled: no\n")),
    Probe("gate-yml-null-ce", telemetry=_telemetry("  enabled:\n")),
    Probe("gate-yml-off-ce", telemetry=_telemetry("  enabled: off\n")),
    Probe("gate-yml-string-false-ce", telemetry=_telemetry('  enabled: "false"\n')),
    Probe("gate-yml-zero-ce", telemetry=_telemetry("  enabled: 0\n")),
)

_NO_LICENCE: Final = ("DELETE FROM PlatformSettings WHERE key = 'license'",)
_TOKEN: Final = f"license: {PUBLISHED}\n"
_SMALL: Final = {"users": 12, "teams": 9, "instances": 31, "mqttClients": 7}
_SMALL_LIMITS: Final = {"maxUsers": 12, "maxTeams": 9, "maxInstances": 31, "maxMqttClients": 7}


def _licensed(name: str, *claims: str | dict[str, Any], **more: Any) -> Probe:
    """A licence in the file of a platform that has none in its database."""
    (given,) = claims
    text = given if isinstance(given, str) else f"license: {signed(**given)}\n"
    return Probe(name, DEVELOPMENT, **{"more": text, "sql": _NO_LICENCE, **more})


def _refused(name: str, given: str | dict[str, Any], **more: Any) -> Probe:
    return _licensed(name, given, starts=False, sends=False, **more)


_EXPIRED: Final = {
    "id": "licence-expired",
    "nbf": 1_640_995_200,
    "exp": 1_643_673_600,
    "users": 8,
    "teams": 6,
    "instances": 21,
}

LICENCES: Final = (
    _refused("lic-badissuer-yml", {"id": "licence-of-another", "iss": "Another Issuer"}),
    _licensed("lic-db-and-yml", {"id": "licence-in-file", **_SMALL}, sql=(), licence=DEV, limits=PUBLISHED_LIMITS),
    _licensed(
        "lic-db-empty-yml-good",
        {"licenseId": "licence-by-other-claim", **_SMALL},
        sql=("UPDATE PlatformSettings SET value = '' WHERE key = 'license'",),
        licence=("licence-by-other-claim", "DEV"),
        limits=_SMALL_LIMITS,
    ),
    _licensed(
        "lic-db-null-yml-good",
        {"id": "licence-beside-null", **_SMALL, "mqttClients": 4},
        sql=("UPDATE PlatformSettings SET value = NULL WHERE key = 'license'",),
        licence=("licence-beside-null", "DEV"),
        limits={**_SMALL_LIMITS, "maxMqttClients": 4},
    ),
    _licensed(
        "lic-expired-yml",
        _EXPIRED,
        licence=("licence-expired", "DEV"),
        limits={"maxUsers": 8, "maxTeams": 6, "maxInstances": 21, "maxMqttClients": 20},
    ),
    _licensed(
        "lic-expired-yml-telemetry-off",
        _EXPIRED,
        telemetry=_telemetry("  enabled: false\n"),
        licence=("licence-expired", "DEV"),
    ),
    _refused("lic-garbage-db", _TOKEN, sql=("UPDATE PlatformSettings SET value = 'no licence' WHERE key = 'license'",)),
    _refused("lic-garbage-yml", "license: no-licence-at-all\n"),
    _refused("lic-noid-nolimits", {"nbf": ..., "tier": "teams"}),
    _refused("lic-not-yet-valid", _TOKEN, environment={"FAKE_SHIFT_MS": "-92000000000"}),
    _licensed(
        "lic-old-claims",
        {"id": "licence-of-old", "users": 33, "teams": 14, "projects": 25, "devices": 45, "tier": "teams"},
        licence=("licence-of-old", "DEV"),
        limits={"maxUsers": 33, "maxTeams": 14, "maxInstances": 25, "maxDevices": 45, "maxMqttClients": 5},
    ),
    Probe("lic-runtime-apply", licence=DEV, limits=PUBLISHED_LIMITS),
    Probe("v24-runtime-apply", base=None, licence=DEV),
    _licensed(
        "lic-string-limits-noid",
        {"users": "60", "teams": "61", "projects": "62", "tier": "teams", "dev": ...},
        licence=("", "EE"),
        limits={"maxUsers": "60", "maxTeams": "61", "maxInstances": "62", "maxDevices": 0, "maxMqttClients": 5},
    ),
    _refused("lic-tampered-yml", f"license: {PUBLISHED[:60]}{'A' if PUBLISHED[60] != 'A' else 'B'}{PUBLISHED[61:]}\n"),
    Probe("lic-yml-empty", more='license: ""\n'),
    _refused("lic-yml-folded-two-lines", f"license: >-\n  {PUBLISHED[:80]}\n  {PUBLISHED[80:]}\n"),
    _refused("lic-yml-trailing-newline", f"license: |\n  {PUBLISHED}\n"),
)

DELIVERY: Final = (
    *(
        Probe(f"post-{name}", telemetry=_url(f"http://127.0.0.1:9/{name}"))
        for name in ("close", "e404", "e500", "empty204", "garbage", "hang", "r302", "r307", "slow")
    ),
    Probe("post-ftp", telemetry=_url("ftp://127.0.0.1:9/ping"), sends=False),
    Probe("post-http-proxy", environment={"http_proxy": "http://127.0.0.1:8"}),
    Probe("post-http-proxy-noproxy", environment={"http_proxy": "http://127.0.0.1:8", "no_proxy": "127.0.0.1"}),
    Probe("post-nohost", telemetry=_url("127.0.0.1:9/ping"), sends=False),
    Probe("post-query", telemetry=_url("http://127.0.0.1:9/ping?a=1&b=c%20d")),
    Probe("post-refused", sends=False),
    Probe("post-userinfo", telemetry=_url("http://ann:se%20cret@127.0.0.1:9/ping")),
    Probe("v24-post-e500", base=None, telemetry=_url("http://127.0.0.1:9/e500")),
)


def write_probes(directory: Path, recorded: Path) -> None:
    for probe in (*FEATURES, *CONSENT, *LICENCES, *DELIVERY):
        home = directory / probe.name
        reported = config(*probe.enabled, driver=probe.reported_driver)
        stats = probe.base.stats(probe.limits) if probe.base and probe.limits else None
        write_text(home / "flowforge.yml", HEAD + SQLITE + probe.driver + probe.email + probe.telemetry + probe.more)
        write_answers(
            home,
            _ping(probe, reported, recorded) if probe.sends else None,
            stats,
            base=probe.base.name if probe.base else RECORDED_BASE,
            sql=list(probe.sql),
            env=dict(probe.environment),
            platform_started=probe.starts,
            ping_config_license={"config": reported},
        )


def _ping(probe: Probe, reported: dict[str, Any], recorded: Path) -> dict[str, Any]:
    if probe.base is not None:
        return probe.base.ping(probe.licence, reported)
    ping: dict[str, Any] = json.loads((recorded / RECORDED_BASE / "ping.json").read_text())
    ping["platform"] |= {"config": reported, "license": dict(zip(("id", "type"), probe.licence, strict=True))}
    return ping
