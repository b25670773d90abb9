"""Our reading of YAML against FlowFuse's own parser, the npm package `yaml`: what both can read, both read alike.

What only one of them reads is no matter here: we refuse what nobody writes into a configuration file (tags, control
characters, lists as keys), and FlowFuse does not start with what it cannot read.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_observe.config.nodes import Map, Node, Scalar, Sequence
from ff_observe.config.yaml_core import YAMLError, parse
from tests.pace import in_full
from tests.real_parts import browser
from tests.recordings import probes

DATA = Path(__file__).resolve().parents[1] / "data" / "config"
FILES = sorted(DATA.glob("*.yml"))
RECORDED = {probe.home / "flowforge.yml": probe.id for probe in probes()}

# A line of JSON in, a line of JSON out. JSON knows no NaN and no infinity: numbers are written as words.
_NODE = """
const YAML = require('yaml');
const told = value => {
  if (typeof value === 'number') return ['number', String(value)];
  if (Array.isArray(value)) return ['list', ...value.map(told)];
  if (value !== null && typeof value === 'object')
    return ['map', ...Object.entries(value).map(([key, below]) => [key, told(below)])];
  return [typeof value, value];
};
require('readline').createInterface({input: process.stdin}).on('line', line => {
  let answer = null;
  try { answer = told(YAML.parse(JSON.parse(line), {logLevel: 'error'})); } catch {}
  console.log(JSON.stringify(answer));
});
"""

Reader = Callable[[str], Any]


@pytest.fixture(scope="module")
def flowfuse() -> Iterator[Reader]:
    """What FlowFuse's parser makes of a text; None where it refuses it."""
    modules = browser.libraries()
    if modules is None:
        pytest.skip("needs the npm package yaml: python -m tests.real_parts.browser")
    with subprocess.Popen(
        ["node", "-e", _NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=modules.parent
    ) as node:
        assert node.stdin is not None
        assert node.stdout is not None
        asked, answered = node.stdin, node.stdout

        def read(text: str) -> Any:
            asked.write(json.dumps(text) + "\n")
            asked.flush()
            return _comparable(json.loads(answered.readline()))

        yield read
        asked.close()


def ours(text: str) -> Any:
    """What we make of a text; None where we refuse it."""
    try:
        return _comparable(_told(parse(text)))
    except YAMLError:
        return None


def _told(node: Node | None) -> list[Any]:
    match node:
        case Map():
            return ["map", *([key, _told(entry.value)] for key, entry in node.entries.items())]
        case Sequence():
            return ["list", *map(_told, node.items)]
        case Scalar(value=bool() as value):
            return ["boolean", value]
        case Scalar(value=int() | float() as value):
            return ["number", str(value)]
        case Scalar(value=str() as value):
            return ["string", value]
        case _:
            return ["object", None]  # null, as JavaScript's typeof has it


def _comparable(told: Any) -> Any:
    """Maps without order (JavaScript puts keys of digits first), numbers without their spelling, also as keys."""
    match told:
        case ["map", *entries]:
            return {_without_spelling(key): _comparable(below) for key, below in entries}
        case ["list", *items]:
            return [_comparable(item) for item in items]
        case ["number", str(number)]:
            return ("number", _without_spelling(number))
        case ["string", str(text)] if not text.strip():
            return (
                "string",
                "",
            )  # at the end of a file they differ on how much white space a block of nothing else has
        case _:
            return told and tuple(told)


def _without_spelling(text: str) -> str:
    try:
        return repr(float(text))  # `Infinity` and `NaN` too
    except ValueError:
        return text


@pytest.mark.parametrize("path", [*FILES, *RECORDED], ids=lambda path: RECORDED.get(path, path.stem))
def test_a_file_reads_as_it_does_in_flowfuse(path: Path, flowfuse: Reader) -> None:
    text = path.read_text("utf-8", errors="replace")
    found, expected = ours(text), flowfuse(text)
    assert found == expected or found is None or expected is None
    if path in RECORDED or path.stem.startswith("good-"):
        assert found is not None
        assert expected is not None


_PIECES = {
    name: st.sampled_from(pieces) for name, pieces in json.loads((DATA / "yaml-pieces.json").read_text()).items()
}
_PLAIN = st.builds("{}: {}".format, _PIECES["keys"], _PIECES["words"])
_ODD = st.builds(
    "{}{}{}{}".format,
    _PIECES["indents"],
    _PIECES["keys"],
    _PIECES["colons"],
    st.lists(_PIECES["pieces"], max_size=3).map("".join),
)


@settings(max_examples=in_full(2000, 500))
@given(
    st.lists(_PLAIN, min_size=1, max_size=3).map("\n".join)
    | st.lists(_PLAIN | _ODD, min_size=1, max_size=4).map("\n".join)
)
def test_what_both_read_both_read_alike(flowfuse: Reader, text: str) -> None:
    found, expected = ours(text + "\n"), flowfuse(text + "\n")
    if isinstance(found, dict) and isinstance(expected, dict):  # all else is no configuration file
        assert found == expected
