"""What a call of FlowFuse's is, and when it is made, as its source decides: from its file, its database, its
licence and its version."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from ff_observe.config.flowfuse_file import FlowFuseFile
from ff_observe.egress.contact import Party


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides: FlowFuse's file, whether its database is PostgreSQL, whether a licence is loaded, and FlowFuse's
    version; the last two are None if they are not known."""

    file: FlowFuseFile
    postgresql: bool
    licensed: bool | None
    version: str | None = None

    def is_before(self, release: str) -> bool:
        """Whether FlowFuse is older than that; a version that is not known or cannot be read is not."""
        numbers = (self.version or "").partition("-")[0].split(".")
        if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            return False
        return tuple(map(int, numbers)) < tuple(map(int, release.split(".")))


Decision = tuple[bool, str]
"""Whether the call is possible, and under which condition; empty if the file alone decides."""

Decide = Callable[[Facts], Decision]

_NEVER: Final[Decision] = (False, "")
ANY_LICENCE: Final = "if a licence is loaded"
ENTERPRISE: Final = "if the licence is an enterprise one"


def if_on(
    *on: str, exactly: Collection[str] = (), but_for: Collection[str] = (), licence: str = "", condition: str = ""
) -> Decide:
    """Possible where the keys `on` are on, those of `exactly` are `true` and none of `but_for` is `false`. If a licence
    is needed, `licence` is what is asked of it."""

    def decide(facts: Facts) -> Decision:
        file = facts.file
        set_so = file.on.issuperset(on) and file.exactly_on.issuperset(exactly) and file.off.isdisjoint(but_for)
        if not set_so or (licence and facts.licensed is False):
            return _NEVER
        unknown = "" if licence == ANY_LICENCE and facts.licensed else licence
        return True, ", ".join(filter(None, (unknown, condition)))

    return decide


def usage_ping(facts: Facts) -> Decision:
    opted_out = "telemetry.enabled" in facts.file.off
    if "housekeeper" in facts.file.off or (facts.licensed is False and opted_out):
        return _NEVER
    if opted_out:
        return True, "if a licence is loaded and FF_TELEMETRY_DISABLED is not set for FlowFuse"
    return True, "if its set-up is done, its administrators allow it, and FF_TELEMETRY_DISABLED is not set for FlowFuse"


def assistant(facts: Facts) -> Decision:
    named = "assistant.service.url" in facts.file.on and "assistant.enabled" not in facts.file.off
    on = named or "assistant.enabled" in facts.file.exactly_on
    return (True, "when a user asks it") if on else _NEVER


def expert(facts: Facts) -> Decision:
    """Before 2.30.0 in forge/routes/api/expert.js; since then below forge/ee/routes."""
    licence = "" if facts.is_before("2.30.0") else ENTERPRISE
    return if_on(exactly=["expert.enabled"], licence=licence, condition="when a user asks it")(facts)


def once_consented(*on: str) -> Decide:
    """Since 2.31.2 a banner asks."""
    return lambda facts: if_on(*on, condition="" if facts.is_before("2.31.2") else "once the visitor consents")(facts)


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `named_by` is the key whose host takes the place of `host`; without a `host`, `key` itself is that key.
    `port` applies where the key names none."""

    by: Party
    why: str
    data: str
    key: str
    stop: str
    source: str
    since: str
    decide: Decide
    host: str = ""
    port: int = 443
    named_by: str = ""

    @property
    def names_host(self) -> str:
        """The key that names the host."""
        return self.named_by or ("" if self.host else self.key)
