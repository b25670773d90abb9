"""`docs/telemetry-payload.schema.json`: the ping as a JSON Schema (draft 2020-12), from the contract."""

from typing import Any

from ff_observe.catalogue.ping_contract import FIELDS, Field


def schema() -> dict[str, Any]:
    """The schema. Only the fields of the contract are allowed, and only `instanceId` is required: an unknown value is
    absent."""
    root = _object()
    root = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "FlowFuse core ping",
        "description": "The usage telemetry of one platform, without names. A value that is unknown is absent.",
        **root,
    }
    for field in FIELDS:
        parent = root
        for key in field.path[:-1]:
            if field.required:
                parent.setdefault("required", []).append(key)
            parent = parent["properties"].setdefault(key, _object())
        parent["properties"][field.path[-1]] = {
            "description": field.help,
            "$comment": _review(field),
            **field.json_schema(),
        }
        if field.required:
            parent.setdefault("required", []).append(field.path[-1])
    return root


def _object() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _review(field: Field) -> str:
    review = field.review
    if review is None:
        return "Not reviewed: neither sent nor stored."
    until = "permanent" if review.expires is None else f"until {review.expires}"
    return (
        f"Purpose: {review.purpose}. Sensitivity: {field.sensitivity}. Since: {field.since}. "
        f"Reviewed by {review.by} on {review.on}, {until}: {review.reference}."
    )
