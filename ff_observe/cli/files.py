"""Files that commands write."""

import contextlib
import os
from pathlib import Path
from typing import Final

STANDARD_STREAM: Final = Path("-")


def replace_content(output: Path, content: bytes) -> None:
    """Put the content in the place of `output` at once: nothing reads half of it, and a full disk leaves the old one.

    A link stays a link; owner and mode stay those of the file.
    """
    if output.exists() and not output.is_file():  # a device or a pipe
        output.write_bytes(content)
        return
    target = output.resolve()
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with fresh.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            before = target.stat()
            with contextlib.suppress(PermissionError):  # only root gives files away
                os.chown(fresh, before.st_uid, before.st_gid)
            fresh.chmod(before.st_mode)
        fresh.replace(target)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        error.filename = str(output)
        raise
