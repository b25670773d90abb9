"""The files of a ledger on the disk: their names, who may read them, one writer at a time, all of a line or nothing."""

import contextlib
import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ff_observe.clock import Clock

LOCK_SECONDS: Final = 2.0  # others hold the lock for milliseconds

_OPEN: Final = os.O_CLOEXEC | os.O_NONBLOCK  # not blocking: a pipe in the place of the file must not hang the bridge


def read_last(path: Path, at_most: int) -> tuple[int, bytes]:
    """The size of a regular file, and its last bytes. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | _OPEN)
    with os.fdopen(descriptor, "rb") as file:
        size = _size(descriptor, path)
        file.seek(max(0, size - at_most))
        return size, file.read()


def extend(path: Path, whole: int, content: bytes) -> None:
    """Write `content` after the first `whole` bytes of the file; all of it, or nothing."""
    descriptor = _open_own(path, os.O_WRONLY)
    try:
        _size(descriptor, path)
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


def read_files(path: Path) -> list[tuple[str, bytes]]:
    """Names and contents of the files of a ledger at one moment, the oldest first."""
    with contextlib.ExitStack() as stack:
        # Who may read but not write takes no part in locking where nobody has written yet.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            descriptor = os.open(_lock(path), os.O_RDONLY | _OPEN)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        return [(file.name, file.read_bytes()) for file in (older(path), path) if file.is_file()]


@contextlib.contextmanager
def locked(path: Path, clock: Clock) -> Iterator[None]:
    """The only writer, until the block ends. Raises `TimeoutError`."""
    descriptor = _open_own(_lock(path), os.O_RDONLY)
    try:
        give_up = clock.monotonic() + LOCK_SECONDS
        never = threading.Event()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if clock.monotonic() >= give_up:
                    raise TimeoutError(errno.ETIMEDOUT, "another process keeps it locked", str(path)) from None
                clock.wait(never, 0.005)
        yield
    finally:
        os.close(descriptor)


def _open_own(path: Path, mode: int) -> int:
    """Open or make a file that only its owner reads. One that root makes belongs to the owner of its directory: after
    a `ping send` by root the bridge must still be able to write."""
    try:
        return os.open(path, mode | _OPEN)
    except FileNotFoundError:
        descriptor = os.open(path, mode | os.O_CREAT | _OPEN, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def make_directory(directory: Path) -> None:
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        owner = directory.parent.stat()
        os.chown(directory, owner.st_uid, owner.st_gid)


def sync_directory(directory: Path) -> None:
    """So that a renamed file has its new name after a power failure too."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def older(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def new(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _lock(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _size(descriptor: int, path: Path) -> int:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return status.st_size
