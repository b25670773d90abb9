"""Remembers on disk when the last ping left: for restarts, and for bridges that share a disk."""

import errno
import hashlib
import json
import logging
import math
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ff_observe.outputs.ping.ledger_files import LedgerFiles, failure, writable
from ff_observe.outputs.ping.schedule import Moment
from ff_observe.system.clock import Clock
from ff_observe.system.presence import file_signature
from ff_observe.system.trusted_path import check_naming_file
from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

NAME: Final = "ping-state.json"
LOCK_NAME: Final = "ping-sender.lock"
_FORMAT: Final = "ff-observe ping state 1"
_LARGEST: Final = 4096  # bytes


class UnknownPastError(Exception):
    """Whether and when a ping left cannot be determined."""


class PingMemory:
    """A small file beside the ledger, for one platform. Without a `directory` nothing is kept.

    `named_in` is the file that names the directory: root writes only to a path named in a file that root alone can
    change.
    """

    def __init__(self, directory: Path | None, instance_id: str, clock: Clock, named_in: Path | None = None) -> None:
        self._path = None if directory is None else directory / NAME
        self._platform = hashlib.sha256(instance_id.encode()).hexdigest()[:16]
        self._clock = clock
        self._named_in = named_in
        self._state = StateLog(log)
        self._read: tuple[tuple[int, int, int] | None, Moment | None] | None = None

    def load(self) -> Moment | None:
        """When the last ping left; None if there never was one. Raises `UnknownPastError` if that cannot be
        determined: no disk, or a file that `save` did not write."""
        if self._path is None:
            raise UnknownPastError
        # On a disk that became read-only, it may be older than the last ping: `_load` finds that out.
        signature = file_signature(self._path) if os.access(self._path, os.W_OK) else None
        if signature is None or self._read is None or self._read[0] != signature:
            self._read = signature, self._load(self._path)
        return self._read[1]

    def save(self, last: Moment | None) -> bool:
        """Store it durably: a power failure leaves the old file or the new one. Returns whether it is stored; if it is
        not (a full disk), an older file is emptied, so that it cannot have today's ping sent again."""
        if self._path is None:
            return False
        document = {"format": _FORMAT, "platform": self._platform, "last": None if last is None else _plain(last)}
        try:
            check_naming_file(self._named_in)
            with writable(self._path) as files:
                try:
                    files.write(NAME, json.dumps(document).encode() + b"\n")
                except OSError:
                    if files.exists(NAME):
                        files.extend(NAME, 0, b"")
                    raise
        except OSError as error:
            self._failing(error)
            return False
        self._state.working(f"{self._path} is written again")
        return True

    @property
    def lock(self) -> Path:
        """The file whose lock the sender holds, where bridges share the directory."""
        return (self._path or Path(NAME)).with_name(LOCK_NAME)

    def open_lock(self) -> int:
        """A descriptor of that file, created if missing. Raises `OSError`."""
        if self._path is None:
            raise FileNotFoundError(errno.ENOENT, "there is no directory for it")
        check_naming_file(self._named_in)
        with writable(self._path) as files:
            return files.open_to_lock(LOCK_NAME)

    def _load(self, path: Path) -> Moment | None:
        try:
            with writable(path, make=False) as files:
                files.check_writable(NAME)  # or it may be older than the last ping
                return self._parse(files)
        except FileNotFoundError:
            if self.save(None):  # on a disk that refuses files, a missing one means nothing
                return None
            raise UnknownPastError from None
        except OSError as error:
            self._failing(error)
            raise UnknownPastError from None
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            raise UnknownPastError from None

    def _parse(self, files: LedgerFiles) -> Moment | None:
        """Raises `KeyError`, `TypeError`, `ValueError` or the like for anything that `save` did not write."""
        document = json.loads(files.read_last(NAME, _LARGEST))
        if document["format"] != _FORMAT:
            raise ValueError("another format")
        # A file of another platform: this one has not sent any from here.
        last = _moment(document["last"]) if document["platform"] == self._platform else None
        if last is None or last.by(self._clock) < self._clock.now():
            return last
        # The clock was wrong then or is now. From here on elapsed time is measured, whatever the clock says.
        return Moment.present(self._clock)

    def _failing(self, error: OSError) -> None:
        assert self._path is not None
        self._state.failing(
            f"{self._path} cannot be used: {failure(self._path, error)}. It keeps when the last ping left: without it, "
            "after a restart, the next ping is sent at the platform's next time of day"
        )


def _plain(moment: Moment) -> dict[str, Any]:
    return {"wall": moment.wall.isoformat(), "boot": moment.boot, "since_boot": moment.since_boot}


def _moment(document: dict[str, Any] | None) -> Moment | None:
    """Raises `KeyError`, `TypeError` or `ValueError` for anything that `_plain` did not write."""
    if document is None:
        return None
    wall, since_boot = datetime.fromisoformat(document["wall"]), float(document["since_boot"])
    if wall.tzinfo is None or type(document["boot"]) is not str or not math.isfinite(since_boot):
        raise ValueError("not a moment")
    return Moment(wall, document["boot"], since_boot)
