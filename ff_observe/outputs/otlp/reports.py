"""Reports the outcome of one signal's exports: a counter for each, a log line for each change."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from ff_observe.catalogue.bridge import OTLP_EXPORTS
from ff_observe.telemetry.log import StateLog
from ff_observe.telemetry.platform_context import current_platform, working_for
from ff_observe.telemetry.redaction import Redactor
from ff_observe.telemetry.self_metrics import Delivery, SelfMetrics

log = logging.getLogger("ff_observe.outputs.otlp")

NAME = "otlp"

_MOST_OF_A_REASON = 300  # characters; most of it may be quoted from the receiver


class Reports:
    """Call it after each export with whether it was delivered; between `begin` and `end`.

    Why one was not is redacted, then cut: a secret that is cut first is not recognised any more.
    """

    def __init__(self, signal: str, self_metrics: SelfMetrics | None, redactor: Redactor) -> None:
        self._signal = signal
        self._self_metrics = self_metrics
        self._sdk_said = "no reason given"
        self._state = StateLog(log)
        self._redactor = redactor.with_addresses()
        self._platform = current_platform()
        self._last: Delivery | None = None

    def begin(self) -> None:
        """Call it once the SDK's modules are loaded: each has a logger."""
        for name in [name for name in logging.root.manager.loggerDict if name.startswith("opentelemetry.")]:
            logging.getLogger(name).addFilter(_goes_on)

    @contextlib.contextmanager
    def of_the_sdk(self) -> Iterator[None]:
        """Around each use of the SDK: what it logs, a line or a traceback for each failure, is kept for our one
        warning, and goes no further. What it logs for a program that uses it too goes where it did."""
        token = _USING.set(self)
        try:
            yield
        finally:
            _USING.reset(token)

    def sdk_said(self, message: str) -> None:
        self._sdk_said = message

    def end(self) -> None:
        """Idempotent. Of a signal that is switched off, or sent elsewhere, no delivery is the last."""
        if self._self_metrics is not None:
            self._self_metrics.forget_delivery(self._last)

    def __call__(self, problem: Callable[[], str | None], *, delivered: bool) -> None:
        reason = None if delivered else self._shortened(problem() or self._sdk_said)
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


_USING: ContextVar[Reports | None] = ContextVar("ff_observe_otlp", default=None)


def _goes_on(record: logging.LogRecord) -> bool:
    reports = _USING.get()
    if reports is not None:
        reports.sdk_said(record.getMessage())
    return reports is None
