"""Where a key is kept: the interface, and a private file."""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from ff_observe.errors import ConfigurationError, FFObserveError, Problem

_PRIVATE = 0o600
_LARGEST = 4096


class KeyKeeping(Protocol):
    """Keeps one key for all processes that use it. Its format is known to its owner alone.

    Every method raises `ConfigurationError` if the settings, or other users' rights, are in the way, `StoreError` if a
    database or command fails for now, and `FFObserveError` for what else is wrong with the machine: a full disk, a
    missing right.
    """

    seconds_between_looks: float
    """How often to `exchange`, to notice what other processes did."""

    def read(self) -> bytes | None:
        """The key; None if there is none."""

    def exchange(self, decide: Callable[[bytes | None], bytes]) -> bytes:
        """Keep the key that `decide` makes of the present one (None if there is none), and return it. A key that is
        replaced is destroyed. Of several processes one at a time decides. After an error the present key stays."""

    def wrong(self, message: str) -> ConfigurationError:
        """An error that names where the key is kept."""


class FileKeeping:
    """A file of mode 0600. `is_key` recognises a complete key; `key` and `named_in` are the setting, and its file, that
    errors refer to. Thread-safe."""

    seconds_between_looks = 3600.0

    def __init__(self, file: Path, is_key: Callable[[bytes], bool], key: str, named_in: str) -> None:
        self.file = file
        self._fresh = file.with_name(file.name + ".new")
        self._is_key = is_key
        self._key = key
        self._named_in = named_in

    def read(self) -> bytes | None:
        with self._explained("cannot be read: {}"):
            if self._fresh.exists():
                with self._other_processes_wait():
                    self._finish_what_was_cut_short()
            return self._read()

    def exchange(self, decide: Callable[[bytes | None], bytes]) -> bytes:
        with self._explained("cannot be used: {}"):
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._other_processes_wait():
                self._finish_what_was_cut_short()
                kept = self._read()
                decided = decide(kept)
                if decided != kept:
                    self._write(decided)
                    self._put_in_place()
                return decided

    def destroy(self) -> bool:
        """Overwrite the key in place on the disk, and remove the file, after the database has taken it over. Whether
        there was one."""
        with self._explained("cannot be destroyed ({}): the database keeps this key now; remove it by hand"):
            if not self.file.exists():
                return False
            for file in (self._fresh, self.file):
                self._overwrite(file)
                file.unlink(missing_ok=True)
            return True

    def wrong(self, message: str) -> ConfigurationError:
        return ConfigurationError((Problem(self._named_in, 0, 0, self._key, f"{self.file} {message}"),))

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FFObserveError(str(self.wrong(what.format(error.strerror)))) from None

    @contextlib.contextmanager
    def _other_processes_wait(self) -> Iterator[None]:
        try:
            descriptor = os.open(self.file.with_name("keys.lock"), os.O_RDWR | os.O_CREAT, _PRIVATE)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS):
                raise
            yield  # who may not write here can only read a key that is there
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> bytes | None:
        try:
            with self.file.open("rb") as opened:
                if os.fstat(opened.fileno()).st_mode & 0o077:
                    raise self.wrong(f"may be read by others; run: chmod 600 {self.file}")
                return opened.read(_LARGEST)
        except FileNotFoundError:
            return None

    def _write(self, key: bytes) -> None:
        """Write a new key, complete and synced to disk, beside the old one."""
        with open(os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb") as opened:  # noqa: PTH123 - of a descriptor
            opened.write(key)
            opened.flush()
            os.fsync(opened.fileno())
        self._sync_directory()

    def _put_in_place(self) -> None:
        """Overwrite the old key in place on the disk, then replace the file."""
        self._overwrite(self.file)
        self._fresh.replace(self.file)
        self._sync_directory()

    def _overwrite(self, file: Path) -> None:
        with contextlib.suppress(FileNotFoundError), file.open("r+b") as old:
            old.write(secrets.token_bytes(os.fstat(old.fileno()).st_size))
            old.flush()
            os.fsync(old.fileno())

    def _finish_what_was_cut_short(self) -> None:
        """A process that was killed while replacing the key may have left a key half overwritten, but never without its
        complete successor beside it."""
        try:
            complete = self._is_key(self._fresh.read_bytes())
        except FileNotFoundError:
            return
        if complete:
            self._put_in_place()
        else:
            self._fresh.unlink()

    def _sync_directory(self) -> None:
        directory = os.open(self.file.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
