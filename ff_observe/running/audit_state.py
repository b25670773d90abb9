"""Keeps what was counted of a platform's audit log in a file: one for each platform, whole or not at all."""

import hashlib
import json
import logging
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ff_observe.catalogue.audit import EVENTS, FALLIBLE, SOURCES, Event
from ff_observe.catalogue.model import NO_VALUE, OTHER_VALUES
from ff_observe.outputs.ping.ledger_files import failure, writable
from ff_observe.platform.audit_counters import Tally
from ff_observe.system.clock import Clock
from ff_observe.system.trusted_path import check_naming_file
from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

_FORMAT: Final = "ff-observe audit counters 1"
_RULES: Final = hashlib.sha256(json.dumps([sorted(EVENTS), sorted(FALLIBLE), SOURCES]).encode()).hexdigest()[:16]
"""What was counted by other allow-lists is of no use."""
_LARGEST: Final = 4 * 2**20  # bytes


class AuditState:
    """See `audit_counters.Memory`. `named_in` is the file that names the directory: root writes only where a file says
    that root alone can change."""

    def __init__(self, directory: Path, clock: Clock, named_in: Path | None = None) -> None:
        self._directory = directory
        self._clock = clock
        self._named_in = named_in
        self._state = StateLog(log)

    def load(self, platform: str) -> Tally | None:
        """The tally kept for a platform; None where there is none, or it is not what `save` wrote."""
        name = _name(platform)
        try:
            with writable(self._directory / name, make=False) as files:
                content = files.read_last(name, _LARGEST)  # cut off, a larger one is not what `save` wrote
            return _tally(content, platform)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._failing(name, error)
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            log.warning("%s is not what ff-observe wrote: the audit log is counted anew", self._directory / name)
        return None

    def save(self, platform: str, tally: Tally) -> bool:
        """Keep it for good: a crash leaves the old file or the new one. Returns whether it is; a failure is logged."""
        name = _name(platform)
        try:
            check_naming_file(self._named_in)
            with writable(self._directory / name) as files, files.locked(name, self._clock):
                files.write(name, _document(tally, platform))
        except OSError as error:
            self._failing(name, error)
            return False
        self._state.working(f"{self._directory / name} is written again")
        return True

    def _failing(self, name: str, error: OSError) -> None:
        path = self._directory / name
        self._state.failing(
            f"{path} cannot be used: {failure(path, error)}. It keeps what was counted of the audit log: without it, "
            "each start counts the whole log again"
        )


def _name(platform: str) -> str:
    return f"audit-{_digest(platform.encode())[:16]}.json"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _document(tally: Tally, platform: str) -> bytes:
    content = {
        "format": _FORMAT,
        "platform": _digest(platform.encode())[:16],
        "rules": _RULES,
        "cursor": tally.cursor,
        "entry": tally.entry,
        "first": tally.first,
        "began": tally.began and tally.began.isoformat(),
        "complete": tally.complete,
        "checked": tally.checked and tally.checked.isoformat(),
        "events": [[*event, number] for event, number in sorted(tally.events.items())],
    }
    text = json.dumps(content, separators=(",", ":"))
    return f"{_digest(text.encode())} {text}\n".encode()


def _tally(content: bytes, platform: str) -> Tally | None:
    """Raises `KeyError`, `TypeError`, `ValueError` and their like for what `_document` did not write."""
    digest, _, text = content.removesuffix(b"\n").partition(b" ")
    if digest.decode("ascii") != _digest(text):
        raise ValueError("torn or changed")
    document: dict[str, Any] = json.loads(text)
    if document["format"] != _FORMAT or document["platform"] != _digest(platform.encode())[:16]:
        raise ValueError("of something else")
    if document["rules"] != _RULES:
        return None
    return Tally(
        Counter({_event(*values): _natural(number) for *values, number in document["events"]}),
        _natural(document["cursor"]),
        None if document["entry"] is None else str(document["entry"]),
        None if document["first"] is None else int(document["first"]),
        _moment(document["began"]),
        document["complete"] is True,
        _moment(document["checked"]),
    )


def _event(event: str, source: str, device: bool, failed: bool) -> Event:
    if event not in EVENTS | {OTHER_VALUES} or source not in (*SOURCES, NO_VALUE, OTHER_VALUES):
        raise ValueError("no event of the catalogue")
    return Event(event, source, device is True, failed is True)


def _natural(number: object) -> int:
    if type(number) is not int or number < 0:
        raise ValueError("not a number")
    return number


def _moment(text: str | None) -> datetime | None:
    moment = None if text is None else datetime.fromisoformat(text)
    if moment is not None and moment.tzinfo is None:
        raise ValueError("not a moment")
    return moment
