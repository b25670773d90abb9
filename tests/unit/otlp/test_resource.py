"""Who is speaking: our words for it, unless the standard variables have others."""

import uuid

import pytest

from ff_observe.outputs.otlp.resource import ServiceResource, service_instance_id
from ff_observe.version import VERSION
from tests.unit.otlp.faulty import INSTANCE_ID


def test_a_resource_says_who_what_and_where_by_convention() -> None:
    told = ServiceResource("ff-observe", "staging", lambda: INSTANCE_ID).attributes
    assert told["service.name"] == "ff-observe"
    assert told["service.version"] == VERSION
    assert told["deployment.environment.name"] == "staging"
    assert told["service.instance.id"] == service_instance_id(INSTANCE_ID)
    assert INSTANCE_ID not in str(dict(told))


def test_the_instance_is_known_once_the_platform_has_told_it_and_a_random_one_before() -> None:
    known: list[str] = []
    resource = ServiceResource("ff-observe", "staging", lambda: known[0] if known else None)
    uuid.UUID(str(resource.attributes["service.instance.id"]))
    assert resource.attributes["service.instance.id"] == resource.attributes["service.instance.id"]
    known.append(INSTANCE_ID)
    assert resource.attributes["service.instance.id"] == service_instance_id(INSTANCE_ID)


def test_the_standard_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.name=beaten,service.instance.id=mine,deployment.environment.name=blue,team=plant%20one",
    )
    told = ServiceResource("ff-observe", "staging", lambda: INSTANCE_ID).attributes
    assert (told["service.name"], told["service.instance.id"]) == ("theirs", "mine")
    assert (told["deployment.environment.name"], told["team"]) == ("blue", "plant one")


def test_empty_variables_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "")
    assert ServiceResource("ff-observe", "staging").attributes["service.name"] == "ff-observe"
