"""A ping in words: what each value is, and what changed since the last one that was delivered."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.catalogue.ping_contract import FIELDS
from ff_observe.cli import main
from ff_observe.outputs.ping.explained import Change, changes, values
from tests.platforms import case_named, writable_copy
from tests.real_parts.bridge import home_with
from tests.unit.ping.receivers import answer, receiver

SOME_VALUES = st.one_of(st.integers(0, 9), st.booleans(), st.sampled_from(["", "a", "\x1b[2J"]))
PINGS = st.dictionaries(st.sampled_from([*(field.dotted for field in FIELDS[:6]), "of.another.version"]), SOME_VALUES)


def nested(flat: dict[str, object]) -> bytes:
    root: dict[str, object] = {}
    for dotted, value in flat.items():
        *parents, last = dotted.split(".")
        place = root
        for key in parents:
            place = place.setdefault(key, {})  # type: ignore[assignment]  # nested maps
        place[last] = value
    return json.dumps(root).encode()


@given(PINGS, PINGS)
def test_applied_to_the_one_the_changes_give_the_other(before: dict[str, object], after: dict[str, object]) -> None:
    assert values(nested(before)) == before
    made = dict(before)
    for change in changes(values(nested(before)), values(nested(after))):
        assert "\x1b" not in str(change)
        if change.after is None:
            del made[change.field]
        else:
            made[change.field] = change.after
    assert json.dumps(made, sort_keys=True) == json.dumps(after, sort_keys=True)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"1", b'{"a": [1]}', b'{"a": null}', b"\xff", b"[" * 10**5, b'{"a":' * 3000 + b"1" + b"}" * 3000],
)
def test_what_is_no_ping_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        values(body)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change("a", 12, 13), "a: 12 -> 13 (+1)"),
        (Change("a", 13, 3), "a: 13 -> 3 (-10)"),
        (Change("a", True, False), "a: true -> false"),
        (Change("a", "CE", "EE"), 'a: "CE" -> "EE"'),
        (Change("a", None, 1), "a: 1 (new)"),
        (Change("a", 1, None), "a: 1 (no longer sent)"),
    ],
)
def test_a_change_in_words(change: Change, words: str) -> None:
    assert str(change) == words


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = writable_copy(case_named("v2.4.0-sqlite-dev"), tmp_path)

    def said(*arguments: str) -> tuple[str, str]:
        assert main(["--home", str(home), "ping", *arguments]) == 0
        captured = capsys.readouterr()
        return captured.out, captured.err

    with receiver(answer(200)) as receiving:
        home = home_with(tmp_path / "home", f"  type: sqlite\n  storage: {database}\n", f"  url: {receiving.url()}\n")
        out, err = said("show", "--diff")
        assert out == ""
        assert "no ping was delivered yet" in err
        said("send")
        assert "nothing changed" in said("show", "--diff")[0]
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            users = connection.execute('SELECT count(*) FROM "Users"').fetchone()[0]
            connection.execute('DELETE FROM "ProjectSnapshots"')
        out, _ = said("show", "--diff")
        assert "1 changed\n  platform.counts.projectSnapshots: " in out
        assert " -> 0 (-" in out
        explained, _ = said("show", "--explain")
    for field in FIELDS:
        assert f"{field.dotted} = " in explained
    assert f"platform.counts.users = {users}\n" in explained
    assert "from Users\n" in explained
