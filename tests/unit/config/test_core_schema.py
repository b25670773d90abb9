"""Plain text → value. `plain-values.json` holds what the npm package `yaml` 2.9.0, FlowFuse's parser, reads of each."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ff_observe.config.yaml_core import resolve

RECORDED: list[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "data" / "config" / "plain-values.json").read_text("utf-8")
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["text"] or "empty")
def test_plain_text_has_the_value_that_flowfuse_reads(recorded: dict[str, Any]) -> None:
    value = resolve(recorded["text"])
    match recorded["type"]:
        case "null":
            assert value is None
        case "boolean":
            assert value is recorded["value"]
        case "string":
            assert value == recorded["value"]
            assert isinstance(value, str)
        case "number":
            assert isinstance(value, int | float)
            assert not isinstance(value, bool)
            expected = float(recorded["value"])
            assert float(value) == expected or (math.isnan(value) and math.isnan(expected))


@pytest.mark.parametrize(
    ("text", "value"),
    [  # YAML 1.2.2, example 10.3 and the table of section 10.3.2
        ("0o7", 7),
        ("0x3A", 58),
        ("-19", -19),
        ("0.", 0.0),
        ("-0.0", 0.0),
        (".5", 0.5),
        ("+12e03", 12000.0),
        ("-2E+05", -200000.0),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("+.INF", math.inf),
    ],
)
def test_the_examples_of_the_specification_resolve_as_it_says(text: str, value: float) -> None:
    assert resolve(text) == value


@pytest.mark.parametrize("text", ["9" * 100_000, "0o" + "7" * 100_000, "0x" + "f" * 100_000, "1e" + "9" * 100_000])
def test_a_number_of_a_hundred_thousand_digits_is_infinite_and_quickly_so(text: str) -> None:
    assert resolve(text) == math.inf
