"""Whether a file is there, also where this user may not look."""

from pathlib import Path

from ff_observe.system import presence
from tests.other_users import unable_to_enter


def test_it_is_known_of_what_can_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answers = [
        (presence.exists(path), presence.is_file(path), presence.is_directory(path))
        for path in (tmp_path / "file", tmp_path, tmp_path / "none")
    ]
    assert answers == [(True, True, False), (True, False, True), (False, False, False)]


def test_what_may_not_be_looked_at_is_not_there(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    file = closed / "file"
    file.touch()
    with unable_to_enter(closed):
        answers = (presence.exists(file), presence.is_file(file), presence.is_directory(file))
    assert answers == (False, False, False)
