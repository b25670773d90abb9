"""The files of a ledger on disk: never reached through a link, one writer at a time, lines written completely or not
at all."""

import contextlib
import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ff_observe.system.clock import Clock, SystemClock
from ff_observe.system.trusted_path import trusted_directory

LOCK_SECONDS: Final = 10.0  # others hold the lock for milliseconds; on a slow disk, which syncs thrice, longer
LARGEST_READ: Final = 64 * 1024 * 1024  # bytes, of a file; a ledger's are rotated long before

# The files of a ledger, behind its name.
OLDER: Final = ".1"
NEW: Final = ".new"
LOCK: Final = ".lock"
KEY: Final = ".key"  # the private key that signs the checkpoints
CHECKPOINT: Final = ".checkpoint"  # the newest
RECEIPTS: Final = ".receipts"  # checkpoints that a collector cosigned

_SEARCH: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

# Non-blocking: a pipe in place of the file must not hang the bridge.
_OPEN: Final = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


@contextlib.contextmanager
def writable(path: Path, *, make: bool = True) -> Iterator["LedgerFiles"]:
    """The ledger `path`, in a directory that no other user can write to. Raises `OSError`, `UntrustedPathError`
    included."""
    with trusted_directory(path.parent, make=make) as directory:
        yield LedgerFiles(directory, path.parent)


def read_files(path: Path, clock: Clock | None = None) -> dict[str, bytes]:
    """The contents of a ledger's files at one moment by their names, those of its lines first and the oldest of these
    before the present one, without its key. The directory may belong to any user."""
    try:
        directory = os.open(path.parent, _SEARCH)
    except FileNotFoundError:
        return {}
    names = (path.name + OLDER, path.name, path.name + CHECKPOINT, path.name + RECEIPTS)
    try:
        files = LedgerFiles(directory, path.parent)
        with files.locked(path.name, clock or SystemClock(), for_reading=True):
            found = [(name, files.read(name)) for name in names]
    finally:
        os.close(directory)
    return {name: content for name, content in found if content is not None}


def failure(path: Path, error: OSError) -> str:
    """Why the file cannot be used, with the file that is to blame where that is another one."""
    place = f"{error.filename}: " if error.filename not in (None, str(path)) else ""
    return f"{place}{error.strerror or error}"


class LedgerFiles:
    """Files by their names in one open directory: none is opened through a link, and only regular files are opened."""

    def __init__(self, directory: int, place: Path) -> None:
        self._directory = directory
        self._place = place

    def check(self, name: str) -> None:
        """Raises `OSError` if an existing file of the ledger `name` cannot be opened that way."""
        for ending in ("", OLDER, NEW, LOCK, KEY, CHECKPOINT, RECEIPTS):
            with contextlib.suppress(FileNotFoundError):
                os.close(self._open(name + ending, os.O_RDONLY))

    def exists(self, name: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=self._directory, follow_symlinks=False)
            return True
        return False

    def check_writable(self, name: str) -> None:
        """Raises `OSError` if the file cannot be written to."""
        os.close(self._open(name, os.O_WRONLY))

    def read(self, name: str, *, private: bool = False) -> bytes | None:
        """The content; None if there is no such file. Raises `OSError` if others may read what is to be `private`."""
        try:
            descriptor = self._open(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if private and os.fstat(descriptor).st_mode & 0o077:
                raise PermissionError(errno.EPERM, "may be read by others; run chmod 600", self._full(name))
            content = file.read(LARGEST_READ + 1)
        if len(content) > LARGEST_READ:
            raise OSError(errno.EFBIG, f"has more than the {LARGEST_READ} bytes that are read", self._full(name))
        return content

    def read_last(self, name: str, at_most: int) -> bytes:
        with os.fdopen(self._open(name, os.O_RDONLY), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - at_most))
            return file.read()

    def extend(self, name: str, whole: int, content: bytes) -> None:
        """Write `content` after the first `whole` bytes of the file; completely, or not at all."""
        descriptor = self._open(name, os.O_WRONLY | os.O_CREAT)
        try:
            os.ftruncate(descriptor, whole)
            os.lseek(descriptor, whole, os.SEEK_SET)
            try:
                left = memoryview(content)
                while left:
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, whole)
                raise
        finally:
            os.close(descriptor)

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file, durably: a power failure leaves the old one or the new one."""
        self.remove(name + NEW)
        self.extend(name + NEW, 0, content)
        self.replace(name + NEW, name)

    def replace(self, name: str, replaced: str) -> None:
        """Rename a file, durably."""
        os.replace(name, replaced, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        directory = os.open(".", os.O_RDONLY, dir_fd=self._directory)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._directory)

    @contextlib.contextmanager
    def locked(self, name: str, clock: Clock, *, for_reading: bool = False) -> Iterator[None]:
        """Be the only writer of the ledger `name`, or keep writers out, until the block ends. Raises `TimeoutError`."""
        try:
            descriptor = self._open(name + LOCK, os.O_RDONLY) if for_reading else self.open_to_lock(name + LOCK)
        except (FileNotFoundError, PermissionError):
            if not for_reading:
                raise
            yield  # a ledger that only its owner can lock, or a copy
            return
        try:
            self._await_lock(descriptor, fcntl.LOCK_SH if for_reading else fcntl.LOCK_EX, name, clock)
            try:
                yield
            finally:  # closing does not unlock what a process that was forked meanwhile has open too
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def open_to_lock(self, name: str) -> int:
        """A descriptor of a file that is used only for its lock; created if missing."""
        return self._open(name, os.O_RDONLY | os.O_CREAT)

    def _await_lock(self, descriptor: int, kind: int, name: str, clock: Clock) -> None:
        give_up = clock.monotonic() + LOCK_SECONDS
        never = threading.Event()
        while True:
            try:
                return fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if clock.monotonic() >= give_up:
                    message = "another process keeps it locked"
                    raise TimeoutError(errno.ETIMEDOUT, message, self._full(name)) from None
                clock.wait(never, 0.005)

    def _open(self, name: str, mode: int) -> int:
        try:
            descriptor = os.open(name, mode | _OPEN, 0o600, dir_fd=self._directory)
        except OSError as error:
            if error.errno == errno.ELOOP:
                message = "is a symbolic link, and a ledger is not opened through one"
                raise OSError(errno.ELOOP, message, self._full(name)) from None
            error.filename = self._full(name)
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", self._full(name))
        return descriptor

    def _full(self, name: str) -> str:
        return str(self._place / name)
