"""Decides whether the ping may be sent. One pure function, which also names the rule and what would change it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ff_observe.catalogue import bridge
from ff_observe.catalogue.model import Reading
from ff_observe.config.settings import Settings
from ff_observe.outputs.ping.election import ElectionState, Role
from ff_observe.platform.snapshot import Snapshot


class Rule(StrEnum):
    """The rules, in order: the first that applies decides."""

    FF_TELEMETRY_DISABLED = "ff_telemetry_disabled"
    HOUSEKEEPER_OFF = "housekeeper_off"
    DATABASE_UNKNOWN = "database_unknown"
    NOT_INITIALISED = "not_initialised"
    LICENSED = "licensed"
    FILE = "file"
    ADMIN_SETTING = "admin_setting"
    DO_NOT_TRACK = "do_not_track"
    NO_OBJECTION = "no_objection"
    SENDER_NEVER = "sender_never"
    ANOTHER_BRIDGE = "another_bridge"
    ELECTION_UNKNOWN = "election_unknown"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the ping may be sent. `explanation` is for the operator: the deciding rule, and what to change.

    `opt_out_ignored` is true on a licensed platform with an opt-out: its licence overrides that.
    """

    allowed: bool
    rule: Rule
    explanation: str
    opt_out_ignored: bool = False


def decide(snapshot: Snapshot, settings: Settings) -> Decision:
    """FlowFuse's own gate (forge/housekeeper/tasks/telemetryMetrics.js), with `DO_NOT_TRACK` as an additional opt-out.

    With `housekeeper: false` FlowFuse runs no scheduled task, this one included. While the database does not say
    whether the ping is wanted, it is not sent.
    """
    early = decide_without_database(settings)
    if early is not None:
        return early
    installation = snapshot.installation
    if not snapshot.up or installation.initialised is None or installation.telemetry_allowed is None:
        return _no(
            Rule.DATABASE_UNKNOWN,
            "the platform's database could not be read, so it is not known whether the ping is wanted. "
            "It is asked again; check the `db` section of the configuration if this lasts.",
        )
    if not installation.initialised:
        return _no(
            Rule.NOT_INITIALISED,
            "the platform's set-up has not been completed. Complete it in the FlowFuse web interface; it is noticed.",
        )
    opt_outs = _opt_outs(snapshot, settings)
    if installation.licence is not None:
        return _licensed([words for words, _ in opt_outs.values()])
    for rule, (_, explanation) in opt_outs.items():
        return _no(rule, explanation)
    return Decision(
        True,
        Rule.NO_OBJECTION,
        "no opt-out is set, neither in the file, nor by the administrators, nor in the environment. To stop the ping, "
        f"write `enabled: false` below `telemetry:` in {settings.file}.",
    )


def with_election(decision: Decision, election: ElectionState) -> Decision:
    """A ping that may be sent is sent by one bridge of the platform."""
    if not decision.allowed or election.role in (Role.LEADER, Role.ALONE):
        return decision
    rule = {Role.NEVER: Rule.SENDER_NEVER, Role.FOLLOWER: Rule.ANOTHER_BRIDGE}.get(election.role, Rule.ELECTION_UNKNOWN)
    where = f" It runs on {election.leader_host}." if election.leader_host else ""
    reason = f" ({election.note})" if election.note else ""
    return _no(rule, SENT_BY_ANOTHER[rule] + where + reason)


WITHHELD_BY: Final = frozenset(Rule) - {
    *(Rule.LICENSED, Rule.NO_OBJECTION),
    *(Rule.SENDER_NEVER, Rule.ANOTHER_BRIDGE, Rule.ELECTION_UNKNOWN),  # another sends it
    Rule.DATABASE_UNKNOWN,  # comes and goes with the database, and decides nothing
}
"""The rules by which this platform's ping is not sent at all."""

SENT_BY_ANOTHER: Final = {
    Rule.SENDER_NEVER: "telemetry.ping.sender is never: another bridge of this platform has to send it.",
    Rule.ANOTHER_BRIDGE: "another bridge of this platform was elected to send it. This one takes over when that one is "
    "gone.",
    Rule.ELECTION_UNKNOWN: "the bridges of this platform cannot agree now on which of them sends it. They try again.",
}
"""The rules by which a bridge leaves the ping to another, in words."""


def decide_here(snapshot: Snapshot, settings: Settings, readings: Mapping[str, Reading] | None = None) -> Decision:
    """The decision of this bridge, which may leave the ping to another: by its configuration, or by an election, as its
    metrics of itself (`readings`) say."""
    decision = decide(snapshot, settings)
    if settings.ping.sender == "never":
        return with_election(decision, ElectionState(Role.NEVER))
    noted = {labels[0] for labels in (readings or {}).get(bridge.PING_ENABLED.name, {})}
    left_to = next((rule for rule in SENT_BY_ANOTHER if rule.value in noted), None)
    return decision if left_to is None or not decision.allowed else _no(left_to, SENT_BY_ANOTHER[left_to])


def decide_without_database(settings: Settings) -> Decision | None:
    """The decision if file and environment alone determine it, whatever the database holds; else None."""
    if settings.environment.ff_telemetry_disabled:
        return _no(
            Rule.FF_TELEMETRY_DISABLED,
            "FF_TELEMETRY_DISABLED is set in the environment of ff-observe, which stops the ping whatever else is "
            "configured (any value but an empty one does). Unset it to let the other rules decide.",
        )
    if not settings.platform.housekeeper:
        return _no(
            Rule.HOUSEKEEPER_OFF,
            f"{settings.file} says `housekeeper: false`: FlowFuse then runs no scheduled task, and sends no ping. "
            "Remove that line to let the other rules decide.",
        )
    return None


def _no(rule: Rule, explanation: str) -> Decision:
    return Decision(False, rule, explanation)


def _licensed(ignored: list[str]) -> Decision:
    if not ignored:
        return Decision(True, Rule.LICENSED, "a licence is loaded, and a licensed platform always sends the ping.")
    return Decision(
        True,
        Rule.LICENSED,
        f"a licence is loaded, and a licensed platform always sends the ping: {' and '.join(ignored)} "
        f"{'is' if len(ignored) == 1 else 'are'} ignored, as FlowFuse does. Only FF_TELEMETRY_DISABLED in the "
        "environment stops it.",
        opt_out_ignored=True,
    )


def _opt_outs(snapshot: Snapshot, settings: Settings) -> dict[Rule, tuple[str, str]]:
    """The opt-outs that are set, the first that decides first: in words, for telling a licensed platform that it is
    ignored, and as the explanation of a decision."""
    found: dict[Rule, tuple[str, str]] = {}
    if settings.ping.enabled is False:
        found[Rule.FILE] = (
            "`telemetry.enabled: false` in the file",
            f"{settings.file} says `telemetry.enabled: false`. Set it to true, or remove it, to send the ping.",
        )
    if snapshot.installation.telemetry_allowed is False:
        where = "in FlowFuse (Admin Settings, General)"
        found[Rule.ADMIN_SETTING] = (
            "the administrators' setting",
            f"an administrator has switched telemetry off {where}. Switch it on there to send the ping.",
        )
    if settings.environment.do_not_track:
        found[Rule.DO_NOT_TRACK] = (
            "DO_NOT_TRACK",
            "DO_NOT_TRACK is set in the environment of ff-observe. Unset it, or set it to 0, to send the ping.",
        )
    return found
