"""Whatever the file holds: settings or a configuration error, soon, and never a secret in the words."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ff_observe.config import load_settings
from ff_observe.config.declaration import PLATFORM_KEYS, TELEMETRY_KEYS
from ff_observe.config.settings import Settings
from ff_observe.errors import ConfigurationError
from tests.pace import costing_at_most

EVERY_KEY = (*TELEMETRY_KEYS, *PLATFORM_KEYS)
PLANTED = "pl4nted"
shared_directory = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def outcome(home: Path, raw: bytes) -> Settings | ConfigurationError:
    file = home / "flowforge.yml"
    file.write_bytes(raw)
    found: Settings | ConfigurationError
    try:
        found = load_settings(home=home, config=file, variables={"X": PLANTED, "Y": "a: b"})
    except ConfigurationError as error:
        found = error
    if isinstance(found, ConfigurationError):
        assert found.problems
        assert all(problem.message and problem.line >= 0 for problem in found.problems)
    return found


@shared_directory
@given(raw=st.binary(max_size=200))
def test_any_bytes_give_settings_or_a_configuration_error(tmp_path: Path, raw: bytes) -> None:
    outcome(tmp_path, raw)


@shared_directory
@given(text=st.text("telmry:enabd- \n\t[]{}&*!|>'\"%@`#,?<=ENV0x1.~", max_size=80))
def test_any_text_that_resembles_yaml_gives_settings_or_a_configuration_error(tmp_path: Path, text: str) -> None:
    outcome(tmp_path, text.encode())


_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from([PLANTED, f"https://{PLANTED}@example.com/1", "required", "postgres", "<%= ENV['X'] %>", "/"])
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@shared_directory
@given(values=st.dictionaries(st.sampled_from([key.path for key in EVERY_KEY]), _VALUES, max_size=8))
def test_any_value_at_any_key_gives_settings_or_a_configuration_error(tmp_path: Path, values: dict[str, Any]) -> None:
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *sections, last = path.split(".")
        inside = tree
        for section in sections:
            inside = inside.setdefault(section, {})
        inside[last] = value
    # The two words that JSON has and the core schema has not.
    text = json.dumps(tree).replace("NaN", ".nan").replace("Infinity", ".inf")
    outcome(tmp_path, text.encode("utf-8", "surrogatepass"))


@shared_directory
@given(key=st.sampled_from([key for key in EVERY_KEY if key.secret]), value=_VALUES, in_file=st.booleans())
def test_no_value_of_a_secret_key_is_ever_shown(tmp_path: Path, key: Any, value: Any, in_file: bool) -> None:
    *sections, last = (key.file_path if in_file else key.path).split(".")
    tree: Any = {last: [PLANTED, value] if isinstance(value, list) else f"{PLANTED}{value}"}
    for section in reversed(sections):
        tree = {section: tree}
    shown = repr(outcome(tmp_path, json.dumps({"db": {"type": "postgres"}} | tree).encode()))
    assert PLANTED not in shown


@pytest.mark.parametrize(
    "raw",
    [
        b"a: " + b"[" * 1_000_000,
        b"{" * 1_000_000,
        b"- " * 500_000,
        b"? " * 500_000,
        b"&a " * 300_000,
        b"a: &a a\n" * 120_000,
        b"a" * 1_000_000,
        b"a: '" + b"\n" * 1_000_000,
        b"'" * 1_000_000,
        b"<%" * 500_000,
        b"<%= ENV['X'] %>" * 60_000,
        b"\n".join(b"k%d: v" % number for number in range(90_000)),
        b"telemetry:\n" + b"\n".join(b"  enable%d: v" % number for number in range(50_000)),
        b"\n".join(b"k%d: <%%= ENV['X'] %%>" % number for number in range(199))
        + b"\n"
        + b"\n".join(b"z%d: [1, 2]" % number for number in range(4_500))
        + b"\nlast: <%= ENV['Y'] %>",
    ],
    ids=["lists", "maps", "nested lists", "nested keys", "anchors", "equal keys", "one word", "line feeds", "quotes",
         "tags", "variables", "many keys", "many unknown keys", "the last variable of many changes the file"],
)  # fmt: skip
def test_a_megabyte_of_anything_is_answered_at_bounded_cost(tmp_path: Path, raw: bytes) -> None:
    with costing_at_most(100):
        outcome(tmp_path, raw)
