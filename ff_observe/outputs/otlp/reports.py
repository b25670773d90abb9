"""Reports the outcome of one signal's exports: a counter for each, a log line for each change."""

import logging
import threading
from collections.abc import Callable

from ff_observe.catalogue.bridge import OTLP_EXPORTS
from ff_observe.telemetry.log import StateLog
from ff_observe.telemetry.platform_context import current_platform, working_for
from ff_observe.telemetry.redaction import Redactor
from ff_observe.telemetry.self_metrics import Delivery, SelfMetrics

log = logging.getLogger("ff_observe.outputs.otlp")

NAME = "otlp"

_MOST_OF_A_REASON = 300  # characters; most of it may be quoted from the receiver

_SDK_LOGGER = logging.getLogger("opentelemetry")
_lock = threading.Lock()


class Reports:
    """Call it after each export with whether it was delivered; between `begin` and `end`.

    Why one was not is redacted, then cut: a secret that is cut first is not recognised any more.
    """

    def __init__(self, signal: str, self_metrics: SelfMetrics | None, redactor: Redactor) -> None:
        self._signal = signal
        self._self_metrics = self_metrics
        self._sdk_log = SdkLog()
        self._state = StateLog(log)
        self._redactor = redactor.with_addresses()
        self._platform = current_platform()
        self._last: Delivery | None = None

    def begin(self) -> None:
        self._sdk_log.attach()

    def end(self) -> None:
        """Idempotent. Of a signal that is switched off, or sent elsewhere, no delivery is the last."""
        self._sdk_log.detach()
        if self._self_metrics is not None:
            self._self_metrics.forget_delivery(self._last)

    def __call__(self, problem: Callable[[], str | None], *, delivered: bool) -> None:
        reason = None if delivered else self._shortened(problem() or self._sdk_log.last)
        if self._self_metrics is not None:
            self._self_metrics.add(OTLP_EXPORTS, "delivered" if delivered else "failed")
            self._last = self._self_metrics.delivery(NAME, reason, self._signal)
        with working_for(self._platform):  # the SDK's threads do not know it
            if reason is None:
                self._state.working(f"OTLP {self._signal} are delivered again")
            else:
                self._state.failing(f"OTLP {self._signal} are not delivered: {reason}")

    def _shortened(self, reason: str) -> str:
        redacted = self._redactor.text(reason)
        return redacted if len(redacted) <= _MOST_OF_A_REASON else f"{redacted[: _MOST_OF_A_REASON - 1]}…"


class SdkLog(logging.Handler):
    """Keeps the SDK's log, a line or a traceback for each failure, out of the bridge's; `last` is its last message, for
    our one warning. While any of these is attached, no other handler hears the SDK."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = "no reason given"

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()

    def attach(self) -> None:
        with _lock:
            _SDK_LOGGER.addHandler(self)
            _SDK_LOGGER.propagate = False

    def detach(self) -> None:
        """Idempotent."""
        with _lock:
            _SDK_LOGGER.removeHandler(self)
            _SDK_LOGGER.propagate = not any(isinstance(each, SdkLog) for each in _SDK_LOGGER.handlers)
