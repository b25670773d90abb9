"""Places and turns are shared between the addresses that ask for them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.http.peers import FairQueue, FairSlots, peer_of


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
    slots: FairSlots[str] = FairSlots(4)
    for name in ("prometheus", "first", "second", "third"):
        assert slots.add("friend" if name == "prometheus" else "attacker", name) is None
    slots.waits("attacker", "first")  # it asked, and waits anew
    assert slots.add("other", "kubelet") == "second"
    slots.is_busy("attacker", "third")
    assert slots.add("other", "another") == "first"
    assert sorted(slots.members()) == ["another", "kubelet", "prometheus", "third"]


def test_where_all_of_a_peer_are_served_its_oldest_makes_room_for_its_newest() -> None:
    slots: FairSlots[str] = FairSlots(2)
    for name in ("first", "second"):
        slots.add("one", name)
        slots.is_busy("one", name)
    assert slots.add("one", "third") in ("first", "third")
    assert len(slots) == 2


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "waits", "busy"]), st.integers(0, 3), st.integers(0, 20))))
def test_there_are_never_too_many_and_who_left_is_forgotten(steps: list[tuple[str, int, int]]) -> None:
    slots: FairSlots[int] = FairSlots(5)
    present: dict[int, int] = {}
    for step, peer, member in steps:
        if step == "add" and member not in present:
            present[member] = peer
            displaced = slots.add(peer, member)
            if displaced is not None:
                counts = Counter(present.values())
                assert counts[present.pop(displaced)] == max(counts.values())
        elif step == "remove" and present.get(member) == peer:
            slots.remove(peer, member)
            del present[member]
        elif step == "waits":
            slots.waits(peer, member)
        elif step == "busy":
            slots.is_busy(peer, member)
        assert len(slots) == len(present) <= 5
        assert sorted(slots.members()) == sorted(present)


def test_peers_have_their_turns_one_after_another() -> None:
    queue: FairQueue[str] = FairQueue(100)
    for number in range(10):
        queue.add("attacker", f"guess {number}")
    queue.add("friend", "right")
    assert "right" in (queue.next(), queue.next())


def test_of_one_peer_who_comes_for_the_first_time_goes_before_who_comes_again() -> None:
    queue: FairQueue[str] = FairQueue(100)
    queue.add("one", "second guess", again=True)
    queue.add("one", "a first")
    assert [queue.next() for _ in range(3)] == ["a first", "second guess", None]


def test_of_those_who_come_for_the_first_time_every_third_is_the_newest() -> None:
    queue: FairQueue[int] = FairQueue(100)
    for number in range(6):
        queue.add("one", number)
    assert [queue.next() for _ in range(7)] == [0, 1, 5, 2, 3, 4, None]


def test_the_newest_of_the_peer_with_the_most_is_turned_away() -> None:
    queue: FairQueue[str] = FairQueue(3)
    for name in ("first", "second"):
        queue.add("attacker", name)
    assert queue.add("friend", "right") is None
    assert queue.add("friend", "again") is not None
    queue.discard("attacker", "first")
    queue.discard("attacker", "unknown")
    assert queue.next() is not None
