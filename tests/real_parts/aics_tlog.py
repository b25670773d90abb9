"""aics-tlog, another implementation of C2SP's transparency logs: it verifies our trees, checkpoints and cosignatures.

It declares Python 3.12 as its oldest, and runs on 3.11 as well: so it is put into a directory of its own in the cache.
`python -m tests.real_parts.aics_tlog` puts it there.
"""

import fcntl
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real_parts.cache import cache_directory

VERSION = "0.2.1"
HOW_TO_INSTALL = "needs aics-tlog: python -m tests.real_parts.aics_tlog"


def home() -> Path:
    """Where it is."""
    return cache_directory() / f"aics-tlog-{VERSION}"


def install() -> None:
    """Put it there, if it is not."""
    cache_directory().mkdir(parents=True, exist_ok=True)
    with (cache_directory() / f"aics-tlog-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home() / "aics_tlog").exists():
            options = ("--quiet", "--no-deps", "--ignore-requires-python", "--target", str(home()))
            subprocess.run([sys.executable, "-m", "pip", "install", *options, f"aics-tlog=={VERSION}"], check=True)


def module() -> Any:
    """The module; skips the test where it is not installed."""
    if not (home() / "aics_tlog").exists():
        pytest.skip(HOW_TO_INSTALL)
    sys.path.append(str(home()))
    try:
        return importlib.import_module("aics_tlog")
    finally:
        sys.path.remove(str(home()))


if __name__ == "__main__":
    install()
