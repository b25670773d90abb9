"""What is accepted as a ping, and with which words the rest is refused."""

import json
import math
from typing import Any, NoReturn

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ff_observe.catalogue import collector as catalogue
from ff_observe.catalogue.ping_contract import FIELDS, MAX_BODY_BYTES, MAX_COUNT, MAX_DEPTH, document
from ff_observe.collector.receiving import acceptance
from ff_observe.collector.receiving.acceptance import MAX_UNKNOWN_NAMES, Accepted, accept
from ff_observe.collector.receiving.answers import Reason, Refusal
from ff_observe.collector.store.model import canonical
from tests.recordings import cases
from tests.unit.collector.pings import body, instance

ID = instance().encode()
SENT = [case for case in cases() if case.ping is not None]


def accepted(raw: bytes) -> Accepted:
    found = accept(raw)
    assert isinstance(found, Accepted), found
    return found


def refused(raw: bytes) -> Refusal:
    found = accept(raw)
    assert isinstance(found, Refusal), found
    return found


@pytest.mark.parametrize("case", SENT, ids=lambda case: case.name)
def test_every_recorded_ping_of_real_flowfuse_is_accepted_whole(case: Any) -> None:
    found = accepted((case.home / "ping.json").read_bytes())
    assert document(found.values) == case.ping
    assert found.unknown == ()


def test_a_ping_needs_nothing_but_its_instance() -> None:
    assert document(accepted(b'{"instanceId":"%b"}' % ID).values) == {"instanceId": instance()}


def test_unknown_fields_are_told_by_name_and_not_kept() -> None:
    found = accepted(body(secret="alice@example.com", platform__counts__ghosts=3, os__hostname={"deep": ["canary"]}))
    assert set(found.unknown) == {"secret", "platform.counts.ghosts", "os.hostname"}
    kept = json.dumps(found.values)
    assert "alice" not in kept
    assert "canary" not in kept


def test_only_so_many_unknown_fields_of_a_ping_are_told() -> None:
    found = accepted(body(**{f"unknown{index}": index for index in range(100)}))
    assert len(found.unknown) == MAX_UNKNOWN_NAMES


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"{", Reason.NOT_JSON),
        (b'{"instanceId":NaN}', Reason.NOT_JSON),
        (b'{"instanceId":"a","x":Infinity}', Reason.NOT_JSON),
        (b'{"instanceId":"a","x":' + b"9" * 5000 + b"}", Reason.NOT_JSON),
        (b'\xef\xbb\xbf{"instanceId":"a"}', Reason.NOT_JSON),
        ('{"instanceId":"a"}'.encode("utf-16"), Reason.NOT_UTF8),
        (b'{"instanceId":"\xff"}', Reason.NOT_UTF8),
        (b"[]", Reason.NOT_AN_OBJECT),
        (b'"a"', Reason.NOT_AN_OBJECT),
        (b"null", Reason.NOT_AN_OBJECT),
        (b"{}", Reason.MISSING_FIELD),
        (body(instanceId=""), Reason.MISSING_FIELD),
        (b'{"instanceId":null}', Reason.WRONG_TYPE),
        (b'{"instanceId":7}', Reason.WRONG_TYPE),
        (body(instanceId="a" * 37), Reason.TOO_LONG),
        (body(instanceId="203.0.113.77 alice@bank.example"), Reason.WRONG_FORM),
        (body(instanceId=instance().upper()), Reason.WRONG_FORM),
        (body(os__type="Li\nux"), Reason.WRONG_FORM),
        (body(os__type=""), Reason.WRONG_FORM),
        (body(os__type="Li\u202enux"), Reason.WRONG_FORM),  # right-to-left override
        (body(os__release="6.1.0\x00"), Reason.WRONG_FORM),
        (body(os__release="203.0.113.77"), Reason.WRONG_FORM),
        (body(env__flowforge="buy this"), Reason.WRONG_FORM),
        (body(env__flowforge="2.33.2\n"), Reason.WRONG_FORM),
        (body(platform__config__driver="dri\u0308ver"), Reason.WRONG_FORM),  # not in NFC
        (b'{"instanceId":"a\\ud800"}', Reason.NOT_JSON),  # half a character, RFC 8259, 8.2
        (body(os="Linux"), Reason.WRONG_TYPE),
        (body(platform__counts__users="9"), Reason.WRONG_TYPE),
        (body(platform__counts__users=True), Reason.WRONG_TYPE),
        (body(platform__counts__users=1.5), Reason.WRONG_TYPE),
        (b'{"instanceId":"a","platform":{"counts":{"users":1e999}}}', Reason.NOT_JSON),  # no double, RFC 8259, 6
        (b'{"platform":{"counts":{"users":18446744073709551616}}}', Reason.OUT_OF_RANGE),  # 2**64
        (b'{"platform":{"counts":{"users":-9223372036854775809}}}', Reason.OUT_OF_RANGE),
        (body(platform__counts__users=-1), Reason.OUT_OF_RANGE),
        (body(platform__counts__users=MAX_COUNT + 1), Reason.OUT_OF_RANGE),
        (body(platform__config__broker__enabled=1), Reason.WRONG_TYPE),
        (body(platform__license__type="E" * 9), Reason.TOO_LONG),
        (body(x="x" * MAX_BODY_BYTES), Reason.TOO_LARGE),
        (b'{"instanceId":"a","x":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", Reason.TOO_DEEP),
        (b"[" * 60_000, Reason.TOO_DEEP),
    ],
)
def test_what_is_no_ping_is_refused_for_its_reason(raw: bytes, reason: Reason) -> None:
    assert refused(raw).reason is reason


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (b"{}", Refusal(Reason.MISSING_FIELD, "instanceId", "is missing")),
        (body(instanceId=""), Refusal(Reason.MISSING_FIELD, "instanceId", "must not be empty")),
        (body(instanceId=7), Refusal(Reason.WRONG_TYPE, "instanceId", "must be a string")),
        (body(os="Linux"), Refusal(Reason.WRONG_TYPE, "os", "must be an object")),
        (body(platform__counts=3), Refusal(Reason.WRONG_TYPE, "platform.counts", "must be an object")),
        (body(os__type=None), Refusal(Reason.WRONG_TYPE, "os.type", "must be a string")),
        (
            body(platform__counts__users="9"),
            Refusal(Reason.WRONG_TYPE, "platform.counts.users", "must be a whole number"),
        ),
        (
            body(platform__counts__users=math.ulp(1.0)),
            Refusal(Reason.WRONG_TYPE, "platform.counts.users", "must be a whole number"),
        ),
        (
            body(platform__config__broker__enabled=0),
            Refusal(Reason.WRONG_TYPE, "platform.config.broker.enabled", "must be true or false"),
        ),
        (
            body(platform__counts__users=-1.0),
            Refusal(Reason.OUT_OF_RANGE, "platform.counts.users", "must be from 0 to 9007199254740991"),
        ),
        (
            b'{"platform":{"counts":{"users":9007199254740992}}}',
            Refusal(Reason.OUT_OF_RANGE, "platform.counts.users", "must be from 0 to 9007199254740991"),
        ),
        (
            body(platform__license__type="E" * 9),
            Refusal(Reason.TOO_LONG, "platform.license.type", "must not be longer than 8 characters"),
        ),
        (
            body(env__nodejs="20.20.2"),
            Refusal(Reason.WRONG_FORM, "env.nodejs", "must be a version of Node.js, such as v20.20.2"),
        ),
    ],
)
def test_a_refusal_names_the_field_and_what_it_must_be(raw: bytes, refusal: Refusal) -> None:
    assert refused(raw) == refusal


def test_every_field_of_the_contract_is_found_by_its_path_and_no_other() -> None:
    tree = acceptance._tree()
    found: list[int] = []
    for index, field in enumerate(FIELDS):
        place: Any = tree
        for key in field.path:
            place = place[key]
        known = {str: set(), int: range(MAX_COUNT + 1), bool: (False, True)}[field.type]
        assert place == (index, field.type, known, field)
        found.append(index)
    whole, leaves = [tree], 0
    while whole:
        for below in whole.pop().values():
            if isinstance(below, dict):
                whole.append(below)
            else:
                leaves += 1
    assert leaves == len(found)


def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    room = MAX_BODY_BYTES - len(body(x=""))
    assert accepted(body(x="x" * room)).unknown == ("x",)
    assert refused(body(x="x" * (room + 1))) == Refusal(Reason.TOO_LARGE)


def test_a_text_that_was_valid_before_is_valid_again_and_only_so_many_are_remembered() -> None:
    contract: Any = acceptance._CONTRACT
    known = contract["os"]["release"][2]
    known.clear()
    for number in range(acceptance.MAX_KNOWN + 9):
        assert accepted(body(os__release=f"6.1.{number}")).unknown == ()
    assert known == {f"6.1.{number}" for number in range(acceptance.MAX_KNOWN)}
    known.clear()
    assert contract["instanceId"][2] == set()  # each platform has its own


def test_the_edges_are_inside() -> None:
    raw = body(
        platform__counts__users=MAX_COUNT, platform__counts__teams=0, os__type="L" * 32, platform__license__id=""
    )
    values = document(accepted(raw).values)
    assert values["os"] == {"type": "L" * 32, "release": "6.1.0", "arch": "x64"}
    nested = b'{"instanceId":"%b","x":' % ID + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert accepted(nested).unknown == ("x",)


def test_brackets_inside_strings_are_not_depth() -> None:
    assert accepted(body(x="[{" * 1000 + '"\\' * 10)).unknown == ("x",)


@pytest.mark.parametrize("pair", [b"[]", b"{}"])
def test_brackets_beside_each_other_are_not_depth_and_hide_none(pair: bytes) -> None:
    def nested(depth: int) -> bytes:
        """As deep as that, and pairs of brackets on the second level before it."""
        inner = depth - 2
        return b'{"instanceId":"%b","x":[' % ID + (pair + b",") * MAX_DEPTH + b"[" * inner + b"]" * inner + b"]}"

    assert accepted(nested(MAX_DEPTH)).unknown == ("x",)
    assert refused(nested(MAX_DEPTH + 1)) == Refusal(Reason.TOO_DEEP)


@pytest.mark.parametrize(("written", "number"), [("9.0", 9), ("0.0", 0), ("9007199254740991.0", MAX_COUNT)])
def test_a_whole_number_may_be_written_with_a_fraction_of_zero(written: str, number: int) -> None:
    raw = f'{{"instanceId":"{instance()}","platform":{{"counts":{{"users":{written}}}}}}}'
    assert document(accepted(raw.encode()).values) == {
        "instanceId": instance(),
        "platform": {"counts": {"users": number}},
    }


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_status_and_a_sentence_and_is_counted_from_the_start(reason: Reason) -> None:
    field = "os.type" if reason in (Reason.MISSING_FIELD, Reason.WRONG_TYPE, Reason.OUT_OF_RANGE) else ""
    needs_field = {Reason.TOO_LONG, Reason.WRONG_FORM}
    refusal = Refusal(reason, "os.type" if reason in needs_field else field, "is wrong")
    assert 400 <= refusal.reason.status < 600
    assert refusal.message
    assert reason.value in catalogue.PINGS_REFUSED.label_values


def test_no_other_reason_is_counted() -> None:
    assert set(catalogue.PINGS_REFUSED.label_values) == {reason.value for reason in Reason}


PLACES = [
    place.replace("ID", instance())
    for place in (
        '{"instanceId":"ID","platform":{"counts":{"users":{}}}}',
        '{"instanceId":"ID","os":{"type":{}}}',
        '{"instanceId":"ID","os":{}}',
        '{"instanceId":"ID","other":{}}',
        '{"instanceId":"ID","instanceId":{}}',
        '{"instanceId":"ID","platform":{"config":{"broker":{"enabled":{}}}}}',
    )
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary())
@example(b'{"instanceId":"\\ud800"}')
def test_any_bytes_are_accepted_or_refused(raw: bytes) -> None:
    assert isinstance(accept(raw), Accepted | Refusal)


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
STRINGS = st.lists(
    st.sampled_from(["a", "ü", "\x7f", "\u2028", "\U0001f600", "\ufeff", "\t", '"', "\x00"])
    | st.sampled_from([R"\n", R"\/", R"\"", R"\\", R"\x", R"\u0000", R"\u00fc", R"\uD83D", R"\uDE00", R"\uD83D\uDE00"]),
    max_size=3,
).map(lambda parts: f'"{"".join(parts)}"')
KEYS = (
    st.sampled_from([f'"{key}"' for field in FIELDS for key in field.path] + ['"other"', R'"o\u0073"', "os"]) | STRINGS
)
ODDITIES = st.sampled_from(
    ["true", "false", "null", "NaN", "-Infinity", "01", "1.", ".5", "+1", "0x1", "1_0", "[1,]", ""]
)
TEXTS = st.recursive(
    NUMBERS | NUMBERS | STRINGS | ODDITIES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(KEYS, inner), max_size=6).map(
            lambda items: "{" + ",".join(f"{key}: {value}" for key, value in items) + "}"
        )
    ),
    max_leaves=8,
)
"""What could be JSON, with all that two readers of it could take differently."""


@settings(max_examples=300)
@given(
    NUMBERS | STRINGS | TEXTS,
    st.sampled_from(["{}", "[{}]", " {}\n", "\ufeff{}", "\x0c{}", "{} 1", *PLACES]),
    st.integers(0, 400),
)
def test_a_body_is_json_where_pythons_own_reader_says_so_and_means_the_same(text: str, place: str, cut: int) -> None:
    """Where that one is strict, as RFC 8259 has it."""
    raw = place.replace("{}", text).encode()
    for sent in (raw, raw[:cut], raw[:cut] + b"\xff" + raw[cut:]):
        found = accept(sent)
        read = _read_by_python(sent)
        if isinstance(read, Reason):
            assert found == Refusal(read)
        else:
            assert repr(found) == repr(accept(read))


def _read_by_python(raw: bytes) -> bytes | Reason:
    """The same JSON as it writes it itself: keys once, no escapes that are not needed, numbers in one way."""

    def refuse(_digits: str) -> NoReturn:
        raise ValueError

    def number(digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else refuse(digits)

    def whole(digits: str) -> int:
        number(digits)
        return int(digits)

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        json.dumps(items, ensure_ascii=False).encode()
        return dict(items)

    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return Reason.NOT_UTF8
    try:
        read = json.loads(text, parse_constant=refuse, parse_float=number, parse_int=whole, object_pairs_hook=pairs)
        return json.dumps(read, ensure_ascii=False).encode()
    except ValueError:  # of a half of a surrogate pair, too
        return Reason.NOT_JSON


@given(JSON, st.sampled_from([field.dotted for field in FIELDS] + ["os", "platform", "platform.counts", "other"]))
def test_any_value_in_any_place_is_kept_exactly_or_refused_without_echo(value: object, dotted: str) -> None:
    found = accept(body(**{dotted.replace(".", "__"): value}))
    if isinstance(found, Refusal):
        assert found.reason.status == 400
        assert found.field in {
            "",
            *(".".join(field.path[: end + 1]) for field in FIELDS for end in range(len(field.path))),
        }
    else:
        kept = document(found.values)
        for key in dotted.split("."):
            kept = kept.get(key, {}) if isinstance(kept, dict) else kept  # type: ignore[assignment]  # walks down
        if dotted in {field.dotted for field in FIELDS}:
            assert kept == value


@given(st.text(min_size=40, alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF)))
def test_a_refusal_never_repeats_what_was_sent(marker: str) -> None:
    for raw in (
        body(instanceId=marker * 10),
        body(os__type=marker[:20]),
        body(os=marker),
        body(platform__counts__users=marker),
        marker.encode(),
    ):
        found = accept(raw)
        assert isinstance(found, Refusal)
        assert marker not in found.message


def test_the_order_of_keys_and_unknown_fields_do_not_change_what_a_ping_is() -> None:
    one = accepted(b'{"instanceId":"%b","os":{"type":"Linux","arch":"x64"}}' % ID)
    other = accepted(b'{"x":1, "os":{"arch":"x64","y":2,"type":"Linux"}, "instanceId":"%b"}' % ID)
    assert canonical(one.values) == canonical(other.values)
    assert canonical(one.values) != canonical(
        accepted(b'{"instanceId":"%b","os":{"type":"Linux","arch":"x64"}}' % instance("b").encode()).values
    )
