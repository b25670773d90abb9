"""The collector's HTTP interface as an OpenAPI 3.1 document, derived from the contract."""

from typing import Any

from ff_observe.collector.history import DAILY
from ff_observe.collector.publication import HISTORY_PATH, INDEX_PATH
from ff_observe.collector.refusals import Reason, Refusal
from ff_observe.ping_contract import FIELDS, MAX_BODY_BYTES, PATH
from ff_observe.version import VERSION

Json = dict[str, Any]

_ERROR = {"$ref": "#/components/schemas/Error"}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}}
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
_ALLOW = {"Allow": {"description": "The methods there are.", "schema": {"type": "string"}}}


def ping_schema() -> Json:
    """JSON Schema of an acceptable ping."""
    root: Json = {"type": "object", "properties": {}}
    for field in FIELDS:
        place = root
        for key in field.path[:-1]:
            place = place["properties"].setdefault(key, {"type": "object", "properties": {}})
        place["properties"][field.path[-1]] = field.json_schema()
        if field.required:
            place.setdefault("required", []).append(field.path[-1])
    return root


def _text(description: str, content_type: str = "text/plain") -> Json:
    return {"description": description, "content": {content_type: {"schema": {"type": "string"}}}}


def _refusals() -> Json:
    by_status: dict[str, list[str]] = {}
    for reason in Reason:
        refusal = Refusal(reason)
        by_status.setdefault(str(refusal.status), []).append(reason.value.replace("_", " "))
    responses: Json = {
        status: {
            "description": f"Not accepted: {', '.join(reasons)}.",
            "content": {"application/json": {"schema": _ERROR}},
        }
        for status, reasons in sorted(by_status.items())
    }
    responses["503"]["headers"] = _RETRY_AFTER
    return responses


def document() -> Json:
    """The complete document."""
    ping = {
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
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ping"}}},
        },
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
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Success"}}},
            },
            **_refusals(),
        },
    }
    fleet = {
        "description": "Aggregates over the fleet.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    history = {
        "description": "The days of releases, and under the keys of a figure in a release a list of its numbers "
        "on these days, null where a release left it out. Of releases more than "
        f"{DAILY.days} days before the last it has the last of each week.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/History"}}},
    }
    not_public = {"description": "Not public.", "content": {"application/json": {"schema": _ERROR}}}
    no_release = {"description": "No release of that day.", "content": {"application/json": {"schema": _ERROR}}}
    not_yet = {
        "description": "Not counted yet.",
        "content": {"application/json": {"schema": _ERROR}},
        "headers": _RETRY_AFTER,
    }

    def public(operation: str, summary: str, answer: Json) -> Json:
        responses = {"200": answer, "404": not_public, "503": not_yet}
        return {"get": {"operationId": operation, "summary": summary, "responses": responses}}

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
                "get": {
                    "operationId": "getFleetPage",
                    "summary": "The fleet as a page, where it is public",
                    "responses": {
                        "200": _text("The page.", "text/html"),
                        "405": {**not_public, "headers": _ALLOW},
                        "503": not_yet,
                    },
                },
            },
            "/fleet.json": public("getFleet", "The fleet as data, where it is public", fleet),
            INDEX_PATH: public(
                "getReleases", "The days of all releases, and the key that signs them, where the fleet is public", fleet
            ),
            HISTORY_PATH: public(
                "getHistory", "The figures of all releases as columns, where the fleet is public", history
            ),
            "/releases/{day}.json": {
                "get": {
                    "operationId": "getRelease",
                    "summary": "What fleet.json was on a day",
                    "parameters": [_DAY],
                    "responses": {"200": fleet, "404": no_release},
                }
            },
            "/releases/{day}.proof": {
                "get": {
                    "operationId": "getReleaseProof",
                    "summary": "The signed proof that the log of releases has it (C2SP tlog-proof)",
                    "parameters": [_DAY],
                    "responses": {"200": _text("The proof."), "404": no_release},
                }
            },
            "/metrics": {
                "get": {
                    "operationId": "getMetrics",
                    "summary": "The collector's and the fleet's metrics",
                    "responses": {
                        "200": {
                            "description": "In the format that was asked for.",
                            "content": {
                                "text/plain": {"schema": {"type": "string"}},
                                "application/openmetrics-text": {"schema": {"type": "string"}},
                            },
                        }
                    },
                }
            },
            "/-/healthy": {
                "get": {"operationId": "getHealthy", "summary": "Does it run", "responses": {"200": _text("It runs.")}}
            },
            "/-/ready": {
                "get": {
                    "operationId": "getReady",
                    "summary": "Can pings be stored now",
                    "responses": {"200": _text("They can."), "503": _text("They cannot.")},
                }
            },
            "/openapi.json": {
                "get": {
                    "operationId": "getOpenApi",
                    "summary": "This document",
                    "responses": {
                        "200": {
                            "description": "This document.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        }
                    },
                }
            },
        },
        "components": {
            "schemas": {
                "Ping": ping_schema(),
                "History": {
                    "type": "object",
                    "properties": {"releases": _MADE_FROM, "day": {"type": "array", "items": _DAY["schema"]}},
                    "required": ["releases", "day"],
                },
                "Success": {
                    "type": "object",
                    "properties": {"status": {"const": "success"}},
                    "required": ["status"],
                    "additionalProperties": False,
                },
                "Error": {
                    "type": "object",
                    "properties": {"status": {"const": "error"}, "error": {"type": "string"}},
                    "required": ["status", "error"],
                    "additionalProperties": False,
                },
            }
        },
    }
