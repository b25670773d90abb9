"""YAML → nodes with places. Oracles: FlowFuse's own parser (recorded results), and `json` for what is JSON too."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.config import yaml_core
from ff_observe.config.nodes import Map, Node, Place, Scalar, Sequence, child, find, is_true
from ff_observe.config.yaml_core import YAMLError, parse

FOLDER = Path(__file__).resolve().parents[2] / "data" / "config"


def plain(node: Node | None) -> Any:
    """The tree as Python values."""
    match node:
        case None:
            return None
        case Scalar():
            return node.value
        case Sequence():
            return [plain(item) for item in node.items]
        case Map():
            return {key: plain(entry.value) for key, entry in node.entries.items()}


def failure(text: str) -> YAMLError:
    with pytest.raises(YAMLError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [  # what the npm package `yaml` 2.9.0 gives for each
        ("a: &x {p: 1}\nb:\n  <<: *x\n  q: 2", {"a": {"p": 1}, "b": {"<<": {"p": 1}, "q": 2}}),
        ("a: ${HOME}", {"a": "${HOME}"}),
        ("1: a\n'1': b", {"1": "b"}),
        ("~: a\nTrue: b", {"": "a", "true": "b"}),
        ("a:\tb\t", {"a": "b"}),
        ("a: !!str 12\nb: ! 12\nc: !!int '12'\nd: !!float 1\ne: !!bool 'true'\nf: !!null x",
         {"a": "12", "b": "12", "c": 12, "d": "1", "e": True, "f": "x"}),
        ("a: &b\nc: *b", {"a": None, "c": None}),
        ("a: [a, b: c]", {"a": ["a", {"b": "c"}]}),
        ("{a:1, 'b':2}", {"a:1": None, "b": 2}),
        ('a: "\\x41\\u00e9\\/"', {"a": "Aé/"}),
        ("a: 'it''s'", {"a": "it's"}),
        ("a: |\n  x", {"a": "x\n"}),
        ("a: |+\n  x\n\n", {"a": "x\n\n"}),
        ("a: >-\n  x\n  y\n", {"a": "x y"}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("%YAML 1.2\n---\na: no", {"a": "no"}),
        ("# only a comment", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_document_reads_as_it_does_in_flowfuse(text: str, value: Any) -> None:
    assert plain(parse(text)) == value


@pytest.mark.parametrize(
    "text",
    ["a: 1\na: 2", "{a: 1, a: 2}", "a: 1\n---\nb: 2", "a: 1\n---\n", "\ta: 1", "a: b: c", "a: @b", "a: `b", "a: %b",
     "a: *b", "'a':1", "a: &x 1\nb: *x:", "a: -", "a: 1\n...\nb: 2"],
)  # fmt: skip
def test_what_flowfuse_refuses_is_refused(text: str) -> None:
    failure(text)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.stem)
def test_pyyamls_two_parsers_give_the_same_tree_or_both_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = path.read_text("utf-8", errors="replace")
    results: list[Node | str | None] = []
    for parser in (yaml.CSafeLoader, yaml.SafeLoader):
        monkeypatch.setattr(yaml_core, "PARSER", parser)
        try:
            results.append(parse(text))
        except YAMLError:
            results.append("an error")
    assert results[0] == results[1]


def test_every_key_and_value_has_its_line_and_column() -> None:
    tree = parse("é: 1\nlist:\n  - x\n  - {k: v}\n")
    assert isinstance(tree, Map)
    assert tree.entries["é"].place == Place(1, 1)
    assert tree.entries["é"].value.place == Place(1, 4)
    items = tree.entries["list"].value
    assert isinstance(items, Sequence)
    assert [item.place for item in items.items] == [Place(3, 5), Place(4, 5)]
    inner = items.items[1]
    assert isinstance(inner, Map)
    assert (inner.entries["k"].place, inner.entries["k"].value.place) == (Place(4, 6), Place(4, 9))


@pytest.mark.parametrize("text", ["a: 1\n&x: b", "a: 1\nb: &x {c: 1}\n*x: 1", "- !!str &str: b"])
def test_a_name_that_flowfuse_reads_as_longer_is_refused(text: str) -> None:
    assert "must end with a space" in str(failure(text))


def test_a_name_that_is_also_part_of_a_tag_or_ends_in_a_list_is_read() -> None:
    assert plain(parse("a: !!str &str 1\nb: [&x c, *x]\nc: {d: *str}")) == {"a": "1", "b": ["c", "c"], "c": {"d": "1"}}


def test_sixty_four_levels_are_read_and_sixty_five_are_not() -> None:
    assert plain(parse("[" * 64 + "]" * 64)) is not None
    assert "64 levels" in str(failure("[" * 65 + "]" * 65))


def test_aliases_within_bounds_are_read() -> None:
    tree = parse("a: &a [1, 2]\nb: [*a, *a]\n")
    assert plain(tree) == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


def test_a_file_of_many_values_without_aliases_is_bounded_too() -> None:
    assert "20000" in str(failure("[" + "a," * 25_000 + "]"))


@pytest.mark.parametrize(
    ("text", "true"),
    [("false", False), ("0", False), ("-0", False), (".nan", False), ("''", False), ("~", False), ("", False),
     ("'false'", True), ("no", True), ("'0'", True), ("{}", True), ("[]", True), ("1", True), (".inf", True)],
)  # fmt: skip
def test_truth_is_that_of_javascript(text: str, true: bool) -> None:
    # ECMAScript, ToBoolean: false, 0, -0, NaN, "" and null are false, all objects are true.
    assert is_true(find(parse(f"a: {text}"), "a")) is true


def test_looking_for_a_key_below_something_that_is_no_map_finds_nothing() -> None:
    tree = parse("a: 1\nb: [x]")
    assert find(tree, "a.b.c") is None
    assert find(tree, "b.0") is None
    assert child(None, "a") is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="ascii", min_codepoint=32)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc <-:", max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON)
def test_json_reads_as_json(value: Any) -> None:
    # YAML 1.2.2, section 1.2: every JSON file is a YAML file.
    assert plain(parse(json.dumps(value))) == value
    assert plain(parse(json.dumps(value, indent=1))) == value


@given(st.text() | st.text("ab:-[]{}&*!|>'\"%@`#,? \n\t\r~<=0x.", max_size=60))
def test_any_text_gives_a_tree_or_one_clear_error(text: str) -> None:
    refused: YAMLError | None = None
    try:
        parse(text)
    except YAMLError as error:
        refused = error
    if refused is not None:
        assert str(refused)
        assert 1 <= refused.place.line <= text.count("\n") + 1
        assert refused.place.column >= 1
