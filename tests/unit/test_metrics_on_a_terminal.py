"""Tenants choose values of labels: on a terminal they control nothing, and programs get them as they are."""

import contextlib
import sqlite3
import sys
from pathlib import Path

import pytest

from ff_observe.cli import main
from tests.real_parts.many_platforms import sqlite_home

NAME = "starter\x1b]0;owned\x07\x9b8m\u202e"


def test_a_value_of_a_label_is_escaped_on_a_terminal_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = sqlite_home(tmp_path)
    with contextlib.closing(sqlite3.connect(home / "var" / "forge.db")) as database, database:
        database.execute("UPDATE \"TeamTypes\" SET name = ? WHERE name = 'starter'", (NAME,))
    command = ["--home", str(home), "metrics", "--at", "2026-11-23T12:00:00Z"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert f'"{NAME}"' in printed
    with monkeypatch.context() as on_a_terminal:
        on_a_terminal.setattr(sys.stdout, "isatty", lambda: True)
        assert main([*command, "-o", str(tmp_path / "exact.prom")]) == 0
        assert main(command) == 0
    shown = capsys.readouterr().out
    assert r'"starter\x1b]0;owned\x07\x9b8m\u202e"' in shown
    assert shown.replace("\n", "").isprintable()
    assert f'"{NAME}"' in (tmp_path / "exact.prom").read_text()
