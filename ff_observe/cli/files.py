"""Files that commands write, and standard output for programs."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

STANDARD_STREAM: Final = Path("-")


def write_exactly(text: str) -> None:
    """Write a text that programs read to standard output: as UTF-8, whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())


def replace_content(output: Path, content: bytes) -> None:
    """Replace `output` with the content atomically; see `replaced`."""
    with replaced(output) as file:
        file.write(content)


@contextlib.contextmanager
def replaced(output: Path) -> Iterator[BinaryIO]:
    """A file that replaces `output` when the block ends without an exception: readers never see half of it, and a full
    disk leaves the old one. A link stays a link; owner and mode are kept.
    """
    if output.exists() and not output.is_file():  # a device or a pipe
        with output.open("wb") as device:
            yield device
        return
    target = output.resolve()
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with fresh.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            before = target.stat()
            with contextlib.suppress(PermissionError):  # only root may change the owner
                os.chown(fresh, before.st_uid, before.st_gid)
            fresh.chmod(before.st_mode)
        fresh.replace(target)
    except OSError as error:
        error.filename = str(output)
        raise
    finally:
        with contextlib.suppress(OSError):  # an error before it says what is wrong
            fresh.unlink()
