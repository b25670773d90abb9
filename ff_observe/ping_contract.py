"""What a ping is: its fields in order, with their types and limits. Sender and receiver both import it.

The counts come from the catalogue; the rest is FlowFuse's (forge/monitor, payload of 2.15 and later).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.model import ping_fields

PATH = "/ping"
MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 32  # of nested objects and arrays; the contract itself needs five
MAX_COUNT = 2**53 - 1  # the largest integer a JSON number of JavaScript holds exactly

FORBIDDEN_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of surrogate pairs, which are no characters at all: neither belongs in any string."""

Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Field:
    """One value in a ping. `maximum` is the length of a string in characters, or the greatest number."""

    path: tuple[str, ...]
    type: type[str] | type[int] | type[bool]
    maximum: int = 256
    required: bool = False

    @property
    def dotted(self) -> str:
        """The path as people write it: `platform.counts.users`."""
        return ".".join(self.path)


COUNT_FIELDS: tuple[Field, ...] = tuple(
    Field(("platform", "counts", *ping_field.path), int, MAX_COUNT) for _, ping_field in ping_fields(COUNTS)
)

FIELDS: tuple[Field, ...] = (
    Field(("instanceId",), str, required=True),
    Field(("os", "type"), str),
    Field(("os", "release"), str),
    Field(("os", "arch"), str),
    Field(("env", "nodejs"), str),
    Field(("env", "flowforge"), str),
    *COUNT_FIELDS,
    Field(("platform", "config", "driver"), str),
    Field(("platform", "config", "broker", "enabled"), bool),
    Field(("platform", "config", "fileStore", "enabled"), bool),
    Field(("platform", "config", "email", "enabled"), bool),
    Field(("platform", "license", "id"), str),
    Field(("platform", "license", "type"), str, 16),
)
"""Every field a ping may hold, in the order it is sent. Nothing else leaves, and nothing else is accepted."""


def document(values: Sequence[Value | None]) -> dict[str, object]:
    """The ping as JSON nests it, from its values in the order of `FIELDS`. A value of None is absent."""
    root: dict[str, object] = {}
    for field, value in zip(FIELDS, values, strict=True):
        if value is not None:
            *parents, last = field.path
            place = root
            for key in parents:
                below = place.setdefault(key, {})
                assert isinstance(below, dict)
                place = below
            place[last] = value
    return root
