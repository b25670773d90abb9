"""A batch as JSON: what databases compare as texts is in the order of moments."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from ff_observe.collector.store.batch import encode, moment
from tests.unit.collector.pings import NOON, later, ping

WINDOW = timedelta(hours=1)
moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - in UTC by `timezones`


@given(moments, moments)
@example(NOON, later(microseconds=1))
@example(NOON, later(microseconds=-1))
@example(later(microseconds=100_000), later(microseconds=1))
def test_texts_are_in_the_order_of_moments(one: datetime, other: datetime) -> None:
    assert (moment(one) < moment(other)) == (one < other)
    assert datetime.fromisoformat(moment(one)) == one


@given(moments)
@example(NOON)
def test_a_row_has_moments_as_queries_have_them(at: datetime) -> None:
    sent = ping("ü", at, sender=b"\x01\xff" * 16)
    (row,) = json.loads(encode([sent], WINDOW))
    assert row == [sent.digest, moment(at), moment(at + WINDOW), "01ff" * 16, *sent.values]


def test_an_empty_batch_and_one_of_several_are_json() -> None:
    assert json.loads(encode([], WINDOW)) == []
    rows = json.loads(encode([ping("a", sender=None), ping("b")], WINDOW))
    assert [(row[3], row[4]) for row in rows] == [(None, "a"), ("01" * 32, "b")]
