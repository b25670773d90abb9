"""Reads a small text file promptly and in bounded memory, whatever the path turns out to be."""

import codecs
import os
import stat
from pathlib import Path
from typing import Final

LARGEST_FILE: Final = 1024 * 1024  # bytes; a real flowforge.yml has some kilobytes


class UnreadableFileError(Exception):
    """The file cannot be used. `line` and `column` count from 1, and are 0 if the whole file is meant. Its cause is the
    `OSError` of a file that cannot be read."""

    def __init__(self, message: str, line: int = 0, column: int = 0, *, missing: bool = False) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.missing = missing


def read_text(path: Path, largest: int = LARGEST_FILE) -> str:
    """The text of a regular file of at most `largest` bytes in UTF-8, without byte order mark."""
    raw = _read_bytes(path, largest)
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnreadableFileError("the file is UTF-16 text; save it as UTF-8")
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        message = f"the byte 0x{raw[error.start]:02x} is not valid UTF-8; save the file as UTF-8"
        raise UnreadableFileError(message, before.count(b"\n") + 1, column) from None


def _read_bytes(path: Path, largest: int) -> bytes:
    try:
        # Non-blocking: opening a pipe that has no writer would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise UnreadableFileError("there is no such file", missing=True) from None
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"the file cannot be read: {_reason(error)}") from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableFileError("this is a directory, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFileError("this is not a regular file")
        if status.st_size > largest:
            raise UnreadableFileError(f"the file has {status.st_size} bytes; at most {largest} are read")
        return _read_at_most(descriptor, largest)
    except OSError as error:
        raise UnreadableFileError(f"the file cannot be read: {_reason(error)}") from error
    finally:
        os.close(descriptor)


def _read_at_most(descriptor: int, largest: int) -> bytes:
    """Read to the end; the reported size is not trusted (the file may be growing)."""
    parts: list[bytes] = []
    left = largest + 1
    while left > 0 and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    if left <= 0:
        raise UnreadableFileError(f"the file has more than {largest} bytes")
    return b"".join(parts)


def _reason(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "the path is not valid"
