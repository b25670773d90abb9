"""Names of unknown fields: told when many use them, never when they could tell of one."""

import pytest

from ff_observe.ping_collector.unknown_fields import MAX_CANDIDATES, MAX_NAMES, OTHER, UnknownFields


def test_a_name_is_told_once_enough_platforms_sent_it() -> None:
    fields = UnknownFields(k=3)
    told = [fields.label("platform.counts.pipelines", sender) for sender in ("a", "a", "b", "b", "c", "a")]
    assert told == [OTHER, OTHER, OTHER, OTHER, "platform.counts.pipelines", "platform.counts.pipelines"]


@pytest.mark.parametrize(
    "name", ["192.0.2.1", "fe80::1", "alice@example.com", "x y", "", "a." * 5 + "a", "a" * 33, "ü"]
)
def test_what_does_not_look_like_a_field_is_never_told(name: str) -> None:
    fields = UnknownFields(k=1)
    assert fields.label(name, "a") == OTHER


def test_names_are_bounded() -> None:
    fields = UnknownFields(k=1)
    told = {fields.label(f"field{index}", "a") for index in range(2 * MAX_NAMES)}
    assert len(told) == MAX_NAMES + 1


def test_names_on_their_way_to_be_told_are_bounded() -> None:
    fields = UnknownFields(k=2)
    fields.label("first", "a")
    for index in range(MAX_CANDIDATES):
        fields.label(f"field{index}", "a")
    assert fields.label("first", "b") == OTHER  # forgotten meanwhile
    assert fields.label(f"field{MAX_CANDIDATES - 1}", "b") != OTHER
