"""`docs/telemetry-payload.schema.json`: the ping as a JSON Schema (draft 2020-12), from the contract."""

import json
from typing import Any

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.model import ping_fields
from ff_observe.ping_contract import COUNT_FIELDS, FIELDS

_DESCRIPTIONS = {
    "instanceId": "Random identifier that the platform drew when it was set up.",
    "os.type": "Operating system, as Node.js names it.",
    "os.release": "Release of the operating system.",
    "os.arch": "Processor architecture, as Node.js names it.",
    "env.nodejs": "Version of Node.js.",
    "env.flowforge": "Version of FlowFuse.",
    "platform.config.driver": "What runs the instances.",
    "platform.config.broker.enabled": "Whether a broker is configured.",
    "platform.config.fileStore.enabled": "Whether a file store is configured.",
    "platform.config.email.enabled": "Whether e-mail is on.",
    "platform.license.id": "Identifier of the licence; empty without one.",
    "platform.license.type": "CE without a licence, EE or DEV with one.",
}


def schema() -> dict[str, Any]:
    """The schema. Nothing but the fields of the contract is allowed, and only `instanceId` is required: a value that
    is unknown is absent."""
    root = _object()
    root = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "FlowFuse core ping",
        "description": "The anonymous usage telemetry of one platform. A value that is unknown is absent.",
        **root,
    }
    descriptions = {**_DESCRIPTIONS, **_count_descriptions()}
    for field in FIELDS:
        parent = root
        for key in field.path[:-1]:
            if field.required:
                parent.setdefault("required", []).append(key)
            parent = parent["properties"].setdefault(key, _object())
        parent["properties"][field.path[-1]] = {"description": descriptions[field.dotted], **field.json_schema()}
        if field.required:
            parent.setdefault("required", []).append(field.path[-1])
    return root


def render() -> str:
    """The text of the document."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _object() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _count_descriptions() -> dict[str, str]:
    found = {}
    for field, (count, ping_field) in zip(COUNT_FIELDS, ping_fields(COUNTS), strict=True):
        part = f" Here only `{ping_field.label_value}`." if ping_field.label_value else ""
        without_licence = " 0 without a licence." if count.enterprise else ""
        found[field.dotted] = f"{count.help}{part}{without_licence}"
    return found
