"""Names of unknown fields: shown while many senders use them, never when they could expose one, not blocked by junk."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.collector.receiving import unknown_fields
from ff_observe.collector.receiving.unknown_fields import MAX_NAMES, MAX_NAMES_PER_SENDER, OTHER, UnknownFields

DAY = date(2026, 11, 23)


def fields(k: int, hidden: list[str] | None = None) -> UnknownFields:
    shown_no_longer: list[str] = [] if hidden is None else hidden
    return UnknownFields(k, shown_no_longer.append)


def sender(number: int) -> bytes:
    return number.to_bytes(32)


def send(counted: UnknownFields, name: str, senders: int, day: date = DAY, first: int = 0) -> str:
    return [counted.label(name, sender(first + index), day) for index in range(senders)][-1]


def test_a_name_is_shown_once_enough_senders_sent_it() -> None:
    counted = fields(k=3)
    shown = [counted.label("platform.counts.pipelines", sender(number), DAY) for number in (1, 1, 2, 2, 3, 1)]
    assert shown == [OTHER, OTHER, OTHER, OTHER, "platform.counts.pipelines", "platform.counts.pipelines"]


@pytest.mark.parametrize(
    "name", ["192.0.2.1", "fe80::1", "alice@example.com", "x y", "", "a." * 5 + "a", "a" * 33, "ü"]
)
def test_what_does_not_look_like_a_field_is_never_shown(name: str) -> None:
    assert fields(k=1).label(name, sender(1), DAY) == OTHER


def test_instances_behind_one_address_are_one_sender() -> None:
    assert send(fields(k=2), "ghosts", 1) == OTHER
    assert fields(k=2).label("ghosts", None, DAY) == OTHER, "and all without an address are one"


def test_a_name_that_is_sent_no_longer_is_hidden_after_two_days() -> None:
    hidden: list[str] = []
    counted = fields(k=2, hidden=hidden)
    assert send(counted, "ghosts", 2) == "ghosts"
    assert counted.label("other_name", sender(1), DAY + timedelta(days=1)) == OTHER
    assert hidden == []
    counted.label("other_name", sender(1), DAY + timedelta(days=2))
    assert hidden == ["ghosts"]
    assert counted.label("ghosts", sender(1), DAY + timedelta(days=2)) == OTHER


def test_a_field_that_is_called_other_is_counted_with_the_rest_and_never_hidden() -> None:
    hidden: list[str] = []
    counted = fields(1, hidden)
    assert send(counted, OTHER, 3) == OTHER
    counted.label("ghosts", sender(1), DAY + timedelta(days=2))
    assert hidden == [], "what is hidden is dropped from /metrics"


def test_a_hundred_junk_names_give_way_to_one_that_more_senders_sent() -> None:
    hidden: list[str] = []
    counted = fields(k=2, hidden=hidden)
    for index in range(MAX_NAMES):
        assert send(counted, f"junk{index}", 2, first=1000 * index) == f"junk{index}"
    assert send(counted, "platform.counts.pipelines", 3) == "platform.counts.pipelines"
    assert len(hidden) == 1


def test_one_address_cannot_push_out_the_candidates_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown_fields, "MAX_CANDIDATES", 200)
    counted = fields(k=3)
    send(counted, "pipelines", 2)
    for index in range(5000):
        counted.label(f"junk{index}", sender(99), DAY)
    assert counted.label("pipelines", sender(3), DAY) == "pipelines"


def test_many_addresses_push_out_their_own_candidates_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown_fields, "MAX_CANDIDATES", 200)
    counted = fields(k=3)
    send(counted, "pipelines", 2)
    for number in range(100, 200):
        for index in range(MAX_NAMES_PER_SENDER):
            counted.label(f"junk{number}_{index}", sender(number), DAY)
    assert counted.label("pipelines", sender(3), DAY) == "pipelines"


def test_a_clock_that_was_set_back_counts_on() -> None:
    counted = fields(k=2)
    send(counted, "ghosts", 2, DAY + timedelta(days=500))
    assert send(counted, "ghosts", 2) == "ghosts"


@given(
    st.lists(
        st.tuples(st.sampled_from([f"name{index}" for index in range(12)]), st.integers(1, 6), st.integers(0, 4)),
        max_size=120,
    )
)
def test_whatever_comes_a_shown_name_has_k_senders_of_two_days_and_names_are_bounded(
    sent: list[tuple[str, int, int]],
) -> None:
    hidden: list[str] = []
    shown: set[str] = set()
    counted = fields(k=2, hidden=hidden)
    sent.sort(key=lambda each: each[2])
    for place, (name, number, day) in enumerate(sent):
        label = counted.label(name, sender(number), DAY + timedelta(days=day))
        shown -= set(hidden)
        hidden.clear()
        if label != OTHER:
            shown.add(label)
            lately = {other for each, other, when in sent[: place + 1] if each == name and day - 1 <= when <= day}
            assert len(lately) >= 2
    assert len(shown) <= MAX_NAMES
