"""Files that commands write, and standard output for programs."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from ff_observe.cli.terminal import legible

STANDARD_STREAM: Final = Path("-")


def write_exactly(text: str) -> None:
    """Write a text that programs read to standard output: as UTF-8, whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())


def add_output(parser: argparse.ArgumentParser, about: str = "where to write (default: stdout)") -> None:
    """Add `--output`, which `opened` opens."""
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, default=STANDARD_STREAM, help=about)


def opened(output: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    """Standard output, or a file that is replaced as a whole."""
    return contextlib.nullcontext(sys.stdout.buffer) if output == STANDARD_STREAM else replaced(output)


@contextlib.contextmanager
def exposition_to(output: Path) -> Iterator[Callable[[str], object]]:
    """Writes an exposition as `opened` does; on a terminal what could control it is escaped, which may be in the value
    of a label."""
    with opened(output) as file:
        for_eyes = partial(legible, stream=sys.stdout) if output == STANDARD_STREAM else str
        yield lambda text: file.write(for_eyes(text).encode())


@contextlib.contextmanager
def replaced(output: Path) -> Iterator[BinaryIO]:
    """A file that replaces `output` when the block ends without an exception: readers never see half of it, and a full
    disk leaves the old one. A link stays a link; mode, group and (by root) owner are kept.
    """
    if output.exists() and not output.is_file():  # a device or a pipe
        with output.open("wb") as device:
            yield device
        return
    target = output.resolve()
    before = target.stat() if target.exists() else None
    try:
        with fresh(target, 0o666 if before is None else 0o600) as file:
            yield file
            if before is not None:
                with contextlib.suppress(PermissionError):  # a group that the user is not in
                    os.chown(file.fileno(), -1, before.st_gid)
                with contextlib.suppress(PermissionError):  # only root may change the owner
                    os.chown(file.fileno(), before.st_uid, -1)
                os.chmod(file.fileno(), before.st_mode)  # noqa: PTH101 - of a descriptor
    except OSError as error:
        error.filename = str(output)
        raise


@contextlib.contextmanager
def fresh(target: Path, mode: int) -> Iterator[BinaryIO]:
    """A new file, which takes the place of `target`, synced to disk, when the block ends without an exception; else
    it is gone."""
    import secrets

    place = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
            yield file
            file.flush()
            os.fsync(file.fileno())
        place.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):  # the error before it says what is wrong
            place.unlink()
        raise
