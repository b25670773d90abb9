"""When FlowFuse makes a call, as its source decides: from its file, its database and its licence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ff_observe.config.flowfuse_file import FlowFuseFile


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides: FlowFuse's file, whether its database is PostgreSQL, and whether a licence is loaded, None if that
    is not known."""

    file: FlowFuseFile
    postgresql: bool
    licensed: bool | None


Decision = tuple[bool, str]
"""Whether the call is possible, and under which condition; empty if the file alone decides."""

_NEVER: Final[Decision] = (False, "")


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
    if "expert.enabled" not in facts.file.exactly_on or facts.licensed is False:
        return _NEVER
    return True, "if the licence is an enterprise one, when a user asks it"


def expert_broker(facts: Facts) -> Decision:
    bridged = {"broker.teamBroker.enabled", "expert.enabled"} <= facts.file.exactly_on
    if not bridged or "expert.centralBroker.server" not in facts.file.on or facts.licensed is False:
        return _NEVER
    return True, "if the licence is an enterprise one"


def if_on(*keys: str, condition: str = "") -> Callable[[Facts], Decision]:
    def decide(facts: Facts) -> Decision:
        return (True, condition) if all(key in facts.file.on for key in keys) else _NEVER

    return decide


def npm_registry(facts: Facts) -> Decision:
    on = {"npmRegistry.enabled", "npmRegistry.url"} <= facts.file.on and facts.licensed is not False
    return (True, "if the licence is an enterprise one") if on else _NEVER


def billing(facts: Facts) -> Decision:
    if "billing.stripe.key" not in facts.file.on or facts.licensed is False:
        return _NEVER
    return (True, "") if facts.licensed else (True, "if a licence is loaded")
