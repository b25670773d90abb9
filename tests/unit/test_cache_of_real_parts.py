"""Two suites at once make the same thing for the cache: each ends with one that is whole."""

from pathlib import Path

import pytest

from tests.real_parts.cache import finish, unfinished


def make(directory: Path, content: str) -> None:
    unfinished(directory).mkdir()
    (unfinished(directory) / "made").write_text(content)


def test_what_is_finished_stands_under_its_name(tmp_path: Path) -> None:
    make(tmp_path / "part", "one")
    finish(tmp_path / "part")
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
    assert (tmp_path / "part" / "made").read_text() == "one"


def test_who_is_second_leaves_what_the_first_has_made(tmp_path: Path) -> None:
    make(tmp_path / "part", "the first's")
    finish(tmp_path / "part")
    make(tmp_path / "part", "the second's")
    finish(tmp_path / "part")
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
    assert (tmp_path / "part" / "made").read_text() == "the first's"


def test_another_failure_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        finish(tmp_path / "part")
