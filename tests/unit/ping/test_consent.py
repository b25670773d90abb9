"""The complete truth table of consent, against the sentence of the design."""

import itertools
from dataclasses import replace

import pytest

from ff_observe.outputs.ping.consent import SENT_BY_ANOTHER, Rule, decide, decide_here, with_election
from ff_observe.outputs.ping.election import ElectionState, Role
from tests.prose import faults
from tests.unit.ping.samples import LICENCE, settings, snapshot

BOTH = (False, True)
COLUMNS = {
    "FF_TELEMETRY_DISABLED": BOTH,
    "housekeeper": BOTH,
    "the database answers": BOTH,
    "initialised": (None, True, False),  # None: it could not be read
    "licensed": BOTH,
    "telemetry.enabled": (True, False),
    "the administrators' setting": (None, True, False),  # None: it could not be read
    "DO_NOT_TRACK": BOTH,
}


def expected(
    disabled: bool,
    housekeeper: bool,
    up: bool,
    initialised: bool | None,
    licensed: bool,
    file: bool,
    admin: bool | None,
    do_not_track: bool,
) -> tuple[bool, bool]:
    """Allowed, and an opt-out ignored. The design: "initialised and (a licence is loaded or (file does not say
    `enabled: false` and the admin setting allows it and `DO_NOT_TRACK` is not set)). `FF_TELEMETRY_DISABLED` stops it
    always." What the database does not tell is no consent, and FlowFuse sends nothing with `housekeeper: false`."""
    may = initialised and (licensed or (file is not False and admin and not do_not_track))
    told = up and initialised is not None and admin is not None
    allowed = bool(may and told and housekeeper and not disabled)
    return allowed, allowed and licensed and (file is False or not admin or do_not_track)


def test_every_combination_is_decided_as_the_design_says() -> None:
    rows = list(itertools.product(*COLUMNS.values()))
    assert len(rows) == 576
    for row in rows:
        disabled, housekeeper, up, initialised, licensed, file, admin, do_not_track = row
        decision = decide(
            snapshot(
                up=bool(up),
                initialised=initialised,
                licence=LICENCE if licensed else None,
                telemetry_allowed=admin,
            ),
            settings(
                enabled=bool(file),
                housekeeper=bool(housekeeper),
                ff_telemetry_disabled=bool(disabled),
                do_not_track=bool(do_not_track),
            ),
        )
        wanted = expected(*row)  # type: ignore[arg-type]  # which columns may be None is written above
        assert (decision.allowed, decision.opt_out_ignored) == wanted, dict(zip(COLUMNS, row, strict=True))
        assert faults(decision.explanation) == []


@pytest.mark.parametrize(
    ("rule", "words", "changes"),
    [
        (Rule.FF_TELEMETRY_DISABLED, "FF_TELEMETRY_DISABLED is set", {"ff_telemetry_disabled": True}),
        (Rule.HOUSEKEEPER_OFF, "`housekeeper: false`", {"housekeeper": False}),
        (Rule.FILE, "/opt/flowforge/etc/flowforge.yml says `telemetry.enabled: false`", {"enabled": False}),
        (Rule.DO_NOT_TRACK, "DO_NOT_TRACK is set", {"do_not_track": True}),
        (Rule.NO_OBJECTION, "no opt-out is set", {}),
    ],
)
def test_a_rule_of_the_settings_names_itself(rule: Rule, words: str, changes: dict[str, bool]) -> None:
    decision = decide(snapshot(), settings(**changes))
    assert decision.rule is rule
    assert words in decision.explanation


@pytest.mark.parametrize(
    ("rule", "words", "changes"),
    [
        (Rule.DATABASE_UNKNOWN, "could not be read", {"up": False}),
        (Rule.DATABASE_UNKNOWN, "could not be read", {"initialised": None}),
        (Rule.NOT_INITIALISED, "set-up has not been completed", {"initialised": False}),
        (Rule.LICENSED, "a licensed platform always sends", {"licence": LICENCE}),
        (Rule.ADMIN_SETTING, "an administrator has switched telemetry off", {"telemetry_allowed": False}),
    ],
)
def test_a_rule_of_the_platform_names_itself(rule: Rule, words: str, changes: dict[str, bool]) -> None:
    decision = decide(snapshot(**changes), settings())  # type: ignore[arg-type]  # the names are those of the fields
    assert decision.rule is rule
    assert words in decision.explanation


def test_rules_are_asked_in_the_order_of_their_list() -> None:
    """Take away, one after the other, what decides: the next rule comes to light, in the documented order."""
    out = {"enabled": False, "do_not_track": True}
    found = [
        decide(snapshot(up=False), settings(ff_telemetry_disabled=True, housekeeper=False, **out)),
        decide(snapshot(up=False), settings(housekeeper=False, **out)),
        decide(snapshot(up=False), settings(**out)),
        decide(snapshot(initialised=False, licence=LICENCE, telemetry_allowed=False), settings(**out)),
        decide(snapshot(licence=LICENCE, telemetry_allowed=False), settings(**out)),
        decide(snapshot(telemetry_allowed=False), settings(**out)),
        decide(snapshot(telemetry_allowed=False), settings(do_not_track=True)),
        decide(snapshot(), settings(do_not_track=True)),
        decide(snapshot(), settings()),
    ]
    found += [with_election(found[-1], ElectionState(role)) for role in (Role.NEVER, Role.FOLLOWER, Role.UNKNOWN)]
    assert [decision.rule for decision in found] == list(Rule)
    assert all(with_election(found[0], ElectionState(role)) == found[0] for role in Role)  # what is forbidden stays so
    assert {with_election(found[8], ElectionState(role)) for role in (Role.LEADER, Role.ALONE)} == {found[8]}


def test_the_machine_that_sends_and_what_keeps_bridges_from_agreeing_are_named() -> None:
    allowed = decide(snapshot(), settings())
    follower = with_election(allowed, ElectionState(Role.FOLLOWER, leader_host="bridge-2"))
    assert follower.explanation == SENT_BY_ANOTHER[Rule.ANOTHER_BRIDGE] + " It runs on bridge-2."
    assert with_election(allowed, ElectionState(Role.FOLLOWER)).explanation == SENT_BY_ANOTHER[Rule.ANOTHER_BRIDGE]
    unknown = with_election(allowed, ElectionState(Role.UNKNOWN, note="too many connections"))
    assert unknown.explanation == SENT_BY_ANOTHER[Rule.ELECTION_UNKNOWN] + " (too many connections)"
    assert with_election(allowed, ElectionState(Role.UNKNOWN)).explanation == SENT_BY_ANOTHER[Rule.ELECTION_UNKNOWN]


def test_a_bridge_that_is_never_to_send_leaves_the_ping_to_another() -> None:
    never = replace(settings(), ping=replace(settings().ping, sender="never"))
    left = decide_here(snapshot(), never)
    assert (left.allowed, left.rule) == (False, Rule.SENDER_NEVER)
    assert left.explanation == SENT_BY_ANOTHER[Rule.SENDER_NEVER]
    forbidden = decide_here(snapshot(telemetry_allowed=False), never)
    assert forbidden.rule is Rule.ADMIN_SETTING


def test_the_status_page_learns_which_rule_leaves_the_ping_to_another_bridge() -> None:
    for rule in Rule:
        left = decide_here(snapshot(), settings(), {"ff_observe_ping_enabled": {(rule.value,): 0.0}})
        assert left.allowed == (rule not in SENT_BY_ANOTHER)
        assert left.rule == (rule if rule in SENT_BY_ANOTHER else Rule.NO_OBJECTION)
        assert left.explanation == SENT_BY_ANOTHER.get(rule, decide(snapshot(), settings()).explanation)
    assert decide_here(snapshot(), settings()) == decide(snapshot(), settings())


def test_a_licensed_platform_is_told_what_it_asked_for_in_vain() -> None:
    decision = decide(snapshot(licence=LICENCE, telemetry_allowed=False), settings(enabled=False, do_not_track=True))
    assert decision.allowed
    assert decision.opt_out_ignored
    for asked in ("`telemetry.enabled: false`", "the administrators' setting", "DO_NOT_TRACK", "FF_TELEMETRY_DISABLED"):
        assert asked in decision.explanation


@pytest.mark.parametrize(
    ("admin", "file", "words"),
    [
        (True, False, "`telemetry.enabled: false` in the file is ignored"),
        (False, True, "the administrators' setting is ignored"),
        (False, False, "`telemetry.enabled: false` in the file and the administrators' setting are ignored"),
    ],
)
def test_what_a_licence_overrules_is_one_thing_or_several(admin: bool, file: bool, words: str) -> None:
    decision = decide(snapshot(licence=LICENCE, telemetry_allowed=admin), settings(enabled=file))
    assert f": {words}, as FlowFuse does." in decision.explanation
