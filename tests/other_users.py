"""Does a part of a test without the rights that root has everywhere."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

NOBODY = 65534


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """Be another user until the block ends, if we are root."""
    before = os.getresuid()
    if os.geteuid() == 0:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(*before)


@contextlib.contextmanager
def unable_to_write(directory: Path) -> Iterator[None]:
    """Have no right to write to a directory until the block ends."""
    directory.chmod(0o555)
    try:
        with somebody_else():
            yield
    finally:
        directory.chmod(0o755)


@contextlib.contextmanager
def unable_to_enter(directory: Path) -> Iterator[None]:
    """Have no right to enter a directory until the block ends."""
    directory.chmod(0)
    try:
        with somebody_else():
            yield
    finally:
        directory.chmod(0o755)
