"""The published JSON Schema of the ping: real pings are valid by it, and nothing that the contract does not name."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from ff_observe.catalogue.ping_contract import FIELDS, MAX_COUNT
from tests import recordings

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "telemetry-payload.schema.json").read_text()
)
VALIDATOR = Draft202012Validator(SCHEMA)
PINGS = {case.name: case.ping for case in recordings.cases() if case.ping is not None}
NAMES = frozenset(key for field in FIELDS for key in field.path)
FULLEST = max(PINGS.values(), key=lambda ping: len(json.dumps(ping)))


def inner_objects(value: dict[str, Any]) -> list[dict[str, Any]]:
    """`value` and every object in it."""
    return [value, *(found for part in value.values() if isinstance(part, dict) for found in inner_objects(part))]


def test_it_is_a_valid_schema() -> None:
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize("name", PINGS)
def test_what_real_flowfuse_sent_is_valid(name: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(PINGS[name])] == []


def test_every_field_of_the_contract_is_in_it_in_order() -> None:
    def leaves(schema: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        if "properties" not in schema:
            return [path]
        return [leaf for key, inner in schema["properties"].items() for leaf in leaves(inner, (*path, key))]

    assert leaves(SCHEMA) == [field.path for field in FIELDS]


@given(st.data())
def test_a_field_that_the_contract_does_not_name_is_refused_wherever_it_is(data: st.DataObject) -> None:
    ping = deepcopy(FULLEST)
    place = data.draw(st.sampled_from(inner_objects(ping)))
    name = data.draw(st.text().filter(lambda text: text not in NAMES))
    place[name] = data.draw(st.sampled_from([None, 0, "", True, [], {}]))
    assert not VALIDATOR.is_valid(ping)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("instanceId",), None),
        (("instanceId",), "x" * 36),
        (("env", "flowforge"), "2.33.2\n"),
        (("platform", "config", "driver"), "x" * 33),
        (("platform", "counts", "users"), "9"),
        (("platform", "counts", "users"), -1),
        (("platform", "counts", "users"), True),
        (("platform", "counts", "users"), 1.5),
        (("platform", "counts", "users"), MAX_COUNT + 1),
        (("platform", "config", "broker", "enabled"), 1),
        (("platform", "config"), []),
    ],
)
def test_a_value_of_another_type_or_beyond_its_limit_is_refused(path: tuple[str, ...], value: object) -> None:
    ping = deepcopy(FULLEST)
    place = ping
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not VALIDATOR.is_valid(ping)


def test_all_but_the_instance_may_be_absent() -> None:
    assert VALIDATOR.is_valid({"instanceId": "af60f42a-fc6c-4f34-b050-6d89fcb458dc"})
    assert not VALIDATOR.is_valid({})
