"""Files that commands write."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

STANDARD_STREAM: Final = Path("-")


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
        fresh.unlink(missing_ok=True)
