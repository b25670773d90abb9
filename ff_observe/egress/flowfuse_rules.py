"""What a call of FlowFuse's is, and when it is made, as its source decides: from its file, its database, its
licence and its version."""

from collections.abc import Callable
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

_NEVER: Final[Decision] = (False, "")
_ENTERPRISE: Final = "if the licence is an enterprise one"


def _runs_tasks(facts: Facts) -> bool:
    return "housekeeper" not in facts.file.off


def usage_ping(facts: Facts) -> Decision:
    if not _runs_tasks(facts) or (facts.licensed is False and "telemetry.enabled" in facts.file.off):
        return _NEVER
    if "telemetry.enabled" in facts.file.off:
        return True, "if a licence is loaded and FF_TELEMETRY_DISABLED is not set for FlowFuse"
    return True, "if its set-up is done, its administrators allow it, and FF_TELEMETRY_DISABLED is not set for FlowFuse"


def blueprints(facts: Facts) -> Decision:
    if not _runs_tasks(facts) or "blueprintImport.enabled" in facts.file.off or facts.licensed is False:
        return _NEVER
    return (True, "") if facts.licensed else (True, "if a licence is loaded")


def certified_nodes(facts: Facts) -> Decision:
    if not _runs_tasks(facts) or facts.licensed is False:
        return _NEVER
    return True, "if the licence has certified nodes, and the database holds a token for FlowFuse's registry"


def flowfuse_registry(facts: Facts) -> Decision:
    if facts.licensed is False:
        return _NEVER
    return True, "if the licence and the team's type have certified nodes, and the database holds a token for them"


def assistant(facts: Facts) -> Decision:
    named = "assistant.service.url" in facts.file.on and "assistant.enabled" not in facts.file.off
    on = named or "assistant.enabled" in facts.file.exactly_on
    return (True, "when a user asks it") if on else _NEVER


def expert(facts: Facts) -> Decision:
    if "expert.enabled" not in facts.file.exactly_on:
        return _NEVER
    if facts.is_before("2.30.0"):  # forge/routes/api/expert.js; since then below forge/ee/routes
        return True, "when a user asks it"
    return _NEVER if facts.licensed is False else (True, f"{_ENTERPRISE}, when a user asks it")


def expert_broker(facts: Facts) -> Decision:
    bridged = {"broker.teamBroker.enabled", "expert.enabled"} <= facts.file.exactly_on
    if not bridged or "expert.centralBroker.server" not in facts.file.on or facts.licensed is False:
        return _NEVER
    return True, _ENTERPRISE


def team_broker_api(facts: Facts) -> Decision:
    is_on = "broker.teamBroker.enabled" in facts.file.exactly_on and "broker.teamBroker.api.url" in facts.file.on
    if not is_on or facts.licensed is False:
        return _NEVER
    return True, f"{_ENTERPRISE}, soon after each start and once a week"


def bill_of_materials(facts: Facts) -> Decision:
    return _NEVER if facts.licensed is False else (True, f"{_ENTERPRISE}, when a user opens a bill of materials")


def sales(facts: Facts) -> Decision:
    possible, _ = billing(facts)
    return (True, "when a user asks for a type of team that has to be asked for") if possible else _NEVER


def if_on(*keys: str, condition: str = "") -> Callable[[Facts], Decision]:
    def decide(facts: Facts) -> Decision:
        return (True, condition) if all(key in facts.file.on for key in keys) else _NEVER

    return decide


def once_consented(*keys: str) -> Callable[[Facts], Decision]:
    """Since 2.31.2 a banner asks."""

    def decide(facts: Facts) -> Decision:
        condition = "" if facts.is_before("2.31.2") else "once the visitor consents"
        return (True, condition) if all(key in facts.file.on for key in keys) else _NEVER

    return decide


def if_enterprise(*keys: str) -> Callable[[Facts], Decision]:
    def decide(facts: Facts) -> Decision:
        is_on = all(key in facts.file.on for key in keys) and facts.licensed is not False
        return (True, _ENTERPRISE) if is_on else _NEVER

    return decide


def billing(facts: Facts) -> Decision:
    if "billing.stripe.key" not in facts.file.on or facts.licensed is False:
        return _NEVER
    return (True, "") if facts.licensed else (True, "if a licence is loaded")


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `named_by` is the key whose host takes the place of `host`; `port` applies where the key names none."""

    by: Party
    why: str
    data: str
    key: str
    stop: str
    source: str
    since: str
    decide: Callable[[Facts], Decision]
    host: str = ""
    port: int = 443
    named_by: str = ""
