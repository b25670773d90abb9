"""Keeps the SDK's own log out of the bridge's: it writes a line, or a traceback, for each failure."""

import logging
import threading

_SDK_LOGGER = logging.getLogger("opentelemetry")
_lock = threading.Lock()
_listening: list["Complaints"] = []


class Complaints(logging.Handler):
    """The last complaint, for our one warning. While any of these listens, no other handler hears the SDK."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = "no reason given"

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()

    def begin(self) -> None:
        with _lock:
            if self not in _listening:
                _listening.append(self)
                _SDK_LOGGER.addHandler(self)
                _SDK_LOGGER.propagate = False

    def end(self) -> None:
        """Idempotent."""
        with _lock:
            if self in _listening:
                _listening.remove(self)
                _SDK_LOGGER.removeHandler(self)
                _SDK_LOGGER.propagate = not _listening
