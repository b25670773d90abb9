"""The content of a ping: a pure function of a snapshot and the settings, limited to the contract's fields.

Anything that does not fit its field (a missing reading, a count that is no integer, a text that does not match the
field's grammar) or that no data review allows is absent; nothing is truncated or rounded to fit, since half an
identifier is a wrong one.
"""

import json
from collections.abc import Mapping
from datetime import UTC

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.model import Count, Reading, ping_fields
from ff_observe.catalogue.ping_contract import FIELDS, Value, document, reviewed
from ff_observe.catalogue.ping_field import PingField
from ff_observe.config.settings import PlatformSettings
from ff_observe.errors import DeliveryError
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import OperatingSystem

UNLICENSED = "CE"  # with an empty id: FlowFuse's value without a licence


def build_payload(
    snapshot: Snapshot, platform: PlatformSettings, operating_system: OperatingSystem
) -> dict[str, object]:
    """The ping as nested maps, in the order of the contract. Raises `DeliveryError` if a required field is unknown:
    there is no ping without the platform's instance id."""
    known = {**_facts(snapshot, platform, operating_system), **_counts(snapshot)}
    fitting = tuple(value if field.accepts(value := known.get(field.dotted)) else None for field in FIELDS)
    values = reviewed(fitting, snapshot.taken_at.astimezone(UTC).date())
    for field, value in zip(FIELDS, values, strict=True):
        if field.required and value is None:
            raise DeliveryError(
                f"there is no ping without {field.dotted}: the platform's database does not hold a usable one. "
                "FlowFuse writes it at its first start."
            )
    return document(values)


def encode(payload: Mapping[str, object]) -> bytes:
    """The body that is POSTed: compact JSON in UTF-8, byte for byte as FlowFuse's `JSON.stringify` writes it."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _facts(
    snapshot: Snapshot, platform: PlatformSettings, operating_system: OperatingSystem
) -> dict[str, Value | None]:
    installation = snapshot.installation
    licence = installation.licence
    return {
        "instanceId": installation.instance_id,
        "os.type": operating_system.type,
        "os.release": operating_system.release,
        "os.arch": operating_system.arch,
        "env.nodejs": installation.nodejs_version,
        "env.flowforge": installation.flowfuse_version,
        "platform.license.id": licence.id if licence else "",
        "platform.license.type": licence.type if licence else UNLICENSED,
        "platform.config.driver": platform.driver,
        "platform.config.broker.enabled": platform.broker,
        "platform.config.fileStore.enabled": platform.file_store,
        "platform.config.email.enabled": platform.email,
    }


def _counts(snapshot: Snapshot) -> dict[str, Value | None]:
    licensed = snapshot.installation.licence is not None
    return {
        ".".join(("platform", "counts", *ping_field.path)): _count(
            count, ping_field, snapshot.readings.get(count.name), licensed
        )
        for count, ping_field in ping_fields(COUNTS)
    }


def _count(count: Count, ping_field: PingField, reading: Reading | None, licensed: bool) -> int | None:
    """None if there is no reading (the table does not exist, or could not be read).

    Without a licence FlowFuse does not read the enterprise tables, and sends 0 whatever they hold.
    """
    if reading is None:
        return None
    if count.enterprise and not licensed:
        return 0
    if ping_field.label_value is None:
        return _whole(reading.get(()))
    return _whole(reading.get((ping_field.label_value,), 0))  # no row has this value: 0, not unknown


def _whole(value: object) -> int | None:
    """The number if it is an integer. Databases and libraries are not trusted to return a reading's type."""
    if type(value) is float:
        return int(value) if value.is_integer() else None  # excludes infinity and NaN
    return value if type(value) is int else None
