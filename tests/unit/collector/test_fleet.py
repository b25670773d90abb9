"""What the fleet is made of: every count, and no value that a sender could use to write."""

import pytest

from ff_observe.collector.disclosure import OTHER
from ff_observe.collector.fleet import DRIVERS, LICENSE_TYPES, RESOURCES, is_release
from ff_observe.ping_contract import COUNT_FIELDS, DRIVER, FIELDS, LICENCE_TYPE


def test_every_count_of_the_ping_is_a_resource_of_the_fleet() -> None:
    assert sorted(RESOURCES.values()) == sorted(FIELDS.index(field) for field in COUNT_FIELDS)
    assert RESOURCES["users"] == FIELDS.index(COUNT_FIELDS[0])
    assert "instances_by_state_suspended" in RESOURCES


def test_what_is_shown_by_name_is_in_the_contract() -> None:
    assert all(DRIVER.fits(driver) for driver in DRIVERS)
    assert all(LICENCE_TYPE.fits(license_type) for license_type in LICENSE_TYPES)
    assert OTHER not in DRIVERS | LICENSE_TYPES


@pytest.mark.parametrize(
    ("version", "shown"),
    [("2.33.2", True), ("2.33.2-git", True), ("2.33.2-buy.things.example", False), ("2.33.2-git\n", False)],
)
def test_a_version_is_shown_as_flowfuse_releases_them(version: str, *, shown: bool) -> None:
    assert is_release(version) == shown
