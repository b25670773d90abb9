"""The collector's OpenAPI document as the file that is committed."""

import json

from ff_observe.collector.openapi import document


def render() -> str:
    """The document as indented JSON."""
    return json.dumps(document(), indent=2) + "\n"
