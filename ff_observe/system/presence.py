"""Looks at files in places that this user may not enter: what cannot be determined is answered with no.

`Path.exists` and its kin raise then before Python 3.14. Who depends on the difference calls `Path.stat`.
"""

import os
from pathlib import Path


def exists(path: Path) -> bool:
    """Whether something is there, as Node's `existsSync` answers."""
    return os.path.exists(path)  # noqa: PTH110 - see the module's docstring


def is_directory(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - see the module's docstring


def is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - see the module's docstring


def file_signature(path: Path) -> tuple[int, int, int] | None:
    """Changes when the file does, and costs less than reading it; None if it cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
