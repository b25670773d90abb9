"""How many events are sent at most, and that the others are counted and named in an event that is."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from ff_observe.catalogue.bridge import SENTRY_SUPPRESSED
from ff_observe.outputs.sentry.budget import Admitted, EventBudget, Reason
from tests.fakes import FakeClock
from tests.real_parts.envelopes import Receiver, receiver
from tests.unit.sentry.samples import Bridge, another_error, monitored, provoke, settings


@given(
    st.integers(1, 4),
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 1.0, 29.5, 61.0, 3601.0, 40_000.0])), max_size=60),
)
def test_no_minute_and_no_day_has_more_events_than_its_budget_and_nothing_goes_uncounted(
    per_minute: int, per_day: int, errors: list[tuple[int, float]]
) -> None:
    clock = FakeClock()
    budget = EventBudget(per_minute, per_day, clock)
    sent: list[tuple[float, int]] = []
    suppressed = said = 0
    for place, seconds in errors:
        clock.advance(seconds)
        now = clock.monotonic()
        in_the_last = {period: sum(now - moment < period for moment, _ in sent) for period in (60.0, 86_400.0)}
        repeated = any(other == place and now - moment < 3600 for moment, other in sent)
        answer = budget.admit((place,))
        may = not repeated and in_the_last[60.0] < per_minute and in_the_last[86_400.0] < per_day
        assert isinstance(answer, Admitted) is may
        if isinstance(answer, Admitted):
            sent.append((now, place))
            said += answer.suppressed.by_reason.total() if answer.suppressed is not None else 0
            budget.arrived()
            assert said == suppressed
        else:
            suppressed += 1


def test_what_an_event_says_of_others_is_said_again_until_one_arrives() -> None:
    clock = FakeClock()
    budget = EventBudget(1, 100, clock)
    budget.admit(("a",))
    since = clock.now()
    assert budget.admit(("b",)) is Reason.MINUTE
    for _ in range(2):
        clock.advance(61)
        answer = budget.admit((clock.monotonic(),))
        assert isinstance(answer, Admitted)
        assert answer.suppressed is not None
        assert (answer.suppressed.since, answer.suppressed.by_reason) == (since, {Reason.MINUTE: 1})
    assert budget.admit(("c",)) is Reason.MINUTE  # after the event, before it has arrived
    budget.arrived()
    clock.advance(61)
    answer = budget.admit(("d",))
    assert isinstance(answer, Admitted)
    assert answer.suppressed is not None
    assert answer.suppressed.since - since == timedelta(seconds=122)
    assert answer.suppressed.by_reason == {Reason.MINUTE: 1}


def test_the_places_that_are_remembered_stay_few_and_the_oldest_are_forgotten_first() -> None:
    budget = EventBudget(10_000, 100_000, FakeClock())
    for place in range(5000):
        assert budget.admit((place,)) == Admitted(0, None)
    assert budget.admit((4999,)) is Reason.REPEATED
    assert isinstance(budget.admit((0,)), Admitted)


def test_the_next_event_says_how_many_were_suppressed_why_and_since_when(server: Receiver) -> None:
    with Bridge(settings(server.dsn)) as bridge:
        for number in range(12):
            provoke(bridge.sentry, another_error(number))
        provoke(bridge.sentry, another_error(0))
        bridge.clock.offset += 61
        provoke(bridge.sentry, KeyError("the next"))
        bridge.wait_for(14)
        bridge.clock.offset += 61
        provoke(bridge.sentry, IndexError("the one after"))
    events = server.events()
    assert [event["exception"]["values"][0]["type"] for event in events] == [
        *(f"Error{number}" for number in range(10)),
        "KeyError",
        "IndexError",
    ]
    assert all("suppressed" not in event["contexts"] for event in (*events[:10], events[11]))
    said = events[10]["contexts"]["suppressed"]
    assert said.pop("since") <= events[10]["timestamp"]
    assert said == {"events": 3, "repeated": 1, "minute_budget": 2}
    assert bridge.counted() == (12, 3)
    counted = bridge.metrics.readings()[SENTRY_SUPPRESSED.name]
    assert counted == {("repeated",): 1, ("minute_budget",): 2, ("day_budget",): 0}


def test_an_event_that_does_not_arrive_leaves_the_number_to_the_next() -> None:
    with receiver(status=500) as server, Bridge(settings(server.dsn)) as bridge:
        for count in range(3):
            provoke(bridge.sentry, ValueError(str(count)))
        bridge.wait_for(3)
        provoke(bridge.sentry, KeyError())
        bridge.wait_for(4)
        server.status = 200
        provoke(bridge.sentry, IndexError())
    assert [event["contexts"].get("suppressed", {}).get("events") for event in server.events()] == [None, 2, 2]


def test_a_check_in_that_arrives_does_not_stand_for_the_event_that_did_not() -> None:
    with receiver(status=500) as server, Bridge(monitored(server.dsn)) as bridge:
        for error in (ValueError("sent"), ValueError("held back"), KeyError("says so, in vain")):
            provoke(bridge.sentry, error)
        bridge.wait_for(3)
        server.status = 200
        bridge.sentry.check_in(True)
        bridge.wait_for(4)
        provoke(bridge.sentry, IndexError())
    assert server.events()[-1]["contexts"]["suppressed"]["events"] == 1
