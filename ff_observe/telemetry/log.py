"""The bridge's own log: one line, or one JSON object, for each record on standard error, without credentials."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from ff_observe.telemetry import tracing
from ff_observe.telemetry.platform_context import current_platform
from ff_observe.telemetry.redaction import Redactor

LogFormat = Literal["text", "json"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 and C1, with their line breaks and the introducers of a terminal's commands; Unicode's line breaks, and its marks
that change the order in which a text is shown; halves of characters, which have no encoding."""


def configure_logging(
    log_format: LogFormat = "text",
    level: int = logging.INFO,
    *,
    redactor: Redactor | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send every record of this process from `level` on to `stream` (standard error).

    Call it again, with a `redactor` that knows the secrets, once the settings are read: it replaces its earlier setup,
    and leaves handlers of others alone.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    formatter = JSONFormatter if log_format == "json" else TextFormatter
    handler.setFormatter(formatter(redactor or Redactor(personal=False)))
    handler.set_name(__name__)
    root = logging.getLogger()
    for existing in [existing for existing in root.handlers if existing.name == __name__]:
        root.removeHandler(existing)
    root.addHandler(handler)
    root.setLevel(level)


def escaped(text: str) -> str:
    """One line, whatever the input, that neither controls a terminal nor is shown in another order than it has."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def indented(text: str) -> str:
    """The lines of a text, `escaped` and indented, so that none passes for another line of the log."""
    return "\n".join(f"  {escaped(line)}" for line in text.split("\n"))


class _Formatter(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def _parts(self, record: logging.LogRecord) -> list[str]:
        """The traceback and the stack of a record, as one text of several lines each, redacted."""
        parts = []
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        elif record.exc_text:
            parts.append(record.exc_text)
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return [self._redactor.text(part) for part in parts]


class TextFormatter(_Formatter):
    """`TIME LEVEL logger: message`, and a traceback, indented, if there is one; `logger [NAME]: ` for one of several
    platforms. Text is redacted first: what an escape stands in is not recognised as easily."""

    def format(self, record: logging.LogRecord) -> str:
        platform = current_platform()
        of_platform = f" [{escaped(platform)}]" if platform is not None else ""
        head = f"{_moment(record)} {record.levelname} {record.name}{of_platform}: "
        message = escaped(self._redactor.text(record.getMessage()))
        return "\n".join([head + message, *map(indented, self._parts(record))])


class JSONFormatter(_Formatter):
    """One JSON object in one line: time (RFC 3339), level, logger, message, thread; exception if there is one, trace_id
    and span_id if the code that logs is traced, and platform if it works for one of several. Shown on a terminal, it is
    as harmless as text."""

    def format(self, record: logging.LogRecord) -> str:
        members = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self._redactor.text(record.getMessage()),
            "thread": record.threadName,
        }
        parts = self._parts(record)
        if parts:
            members["exception"] = "\n".join(parts)
        platform = current_platform()
        if platform is not None:
            members["platform"] = platform
        ids = tracing.current_ids()
        if ids is not None:
            members["trace_id"], members["span_id"] = ids
        line = json.dumps(members, ensure_ascii=False)
        return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Listener(logging.Handler):
    """Hears the bridge's own lines, not those of the libraries or of a program it is part of, between `listen` and
    `unlisten`. Without another handler Python still prints its warnings: a program that configures no logging, or does
    so later, does not notice a listener."""

    def listen(self) -> None:
        _OWN.addHandler(_LAST_RESORT)
        _OWN.addHandler(self)

    def unlisten(self) -> None:
        """Idempotent."""
        _OWN.removeHandler(self)


class _LastResort(Listener):
    """Python's own is for lines without any handler, which a listener is."""

    def emit(self, record: logging.LogRecord) -> None:
        others = (*_OWN.handlers, *logging.getLogger().handlers)
        if logging.lastResort is not None and all(isinstance(each, Listener) for each in others):
            logging.lastResort.handle(record)


_OWN = logging.getLogger("ff_observe")
_LAST_RESORT = _LastResort(logging.WARNING)


class StateLog:
    """Logs a change of state and not each repetition: the first failure is a warning, the recovery an info."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._failing = False

    def failing(self, message: str) -> None:
        """Log a failure: as a warning after a success, else as a debug line."""
        self._log.log(logging.DEBUG if self._failing else logging.WARNING, "%s", message)
        self._failing = True

    def working(self, message: str) -> None:
        """Log a success, only if the last state was a failure."""
        if self._failing:
            self._log.info("%s", message)
        self._failing = False
