"""Only so many connections are read; the others wait, or make room."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine

from ff_observe.http.places import Places


class Connection:
    """Tells what became of it. It leaves as soon as it is displaced."""

    def __init__(self, places: "Places[Connection]", peer: str = "one") -> None:
        self.peer = peer
        self.placed_at = 0.0
        self.state = "placed"
        self._places = places
        places.enter(self)

    def hold(self) -> None:
        self.state = "waits"

    def release(self) -> None:
        self.state = "placed"

    def displace(self) -> None:
        self.leave()
        self.state = "displaced"

    def leave(self) -> None:
        self._places.leave(self)
        self.state = "gone"


def states(connections: list[Connection]) -> list[str]:
    return [connection.state for connection in connections]


def never() -> bool:
    return False


class ImpatientSelector(selectors.SelectSelector):
    """Waits for nothing, and counts the seconds that it should have waited."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.waited += timeout or 0.0
        return super().select(0)


class ImpatientLoop(asyncio.SelectorEventLoop):
    """Where nothing is left to do, the time of the next timer comes at once."""

    def __init__(self) -> None:
        self._waits = ImpatientSelector()
        super().__init__(self._waits)

    def time(self) -> float:
        return 1000.0 + self._waits.waited


def on_a_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """For a test on an event loop with a time of its own."""

    def run() -> None:
        with asyncio.Runner(loop_factory=ImpatientLoop) as runner:
            runner.run(test())

    return run


@on_a_loop
async def test_one_too_many_of_an_address_waits_and_displaces_nobody_until_one_leaves() -> None:
    places: Places[Connection] = Places(2, 1.0, never)
    connections = [Connection(places) for _ in range(4)]
    assert states(connections) == ["placed", "placed", "waits", "waits"]
    assert places.members() == connections
    connections[0].leave()
    assert states(connections) == ["gone", "placed", "placed", "waits"]
    connections[3].leave()
    connections[1].leave()
    assert states(connections) == ["gone", "gone", "placed", "gone"]
    assert len(places) == 1


@on_a_loop
async def test_another_address_displaces_the_longest_waiting_of_that_with_the_most_at_once() -> None:
    places: Places[Connection] = Places(3, 1.0, never)
    flood = [Connection(places) for _ in range(4)]
    places.waits(flood[0])
    assert Connection(places, "other").state == "placed"
    assert states(flood) == ["placed", "displaced", "placed", "waits"]


@on_a_loop
async def test_another_address_with_one_less_gets_a_place_at_once() -> None:
    places: Places[Connection] = Places(2, 1.0, never)
    first, _ = Connection(places), Connection(places)
    assert Connection(places, "other").state == "placed"
    assert first.state == "displaced"


@on_a_loop
async def test_who_is_served_is_not_displaced_by_another_address() -> None:
    places: Places[Connection] = Places(2, 1.0, never)
    first, second = Connection(places), Connection(places)
    places.is_busy(first)
    Connection(places, "other")
    assert states([first, second]) == ["placed", "displaced"]


@on_a_loop
async def test_it_is_the_tenure_of_the_one_to_go_that_counts() -> None:
    places: Places[Connection] = Places(2, 1.0, never)
    Connection(places, "other")
    await asyncio.sleep(0.9)
    Connection(places)
    await asyncio.sleep(0.2)
    assert Connection(places).state == "waits"


@on_a_loop
async def test_another_address_waits_where_none_has_more() -> None:
    places: Places[Connection] = Places(3, 1.0, never)
    flood = [Connection(places, str(number)) for number in range(4)]
    assert states(flood) == ["placed", "placed", "placed", "waits"]
    await asyncio.sleep(1.1)
    assert states(flood) == ["displaced", "placed", "placed", "placed"]


@on_a_loop
async def test_after_their_tenure_those_of_the_same_address_make_room_and_who_waits_is_let_in() -> None:
    places: Places[Connection] = Places(2, 1.0, never)
    connections = [Connection(places) for _ in range(4)]
    await asyncio.sleep(0.99)
    assert states(connections) == ["placed", "placed", "waits", "waits"]
    await asyncio.sleep(0.12)
    assert states(connections) == ["displaced", "displaced", "placed", "placed"]
    await asyncio.sleep(1.0)
    assert Connection(places).state == "placed"
    assert states(connections) == ["displaced", "displaced", "displaced", "placed"]
    later = [Connection(places) for _ in range(2)]
    await asyncio.sleep(1.1)
    assert states(later) == ["placed", "placed"]


@on_a_loop
async def test_without_a_tenure_the_newest_gets_a_place_at_once() -> None:
    places: Places[Connection] = Places(2, 0.0, never)
    connections = [Connection(places) for _ in range(4)]
    assert states(connections) == ["displaced", "displaced", "placed", "placed"]


@on_a_loop
async def test_who_waits_already_goes_before_a_newcomer_of_the_same_address() -> None:
    places: Places[Connection] = Places(1, 1.0, lambda: True)
    places.limit(1, 2)
    connections = [Connection(places) for _ in range(2)]
    await asyncio.sleep(2.0)
    assert Connection(places).state == "waits"
    connections[0].leave()
    assert states(connections) == ["gone", "placed"]


@on_a_loop
async def test_nobody_is_let_in_while_those_with_a_place_wait_for_the_processor() -> None:
    behind = True
    places: Places[Connection] = Places(1, 1.0, lambda: behind)
    connections = [Connection(places) for _ in range(2)]
    await asyncio.sleep(10.0)
    assert states(connections) == ["placed", "waits"]
    behind = False
    await asyncio.sleep(0.1)
    assert states(connections) == ["displaced", "placed"]


@on_a_loop
async def test_they_are_let_in_a_twentieth_at_a_time() -> None:
    places: Places[Connection] = Places(40, 20.0, never)
    connections = [Connection(places) for _ in range(80)]
    await asyncio.sleep(20.5)
    for let_in in range(2, 42, 2):
        assert states(connections).count("waits") == 40 - let_in
        await asyncio.sleep(1.0)
    assert states(connections).count("placed") == 40


@on_a_loop
async def test_more_than_may_wait_are_turned_away() -> None:
    places: Places[Connection] = Places(10, 1.0, never)
    places.limit(1, 2)
    assert states([Connection(places) for _ in range(5)]) == ["placed", "waits", "waits", "displaced", "displaced"]
    assert len(places) == 3
