"""`docs/telemetry-payload.schema.json`: the ping as a JSON Schema (draft 2020-12), from the contract."""

from typing import Any

from ff_observe.catalogue.ping_contract import Field, json_schema


def schema() -> dict[str, Any]:
    """The schema. Only the fields of the contract are allowed, and only `instanceId` is required: an unknown value is
    absent."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "FlowFuse core ping",
        "description": "The usage telemetry of one platform, without names. A value that is unknown is absent.",
        **json_schema(
            lambda field: {"description": field.help, "$comment": _review(field)}, additionalProperties=False
        ),
    }


def _review(field: Field) -> str:
    review = field.review
    if review is None:
        return "Not reviewed: neither sent nor stored."
    until = "permanent" if review.expires is None else f"until {review.expires}"
    return (
        f"Purpose: {review.purpose}. Sensitivity: {field.sensitivity}. Since: {field.since}. "
        f"Reviewed by {review.by} on {review.on}, {until}: {review.reference}."
    )
