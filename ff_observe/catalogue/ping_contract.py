"""The contract of a ping: its fields in order, with their types and limits. Sender and receiver both import it.

The counts come from the catalogue; the rest is FlowFuse's (forge/monitor, payload of 2.15 and later).
"""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.model import Count, Sensitivity, ping_fields
from ff_observe.catalogue.ping_field import IDENTITY, LICENCE, SUPPORT, USE, PingField, Review

PATH = "/ping"
MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 32  # of nested objects and arrays; the contract itself needs five
MAX_COUNT = 2**53 - 1  # the largest integer that a JavaScript number holds exactly

Value = str | int | bool
Values = tuple[Value | None, ...]
"""The values of a ping in the order of `FIELDS`; None where the sender left one out."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """The form of a text: a regular expression that Python and JavaScript interpret alike, and its description.

    Every expression matches only printable ASCII without spaces. This leaves no room for sentences and mail addresses,
    or for control and bidirectional characters; such a text is in NFC. `maximum` is the length of the longest.
    """

    pattern: str
    description: str
    maximum: int
    matches: Callable[[str], object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "matches", re.compile(self.pattern, re.ASCII).fullmatch)

    def fits(self, text: str) -> bool:
        """Whether the whole text has this form."""
        return self.matches(text) is not None

    def json_schema(self) -> dict[str, object]:
        """The same as JSON Schema. `not` excludes the line feed that some engines allow before `$`."""
        return {
            "type": "string",
            "maxLength": self.maximum,
            "pattern": f"^(?:{self.pattern})$",
            "not": {"pattern": "[^!-~]"},
        }


_NUMBERS = r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}"
_SUFFIX = r"[0-9A-Za-z.-]{1,64}"
UUID = Grammar(
    "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "a UUID in lower case, as FlowFuse draws it", 36
)
SYSTEM = Grammar("[A-Za-z][A-Za-z0-9_-]{0,31}", "the name of an operating system, such as Linux or Windows_NT", 32)
RELEASE = Grammar(
    r"[0-9]{1,5}(?:\.[0-9]{1,6}){0,2}(?:(?:\.[0-9]{1,6})?[-+~_][0-9A-Za-z.+~_-]{0,64})?",
    "the release of a kernel, such as 6.1.0-18-amd64",
    91,
)
ARCHITECTURE = Grammar("[A-Za-z][A-Za-z0-9_-]{0,15}", "a processor architecture, such as x64", 16)
NODEJS = Grammar(f"v{_NUMBERS}(?:-{_SUFFIX})?", "a version of Node.js, such as v20.20.2", 80)
FLOWFUSE = Grammar(
    rf"{_NUMBERS}(?:-{_SUFFIX})?(?:\+{_SUFFIX})?",
    "a version of FlowFuse, such as 2.33.2 or 2.33.2-git",
    144,
)
DRIVER = Grammar("[A-Za-z][A-Za-z0-9_-]{0,31}", "the name of a driver, such as kubernetes", 32)
LICENCE_ID = Grammar("[A-Za-z0-9_-]{0,128}", "the identifier of a licence, such as a UUID, or empty", 128)
LICENCE_TYPE = Grammar("[A-Z]{2,8}", "a type of licence, such as CE, DEV or EE", 8)


class RollupRule(StrEnum):
    """What of a field a collector keeps of each day, longer than its pings: how many platforms had each value; of a
    count, how many had 0, 1, 2 to 4, 5 to 9, 10 to 19, 20 to 49, …, and their sum."""

    NONE = "no"
    BY_VALUE = "by value"
    BY_SIZE = "by size"


@dataclass(frozen=True, slots=True)
class Field:
    """One value in a ping. A text has a grammar; a number is at most `MAX_COUNT`.

    `help` says what it is, `origin` where it comes from (for a count from `table`, as the catalogue calls it), `since`
    the version of ff-observe that first sends it. It is neither sent nor stored without a `review` that holds.
    """

    path: tuple[str, ...]
    type: type[str] | type[int] | type[bool]
    grammar: Grammar | None = None
    required: bool = False
    help: str = field(kw_only=True)
    origin: str = field(kw_only=True)
    table: str | None = field(default=None, kw_only=True)
    sensitivity: Sensitivity = field(kw_only=True)
    since: str = field(default="0.1.0", kw_only=True)
    review: Review | None = field(kw_only=True)
    rolled_up: RollupRule = field(default=RollupRule.NONE, kw_only=True)

    def accepts(self, value: object) -> bool:
        """Whether a value is valid: the rule of the sender and of the receiver."""
        if type(value) is not self.type:
            return False
        if isinstance(value, str):
            return self.grammar is not None and self.grammar.fits(value)
        return isinstance(value, bool) or (isinstance(value, int) and 0 <= value <= MAX_COUNT)

    def may_leave(self, day: date) -> bool:
        """Whether a review allows it on `day` (UTC)."""
        return self.review is not None and self.review.holds(day)

    def json_schema(self) -> dict[str, object]:
        """The value as JSON Schema."""
        if self.grammar is not None:
            return self.grammar.json_schema()
        if self.type is bool:
            return {"type": "boolean"}
        return {"type": "integer", "minimum": 0, "maximum": MAX_COUNT}

    @property
    def dotted(self) -> str:
        """The path in dotted form: `platform.counts.users`."""
        return ".".join(self.path)


def _count_field(count: Count, part: PingField) -> Field:
    metric = count.name + (f'{{{count.labels[0]}="{part.label_value}"}}' if part.label_value else "")
    only = f" Here only `{part.label_value}`." if part.label_value else ""
    without_licence = " 0 without a licence." if count.enterprise else ""
    return Field(
        ("platform", "counts", *part.path),
        int,
        help=f"{count.help}{only}{without_licence}",
        origin=f"counted in the platform's database: `{metric}`",
        table=count.of.table,
        sensitivity=Sensitivity.COUNT,
        since=count.since,
        review=part.review,
        rolled_up=RollupRule.BY_SIZE,
    )


COUNT_FIELDS: tuple[Field, ...] = tuple(_count_field(count, part) for count, part in ping_fields(COUNTS))


def _text(
    dotted: str,
    grammar: Grammar,
    meaning: str,
    origin: str,
    sensitivity: Sensitivity = Sensitivity.VERSION,
    review: Review = SUPPORT,
    rolled_up: RollupRule = RollupRule.BY_VALUE,
    *,
    required: bool = False,
) -> Field:
    return Field(
        tuple(dotted.split(".")),
        str,
        grammar,
        required,
        help=meaning,
        origin=origin,
        sensitivity=sensitivity,
        review=review,
        rolled_up=rolled_up,
    )


def _switch(name: str, meaning: str, origin: str) -> Field:
    """Whether a part of FlowFuse is switched on."""
    return Field(
        ("platform", "config", name, "enabled"),
        bool,
        help=meaning,
        origin=f"flowforge.yml: `{origin}`",
        sensitivity=Sensitivity.OPERATIONAL,
        review=USE,
        rolled_up=RollupRule.BY_VALUE,
    )


FIELDS: tuple[Field, ...] = (
    _text(
        "instanceId",
        UUID,
        "Random identifier that the platform drew when it was set up.",
        "the platform's database: `PlatformSettings`, `instanceId`",
        Sensitivity.IDENTIFIER,
        IDENTITY,
        RollupRule.NONE,
        required=True,
    ),
    _text("os.type", SYSTEM, "Operating system, as Node.js names it.", "the operating system"),
    _text("os.release", RELEASE, "Release of the operating system.", "the operating system", rolled_up=RollupRule.NONE),
    _text("os.arch", ARCHITECTURE, "Processor architecture, as Node.js names it.", "the operating system"),
    _text("env.nodejs", NODEJS, "Version of Node.js.", "`node --version`, or FlowFuse's own `/metrics`"),
    _text("env.flowforge", FLOWFUSE, "Version of FlowFuse.", "FlowFuse's `package.json`"),
    *COUNT_FIELDS,
    _text("platform.config.driver", DRIVER, "What runs the instances.", "flowforge.yml: `driver.type`"),
    _switch("broker", "Whether a broker is configured.", "broker"),
    _switch("fileStore", "Whether a file store is configured.", "fileStore"),
    _switch("email", "Whether e-mail is on.", "email.enabled"),
    _text(
        "platform.license.id",
        LICENCE_ID,
        "Identifier of the licence; empty without one.",
        "the licence",
        Sensitivity.IDENTIFIER,
        LICENCE,
        RollupRule.NONE,
    ),
    _text(
        "platform.license.type",
        LICENCE_TYPE,
        "CE without a licence, EE or DEV with one.",
        "the licence",
        review=LICENCE,
    ),
)
"""Every field a ping may hold, in the order it is sent. Nothing else leaves, and nothing else is accepted."""


def reviewed(values: Values, day: date) -> Values:
    """What of a ping may be sent, or stored, on `day` (UTC): the values whose review holds."""
    withdrawn = _withdrawn(day)
    if not withdrawn:
        return values
    return tuple(None if index in withdrawn else value for index, value in enumerate(values))


@functools.lru_cache(maxsize=4)
def _withdrawn(day: date) -> frozenset[int]:
    return frozenset(index for index, field in enumerate(FIELDS) if not field.may_leave(day))


def document(values: Sequence[Value | None]) -> dict[str, object]:
    """The ping as nested JSON objects, from its values in the order of `FIELDS`. A value of None is absent."""
    root: dict[str, object] = {}
    for found, value in zip(FIELDS, values, strict=True):
        if value is not None:
            *parents, last = found.path
            place = root
            for key in parents:
                below = place.setdefault(key, {})
                assert isinstance(below, dict)
                place = below
            place[last] = value
    return root


def json_schema(of_field: Callable[[Field], dict[str, str]] = lambda _: {}, **of_object: bool) -> dict[str, Any]:
    """The ping as JSON Schema. `of_field` describes each field, and `of_object` is said of each object."""
    root: dict[str, Any] = {"type": "object", **of_object, "properties": {}}
    for found in FIELDS:
        *parents, last = found.path
        place = root
        for key in parents:
            place = place["properties"].setdefault(key, {"type": "object", **of_object, "properties": {}})
        place["properties"][last] = {**of_field(found), **found.json_schema()}
        if found.required:
            place.setdefault("required", []).append(last)
    return root
