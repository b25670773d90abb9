"""What the fleet is made of: every count, and no value that a sender could use to write."""

from typing import Any

import pytest

from ff_observe.catalogue.ping_contract import COUNT_FIELDS, DRIVER, FIELDS, LICENCE_TYPE, Value
from ff_observe.collector.fleet.disclosure import OTHER
from ff_observe.collector.fleet.figures import DRIVERS, LICENSE_TYPES, RESOURCES, is_release
from tests.unit.collector.sampled import release_of


def test_every_count_of_the_ping_is_a_resource_of_the_fleet() -> None:
    assert sorted(RESOURCES.values()) == sorted(FIELDS.index(field) for field in COUNT_FIELDS)
    assert RESOURCES["users"] == FIELDS.index(COUNT_FIELDS[0])
    assert "instances_by_state_suspended" in RESOURCES


def test_a_release_says_the_number_of_all_platforms_once() -> None:
    said: dict[type, Value] = {int: 0, bool: True, str: "CE"}
    platform = {index: said[field.type] for index, field in enumerate(FIELDS)}
    for number in range(40):
        release = release_of([platform] * 137, number.to_bytes(32))
        of_resources = [number for each in release["resources"].values() for number in _platforms(each)]
        by_value = [number for figure, shares in release.items() if "_by_" in figure for number in _numbers(shares)]
        assert len(of_resources) == 2 * len(RESOURCES)
        assert len(by_value) == 6
        assert {*of_resources, *by_value} == set(release["platforms"].values())


def _platforms(resource: dict[str, Any]) -> list[int]:
    return [resource["platforms"], *resource["sizes"].values()]


def _numbers(shares: dict[str, Any]) -> list[int]:
    return [number for each in shares.values() for number in (_numbers(each) if isinstance(each, dict) else [each])]


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
