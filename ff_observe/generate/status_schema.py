"""`docs/status.schema.json`: what `/api/status` answers, as a JSON Schema (draft 2020-12)."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ff_observe.web.status.document import StatusDocument

_SIMPLE: dict[object, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
}


def schema() -> dict[str, Any]:
    """The schema. Every member is required: what is unknown is null. Later versions may add members."""
    definitions: dict[str, Any] = {}
    root = _object(StatusDocument, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Status of a FlowFuse platform and of the bridge that reads it",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _object(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    properties = {name: _value(hints[name], definitions) for name in names}
    return {"type": "object", "description": kind.__doc__, "properties": properties, "required": names}


def _value(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if get_origin(hint) is Annotated:
        kind, description = get_args(hint)
        return {"description": description, **_value(kind, definitions)}
    if get_origin(hint) is UnionType:
        kinds = [_value(kind, definitions) for kind in get_args(hint)]
        if all(set(kind) == {"type"} for kind in kinds):
            return {"type": [kind["type"] for kind in kinds]}
        return {"anyOf": kinds}
    if get_origin(hint) is Sequence:
        return {"type": "array", "items": _value(get_args(hint)[0], definitions)}
    if isinstance(hint, type) and is_dataclass(hint):
        name = hint.__name__
        if name not in definitions:
            definitions[name] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"enum": [member.value for member in hint]}
    return dict(_SIMPLE[hint])
