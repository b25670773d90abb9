"""Places and turns are shared between the addresses that ask for them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.http.peers import Crowd, Turns, peer_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("nonsense", "nonsense", True),
    ],
)
def test_a_peer_is_an_address_or_what_one_host_has_of_ipv6(one: str, other: str, same: bool) -> None:
    assert (peer_of(one) == peer_of(other)) is same


def test_the_longest_waiting_of_the_peer_with_the_most_makes_room() -> None:
    crowd: Crowd[str] = Crowd(4)
    for name in ("prometheus", "first", "second", "third"):
        assert crowd.add("friend" if name == "prometheus" else "attacker", name) is None
    crowd.waits("attacker", "first")  # it asked, and waits anew
    assert crowd.add("other", "kubelet") == "second"
    crowd.is_busy("attacker", "third")
    assert crowd.add("other", "another") == "first"
    assert sorted(crowd.members()) == ["another", "kubelet", "prometheus", "third"]


def test_where_all_of_a_peer_are_served_its_oldest_makes_room_for_its_newest() -> None:
    crowd: Crowd[str] = Crowd(2)
    for name in ("first", "second"):
        crowd.add("one", name)
        crowd.is_busy("one", name)
    assert crowd.add("one", "third") in ("first", "third")
    assert len(crowd) == 2


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "waits", "busy"]), st.integers(0, 3), st.integers(0, 20))))
def test_a_crowd_is_never_too_large_and_forgets_who_left(steps: list[tuple[str, int, int]]) -> None:
    crowd: Crowd[int] = Crowd(5)
    present: dict[int, int] = {}
    for step, peer, member in steps:
        if step == "add" and member not in present:
            present[member] = peer
            displaced = crowd.add(peer, member)
            if displaced is not None:
                counts = Counter(present.values())
                assert counts[present.pop(displaced)] == max(counts.values())
        elif step == "remove" and present.get(member) == peer:
            crowd.remove(peer, member)
            del present[member]
        elif step == "waits":
            crowd.waits(peer, member)
        elif step == "busy":
            crowd.is_busy(peer, member)
        assert len(crowd) == len(present) <= 5
        assert sorted(crowd.members()) == sorted(present)


def test_peers_have_their_turns_one_after_another() -> None:
    turns: Turns[str] = Turns(100)
    for number in range(10):
        turns.add("attacker", f"guess {number}")
    turns.add("friend", "right")
    assert "right" in (turns.next(), turns.next())


def test_of_one_peer_who_comes_for_the_first_time_goes_before_who_comes_again() -> None:
    turns: Turns[str] = Turns(100)
    turns.add("one", "second guess", again=True)
    turns.add("one", "a first")
    assert [turns.next() for _ in range(3)] == ["a first", "second guess", None]


def test_of_those_who_come_for_the_first_time_every_third_is_the_newest() -> None:
    turns: Turns[int] = Turns(100)
    for number in range(6):
        turns.add("one", number)
    assert [turns.next() for _ in range(7)] == [0, 1, 5, 2, 3, 4, None]


def test_the_newest_of_the_peer_with_the_most_is_turned_away() -> None:
    turns: Turns[str] = Turns(3)
    for name in ("first", "second"):
        turns.add("attacker", name)
    assert turns.add("friend", "right") is None
    assert turns.add("friend", "again") is not None
    turns.discard("attacker", "first")
    turns.discard("attacker", "unknown")
    assert turns.next() is not None
