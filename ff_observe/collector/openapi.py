"""The collector's HTTP interface as an OpenAPI 3.1 document, derived from the contract."""

from typing import Any

from ff_observe.catalogue.ping_contract import MAX_BODY_BYTES, PATH, json_schema
from ff_observe.collector.fleet.history import DAILY
from ff_observe.collector.publication import HISTORY_PATH, INDEX_PATH
from ff_observe.collector.receiving.answers import Reason
from ff_observe.version import VERSION

Json = dict[str, Any]

_RETRY_AFTER = {"Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}}
_ALLOW = {"Allow": {"description": "The methods there are.", "schema": {"type": "string"}}}
_ANYTHING: Json = {"type": "object"}
_DAY: Json = {
    "name": "day",
    "in": "path",
    "required": True,
    "description": "A day of the list, as 2026-03-01.",
    "schema": {"type": "string", "format": "date"},
}
_MADE_FROM: Json = {
    "type": "object",
    "description": "Which releases it was made from.",
    "properties": {
        "first": {"type": ["string", "null"], "format": "date"},
        "last": {"type": ["string", "null"], "format": "date"},
        "count": {"type": "integer"},
    },
    "required": ["first", "last", "count"],
}


def _named(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _json(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _error(description: str) -> Json:
    return _json(description, _named("Error"))


def _text(description: str, content_type: str = "text/plain") -> Json:
    return {"description": description, "content": {content_type: {"schema": {"type": "string"}}}}


def _get(operation: str, summary: str, responses: Json, *parameters: Json) -> Json:
    named = {"parameters": list(parameters)} if parameters else {}
    return {"get": {"operationId": operation, "summary": summary, **named, "responses": responses}}


def _with_status(name: str, *more: str) -> Json:
    """The body of an answer of this interface that has a status, and `more` texts."""
    return {
        "type": "object",
        "properties": {"status": {"const": name}, **{text: {"type": "string"} for text in more}},
        "required": ["status", *more],
        "additionalProperties": False,
    }


def _refusals() -> Json:
    by_status: dict[str, list[str]] = {}
    for reason in Reason:
        by_status.setdefault(str(reason.status), []).append(reason.value.replace("_", " "))
    responses = {
        status: _error(f"Not accepted: {', '.join(reasons)}.") for status, reasons in sorted(by_status.items())
    }
    responses["503"]["headers"] = _RETRY_AFTER
    return responses


def _ping() -> Json:
    return {
        "summary": "Hand in a ping",
        "description": "Acknowledged only after it is durably stored. A ping of the same instance with the same "
        "payload within the window of duplicates is acknowledged and not stored again. Fields beyond the schema are "
        f"accepted and never stored. At most {MAX_BODY_BYTES} bytes, without Content-Encoding.",
        "parameters": [
            {
                "name": "FF-Observe-Checkpoint",
                "in": "header",
                "description": "A checkpoint of the sender's ledger, its text in base64, to be cosigned. Others are "
                "ignored.",
                "schema": {"type": "string"},
            }
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _named("Ping")}}},
        "responses": {
            "200": {
                "description": "Stored.",
                "headers": {
                    "FF-Observe-Cosignature": {
                        "description": "A receipt, where a checkpoint was shown: the name of the key and a cosignature "
                        "(C2SP tlog-cosignature).",
                        "schema": {"type": "string"},
                    }
                },
                "content": {"application/json": {"schema": _named("Success")}},
            },
            **_refusals(),
        },
    }


def document() -> Json:
    ping = _ping()
    fleet = _json("Aggregates over the fleet.", _ANYTHING)
    history = _json(
        "The days of releases, and under the keys of a figure in a release a list of its numbers "
        "on these days, null where a release left it out. Of releases more than "
        f"{DAILY.days} days before the last it has the last of each week.",
        _named("History"),
    )
    not_public, no_release = _error("Not public."), _error("No release of that day.")
    not_yet = {**_error("Not counted yet."), "headers": _RETRY_AFTER}

    def public(operation: str, summary: str, answer: Json) -> Json:
        return _get(operation, summary, {"200": answer, "404": not_public, "503": not_yet})

    page = {"200": _text("The page.", "text/html"), "405": {**not_public, "headers": _ALLOW}, "503": not_yet}
    metrics = {
        "text/plain": {"schema": {"type": "string"}},
        "application/openmetrics-text": {"schema": {"type": "string"}},
    }
    proof = "The signed proof that the log of releases has it (C2SP tlog-proof)"
    index = "The days of all releases, and the key that signs them, where the fleet is public"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ff-observe ping collector",
            "version": VERSION,
            "description": "Receives the core pings of FlowFuse platforms. Of a sender's address only a keyed hash is "
            "kept, whose key is destroyed on schedule.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            PATH: {"post": {"operationId": "sendPing", **ping}},
            "/": {
                "post": {"operationId": "sendPingToRoot", **ping},
                **_get("getFleetPage", "The fleet as a page, where it is public", page),
            },
            "/fleet.json": public("getFleet", "The fleet as data, where it is public", fleet),
            INDEX_PATH: public("getReleases", index, fleet),
            HISTORY_PATH: public(
                "getHistory", "The figures of all releases as columns, where the fleet is public", history
            ),
            "/releases/{day}.json": _get(
                "getRelease", "What fleet.json was on a day", {"200": fleet, "404": no_release}, _DAY
            ),
            "/releases/{day}.proof": _get(
                "getReleaseProof", proof, {"200": _text("The proof."), "404": no_release}, _DAY
            ),
            "/metrics": _get(
                "getMetrics",
                "The collector's and the fleet's metrics",
                {"200": {"description": "In the format that was asked for.", "content": metrics}},
            ),
            "/-/healthy": _get("getHealthy", "Does it run", {"200": _text("It runs.")}),
            "/-/ready": _get(
                "getReady", "Can pings be stored now", {"200": _text("They can."), "503": _text("They cannot.")}
            ),
            "/openapi.json": _get("getOpenApi", "This document", {"200": _json("This document.", _ANYTHING)}),
        },
        "components": {
            "schemas": {
                "Ping": json_schema(),
                "History": {
                    "type": "object",
                    "properties": {"releases": _MADE_FROM, "day": {"type": "array", "items": _DAY["schema"]}},
                    "required": ["releases", "day"],
                },
                "Success": _with_status("success"),
                "Error": _with_status("error", "error"),
            }
        },
    }
