"""Interprets the database's answer: the installation, its licence, and the facts of the catalogue."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

from ff_observe.catalogue import COUNTS, facts
from ff_observe.catalogue.model import Reading
from ff_observe.config.settings import PlatformSettings
from ff_observe.platform.sources import schema
from ff_observe.platform.sources.licence import UNLICENSED_LIMITS, LicenceError, verify_licence
from ff_observe.platform.sources.model import SETTINGS_READING, Answer, HttpAnswer, Installation, Licence

_BILLING = frozenset(count.name for count in COUNTS if count.billing)
_LICENSED = frozenset(count.name for count in COUNTS if count.licensed)

_LIMITED = {resource: (f"flowfuse_{resource}",) for resource in facts.LIMITS}
_LIMITED["mqtt_clients"] = ("flowfuse_team_broker_clients",)
"""The counts held against each limit of a licence."""
_COMBINED_INSTANCES = ("flowfuse_instances", "flowfuse_devices")


def platform_id(instance_id: str | None) -> str | None:
    """The platform's id in metrics: a hash of FlowFuse's instance id, made for this purpose alone."""
    if instance_id is None:
        return None
    return hashlib.sha256(b"platform_id of metrics\0" + instance_id.encode("utf-8", "replace")).hexdigest()[:16]


def liveness(*, database: bool, http: HttpAnswer | None) -> dict[str, Reading]:
    """Which of the database and, if probed, FlowFuse itself answers."""
    readings: dict[str, Reading] = {facts.UP.name: {(): int(database)}, facts.DATABASE_UP.name: {(): int(database)}}
    if http is not None:
        readings[facts.HTTP_UP.name] = {(): int(http.up)}
        if http.seconds is not None:
            readings[facts.HTTP_DURATION.name] = {(): http.seconds}
    return readings


def without_database(installation: Installation, platform: PlatformSettings) -> dict[str, Reading]:
    """What is known whether the database answers or not."""
    address = _address(platform.base_url) if platform.base_url is not None else ""
    return {
        **({facts.INFO.name: {(address,): 1}} if address else {}),
        facts.PLATFORM_INFO.name: {
            (installation.flowfuse_version or "", installation.nodejs_version or "", platform.driver): 1
        },
        facts.FEATURE_ENABLED.name: {
            ("broker",): int(platform.broker),
            ("file_store",): int(platform.file_store),
            ("email",): int(platform.email),
        },
    }


def _address(base_url: str) -> str:
    """Without user, password, query and fragment, which may be secret. FlowFuse takes any string for its address: one
    that is no URL is not shown."""
    try:
        url = urlsplit(base_url.strip())
    except ValueError:
        return ""
    host = url.netloc.rpartition("@")[2]
    return f"{url.scheme}://{host}{url.path}".rstrip("/") if url.scheme in ("http", "https") and host else ""


def installation(answer: Answer, platform: PlatformSettings, versions: Installation, at: datetime) -> Installation:
    """The platform's settings, interpreted as FlowFuse does: JavaScript truth, its defaults, and a licence in the
    database before one in the file (forge/licensing/index.js)."""
    settings = answer.settings
    known = SETTINGS_READING not in answer.failures
    licence, problem = _licence(settings.get(schema.LICENCE), platform, at) if known else (None, None)
    instance_id = settings.get(schema.INSTANCE_ID)
    return replace(
        versions,
        instance_id=instance_id if isinstance(instance_id, str) and instance_id else None,
        initialised=_is_true(settings.get(schema.INITIALISED, False)) if known else None,
        telemetry_allowed=_is_true(settings.get(schema.TELEMETRY_ENABLED, True)) if known else None,
        licence=licence,
        licence_problem=problem,
    )


def _is_true(value: object) -> bool:
    """Whether JavaScript treats a decoded setting as true: of JSON values only these are false; an empty list or map
    is true."""
    return not (value is None or value is False or value == "" or (isinstance(value, int | float) and value == 0))


def _licence(in_database: object, platform: PlatformSettings, at: datetime) -> tuple[Licence | None, str | None]:
    if _is_true(in_database):
        token, place = str(in_database), "in the database"
    elif platform.license is not None and platform.license.reveal():
        token, place = platform.license.reveal(), "in flowforge.yml"
    else:
        return None, None
    try:
        return verify_licence(token, at), None
    except LicenceError as error:
        return None, f"the licence {place} is not accepted, and FlowFuse does not start with it: {error}"


def readings(answer: Answer, known: Installation, platform: PlatformSettings) -> dict[str, Reading]:
    """All counts and facts; unknown ones are absent."""
    licence = known.licence
    hidden = _BILLING | _LICENSED if licence is None else frozenset() if platform.billing else _BILLING
    found: dict[str, Reading] = {
        **{name: reading for name, reading in answer.readings.items() if name not in hidden},
        **without_database(known, platform),
    }
    if known.initialised is not None:
        found[facts.INITIALISED.name] = {(): int(known.initialised)}
    if SETTINGS_READING in answer.failures:
        return found
    found[facts.LICENSE_ACTIVE.name] = {(): int(licence is not None)}
    if licence is not None:
        found[facts.LICENSE_INFO.name] = {(licence.id, licence.type, licence.tier): 1}
        if licence.expires_at is not None:
            found[facts.LICENSE_EXPIRY.name] = {(): licence.expires_at.timestamp()}
    found.update(_headroom(answer.readings, licence))
    return found


def _headroom(counts: Mapping[str, Reading], licence: Licence | None) -> dict[str, Reading]:
    """Limits, and the usage that FlowFuse holds against each: a combined limit of instances covers devices too."""
    limits = UNLICENSED_LIMITS if licence is None else licence.limits
    combined = licence is None or licence.combined
    limit: dict[tuple[str, ...], float] = {}
    usage: dict[tuple[str, ...], float] = {}
    for resource, allowed in limits.items():
        of = _COMBINED_INSTANCES if combined and resource == "instances" else _LIMITED[resource]
        counted = all(name in counts for name in of)
        if resource == "mqtt_clients" and not counted:
            continue  # this FlowFuse has no broker for teams
        limit[(resource,)] = allowed
        if counted:
            usage[(resource,)] = sum(counts[name][()] for name in of)
    return {facts.LICENSE_LIMIT.name: limit, facts.LICENSE_USAGE.name: usage}


def failures(answer: Answer) -> dict[str, str]:
    """Why expected readings are missing, by the name of the metric."""
    reasons = {name: reason for name, reason in answer.failures.items() if name != SETTINGS_READING}
    reason = answer.failures.get(SETTINGS_READING)
    if reason is not None:
        reasons.update(dict.fromkeys((facts.INITIALISED.name, facts.LICENSE_ACTIVE.name), reason))
    return reasons
