"""Places and turns are shared between the addresses that ask for them."""

from collections import Counter
from random import Random

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
        ("fe80::1%eth0", "fe80::1%eth1", True),
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
    assert sorted(slots.items()) == ["another", "kubelet", "prometheus", "third"]


def test_where_all_of_a_peer_are_served_its_oldest_makes_room_for_its_newest() -> None:
    slots: FairSlots[str] = FairSlots(2)
    for name in ("first", "second"):
        slots.add("one", name)
        slots.is_busy("one", name)
    assert slots.add("one", "third") in ("first", "third")
    assert len(slots) == 2


STEPS = st.lists(st.tuples(st.sampled_from(["add", "add", "remove", "waits", "busy"]), st.integers(0, 3)), max_size=80)


@given(STEPS, st.randoms())
def test_of_slots_those_of_the_peer_with_the_most_are_displaced_and_who_left_is_forgotten(
    steps: list[tuple[str, int]], random: Random
) -> None:
    slots: FairSlots[int] = FairSlots(5)
    present: dict[int, int] = {}
    for number, (step, peer) in enumerate(steps):
        member = random.choice([*present, -1])
        if step == "add":
            present[number] = peer
            counts = Counter(present.values())
            displaced = slots.add(peer, number)
            assert (displaced is None) == (len(present) <= 5)
            if displaced is not None:
                assert counts[present.pop(displaced)] == max(counts.values())
        elif step == "remove":
            slots.discard(present.get(member, peer), member)
            slots.discard(peer, -1)  # which is not there
            present.pop(member, None)
        elif step == "waits":
            slots.waits(present.get(member, peer), member)
        elif step == "busy":
            slots.is_busy(present.get(member, peer), member)
        assert len(slots) == len(present) <= 5
        assert sorted(slots.items()) == sorted(present)
        counts = Counter(present.values())
        assert [slots.count(each) for each in range(4)] == [counts[each] for each in range(4)]


@given(STEPS, st.randoms())
def test_of_a_queue_the_newest_of_the_peer_with_the_most_is_turned_away_and_who_left_is_forgotten(
    steps: list[tuple[str, int]], random: Random
) -> None:
    queue: FairQueue[int] = FairQueue(5)
    waiting: dict[int, int] = {}
    for number, (step, peer) in enumerate(steps):
        if step == "add":
            waiting[number] = peer
            turned_away = queue.add(peer, number)
            assert (turned_away is None) == (len(waiting) <= 5)
            if turned_away is not None:
                counts = Counter(waiting.values())
                heaviest = waiting[turned_away]
                assert counts[heaviest] == max(counts.values())
                assert turned_away == max(item for item, of in waiting.items() if of == heaviest)
                del waiting[turned_away]
        elif step == "remove":
            item = random.choice([*waiting, -1])
            queue.discard(waiting.pop(item, peer), item)
        elif step == "waits":
            whose = queue.next_peer
            taken = queue.next()
            assert (taken is None) == (not waiting)
            if taken is not None:
                assert waiting.pop(taken) == whose
        assert len(queue) == len(waiting)
        assert sorted(queue.items()) == sorted(waiting)
        assert [queue.count(each) for each in range(4)] == [list(waiting.values()).count(each) for each in range(4)]


def test_of_peers_with_as_many_the_one_that_asks_makes_room_itself() -> None:
    slots: FairSlots[str] = FairSlots(4)
    for peer, name in (("other", "first"), ("other", "second"), ("one", "third"), ("one", "fourth")):
        slots.add(peer, name)
    assert slots.displaced_by("one") == ("one", "third")
    assert slots.add("one", "fifth") == "third"


def test_who_is_served_and_leaves_is_served_no_more() -> None:
    slots: FairSlots[str] = FairSlots(1)
    slots.add("one", "first")
    slots.is_busy("one", "first")
    slots.discard("one", "first")
    assert slots.add("one", "second") is None
    assert slots.add("one", "third") == "second"


def test_who_waits_again_is_not_busy_any_more() -> None:
    slots: FairSlots[str] = FairSlots(2)
    slots.add("one", "first")
    slots.is_busy("one", "first")
    slots.waits("one", "first")
    slots.discard("one", "first")
    assert slots.items() == []


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


def test_those_that_had_their_turn_are_not_among_the_most() -> None:
    queue: FairQueue[str] = FairQueue(3)
    for name in ("first", "second", "third"):
        queue.add("one", name)
    assert [queue.next(), queue.next()] == ["first", "second"]
    for name in ("fourth", "fifth"):
        queue.add("other", name)
    assert queue.add("friend", "right") == "fifth"


def test_of_peers_with_as_many_the_one_that_has_had_them_for_longer_is_turned_away() -> None:
    queue: FairQueue[str] = FairQueue(4)
    for peer, name in (("one", "first"), *(("other", name) for name in ("second", "third", "fourth"))):
        queue.add(peer, name)
    queue.discard("other", "second")
    queue.add("friend", "fifth")
    assert queue.add("friend", "sixth") == "fourth"


def test_the_newest_of_the_peer_with_the_most_is_turned_away() -> None:
    queue: FairQueue[str] = FairQueue(3)
    for name in ("first", "second"):
        queue.add("attacker", name)
    assert queue.add("friend", "right") is None
    assert queue.add("friend", "again") is not None
    queue.discard("attacker", "first")
    queue.discard("attacker", "unknown")
    assert queue.next() is not None
