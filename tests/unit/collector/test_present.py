"""What time it is by clocks and stored pings, some of which are wrong."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ff_observe.collector.store.present import EARLIEST, LATEST, SKEW, dated, present, vouched_for
from tests.unit.collector.pings import NOON, later

TODAY = NOON.date()
any_clock = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - st wants it naive
past = st.integers(0, 5000).map(lambda days: TODAY - timedelta(days=days))
to_come = st.integers(3, 20_000).map(lambda days: TODAY + timedelta(days=days))


def test_days_of_pings_vouch_for_the_last_of_them() -> None:
    days = [TODAY - timedelta(days=days) for days in range(3)]
    assert vouched_for(days[:2]) is None
    assert vouched_for(days) == datetime(2026, 11, 23, tzinfo=UTC)


@given(st.lists(past, min_size=3, unique=True), st.sets(to_come, max_size=2))
def test_two_days_of_a_clock_ahead_vouch_for_nothing(days: list[date], wrong: set[date]) -> None:
    newest = sorted([*days, *wrong], reverse=True)[:3]
    vouched = vouched_for(newest)
    assert vouched is not None
    assert vouched.date() <= TODAY


@given(st.lists(any_clock, min_size=1, max_size=2), st.lists(past, max_size=5, unique=True))
def test_nothing_is_old_that_one_witness_holds_to_be_young(clocks: list[datetime], days: list[date]) -> None:
    found = present(clocks, days)
    assert found.future > found.likely
    assert found.likely <= LATEST
    if found.earliest is None:
        assert len(days) < 3
    else:
        assert found.earliest <= min(clocks)
        assert found.earliest.date() <= max(days)


@given(any_clock, st.none() | st.just(later(hours=-12)), st.none() | st.just(NOON))
def test_a_ping_is_dated_near_the_witnesses_whatever_the_clock_says(
    clock: datetime, vouched: datetime | None, server: datetime | None
) -> None:
    at = dated(clock, vouched, server)
    assert EARLIEST <= at <= LATEST
    if vouched is not None:
        assert at >= vouched - SKEW
    if server is not None:
        assert abs(at - server) <= SKEW


@given(st.integers(-59, 59))
def test_clocks_that_differ_a_little_are_all_believed(minutes: int) -> None:
    at = later(minutes=minutes)
    assert dated(at, later(hours=-12), NOON) == at
