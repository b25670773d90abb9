"""A key that the database takes over from a file, where the file is in the way. (PostgreSQL's: `tests/contract`.)"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ff_observe.collector.keys.keeping import FileKeeping
from ff_observe.collector.keys.shared import SharedKeeping
from ff_observe.collector.keys.wrapping import KeyWrapping, WrappingKeyFile
from ff_observe.errors import FFObserveError
from tests.other_users import unable_to_enter


class Kept:
    """A database that keeps at most one key."""

    def __init__(self) -> None:
        self.key: bytes | None = None

    def wrapped_key(self, _name: str) -> bytes | None:
        return self.key

    def wrapped_key_names(self) -> Sequence[str]:
        return [] if self.key is None else ["sender"]

    def replace_wrapped_key(self, _name: str, old: bytes | None, new: bytes) -> bool:
        assert old == self.key
        self.key = new
        return True


def shared(directory: Path) -> SharedKeeping:
    wrapping = directory / "wrapping.key"
    wrapping.write_text("5a" * 32)
    wrapping.chmod(0o600)
    file = FileKeeping(directory / "keys" / "sender.key", lambda _: True, "address.key_file", "collector.yml")
    return SharedKeeping(
        "sender", Kept(), KeyWrapping(WrappingKeyFile(wrapping, "collector.yml")), file, destroys_file=True
    )


def test_a_file_that_cannot_be_read_is_no_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "keys").touch()
    with pytest.raises(FFObserveError, match=r"address\.key_file: .*sender\.key cannot be read: Not a dir") as raised:
        shared(tmp_path).exchange(lambda _: b"made")
    assert raised.value.exit_status == 1


def test_a_file_that_cannot_be_destroyed_is_no_error_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refused)
    file = tmp_path / "keys" / "sender.key"
    file.parent.mkdir()
    file.write_bytes(b"kept")
    file.chmod(0o600)
    with pytest.raises(FFObserveError, match=r"cannot be destroyed \(Read-only.*: the database keeps this") as raised:
        shared(tmp_path).exchange(lambda kept: kept or b"made")
    assert raised.value.exit_status == 1


def test_a_file_where_this_user_may_not_look_for_it_is_no_error_of_the_configuration(open_directory: Path) -> None:
    keeping = shared(open_directory)
    (open_directory / "keys").mkdir()
    assert keeping.exchange(lambda _: b"made") == b"made"
    refused = pytest.raises(FFObserveError, match=r"sender\.key cannot be destroyed \(Permission denied\): the data")
    with unable_to_enter(open_directory / "keys"), refused:
        keeping.exchange(lambda kept: kept or b"another")
