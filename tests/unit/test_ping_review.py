"""Data reviews: without one that holds a field is neither sent nor stored, and no field is without one."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ff_observe.catalogue import ping_contract
from ff_observe.catalogue.ping_contract import FIELDS, Field, reviewed
from ff_observe.catalogue.ping_field import Review
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Ping
from ff_observe.config.settings import PlatformSettings
from ff_observe.outputs.ping.payload import build_payload
from tests.real_parts.collector import collecting, send
from tests.unit.collector.pings import body
from tests.unit.ping.samples import OPERATING_SYSTEM, READINGS, snapshot

USERS = next(field for field in FIELDS if field.dotted == "platform.counts.users")
TODAY = datetime.now(UTC).date()


def give(field: Field, review: Review | None) -> None:
    object.__setattr__(field, "review", review)
    ping_contract._withdrawn.cache_clear()


@pytest.fixture(params=["none", "expired"])
def withdrawn(request: pytest.FixtureRequest) -> Iterator[None]:
    """The number of users has no review that holds."""
    before = USERS.review
    assert before is not None
    expired = Review(before.purpose, before.by, before.on, before.reference, expires=date(2020, 1, 1))
    give(USERS, None if request.param == "none" else expired)
    yield
    give(USERS, before)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.dotted)
def test_every_field_is_reviewed_and_no_review_has_expired(field: Field) -> None:
    review = field.review
    assert review is not None, f"{field.dotted}: give it a review in ff_observe/catalogue (review.py says what one is)"
    assert review.holds(TODAY), f"{field.dotted}: its review expired on {review.expires}: review it again, or remove it"
    assert review.on <= TODAY
    assert review.purpose
    assert review.by
    assert review.reference
    assert field.help
    assert field.origin
    assert not field.required or review.expires is None, "there is no ping without it"


def test_a_review_holds_until_the_day_on_which_it_expires() -> None:
    day = date(2027, 1, 1)
    review = Review("p", "b", date(2026, 1, 1), "r", expires=day)
    assert review.holds(day - timedelta(days=1))
    assert not review.holds(day)
    assert Review("p", "b", date(2026, 1, 1), "r").holds(date.max)


@pytest.mark.usefixtures("withdrawn")
def test_it_is_not_sent() -> None:
    sent = build_payload(
        snapshot(readings={**READINGS, "flowfuse_teams": {(): 2.0}}), PlatformSettings(), OPERATING_SYSTEM
    )
    counts = sent["platform"]["counts"]  # type: ignore[index]  # nested maps
    assert "users" not in counts
    assert "teams" in counts


@pytest.mark.usefixtures("withdrawn")
def test_it_is_not_stored(tmp_path: Path) -> None:
    stored: list[Ping] = []
    with collecting(CollectorSettings(port=0, data_dir=tmp_path), on_ping=stored.append) as collector:
        assert send(collector.port, body("3fa1a0f5-0000-4000-8000-000000000001")).status == 200
    (ping,) = stored
    assert ping.values[FIELDS.index(USERS)] is None
    assert ping.values[0] is not None


def test_all_that_is_reviewed_stays_as_it_is() -> None:
    values = tuple(range(len(FIELDS)))
    assert reviewed(values, TODAY) is values
