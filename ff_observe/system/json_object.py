"""JSON that others wrote."""

import json
from typing import Any


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """The members of an object; None for anything else, also for what nests too deeply to be read."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
