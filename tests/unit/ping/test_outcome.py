"""What an answer means, and `Retry-After` as receivers write it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.outputs.ping.outcome import Result, outcome_of_answer, retry_after_seconds

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", None),
        ("1", 1.0),
        (" 120 ", 120.0),
        ("86401", 86_400.0),
        ("9" * 5000, 86_400.0),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("Mon, 23 Nov 2026 12:05:00 GMT", 300.0),
        ("Monday, 23-Nov-26 12:05:00 GMT", 300.0),
        ("Mon Nov 23 12:05:00 2026", 300.0),
        ("Mon, 23 Nov 2026 12:05:00 -0000", 300.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("Mon, 99 Nov 2026 12:05:00 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text(max_size=60) | st.integers().map(str) | st.datetimes().map(lambda at: f"{at:%a, %d %b %Y %H:%M:%S} GMT"))
def test_any_text_gives_a_bounded_delay_or_none(value: str) -> None:
    seconds = retry_after_seconds(value, NOW)
    assert seconds is None or 0 < seconds <= 86_400


@given(st.integers(0, 2000) | st.sampled_from([199, 200, 299, 300, 399, 400, 408, 429, 499, 500]))
def test_every_status_has_an_outcome_that_names_it_and_the_receiver(status: int) -> None:
    outcome = outcome_of_answer(status, "30", "receiver:443", NOW)
    later = status in (408, 429)
    assert (outcome.result is Result.DELIVERED) is (200 <= status < 300)
    assert (outcome.result is Result.REJECTED) is (300 <= status < 500 and not later)
    assert ("redirects are not followed" in outcome.explanation) is (300 <= status < 400)
    assert ("; check telemetry.url" in outcome.explanation) is (400 <= status < 500 and not later)
    assert outcome.retry_after_seconds == (30 if outcome.result is Result.FAILED else None)
    assert (outcome.status, outcome.receiver) == (status, "receiver:443")
