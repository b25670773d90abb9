"""Backend Sentry: reports the errors of the bridge, and those that end a thread of a program it is part of, to the
operator's Sentry.

On only with `telemetry.backend.sentry.dsn`: `SENTRY_DSN` is not read. The SDK is imported only then.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ff_observe.catalogue.bridge import SENTRY_EVENTS, SENTRY_SUPPRESSED
from ff_observe.config import declaration as key_of
from ff_observe.config.settings import Settings
from ff_observe.errors import DeliveryError
from ff_observe.outputs.model import Components, Context, Destination, Output, Status
from ff_observe.outputs.sentry.budget import Admitted, EventBudget, Reason
from ff_observe.platform.snapshot import Snapshot
from ff_observe.telemetry.log import StateLog
from ff_observe.telemetry.platform_context import current_platform, working_for
from ff_observe.telemetry.redaction import Redactor, known_secrets

if TYPE_CHECKING:
    from ff_observe.outputs.sentry.client import Additions, SentryClient

log = logging.getLogger(__name__)

NAME = "backend_sentry"
STOP_SECONDS = 2.0  # as the SDK waits for what it has to send (its `shutdown_timeout`)

_hooks: list[Callable[["threading.ExceptHookArgs"], Any]] = []
"""The hook that was there before ours, and ours: on a reload the new one begins before the old one ends."""


def place_of(event: Mapping[str, Any]) -> tuple[object, ...]:
    """The identity of an event: type and place of the error, or the text of a message before its arguments."""
    exceptions = (event.get("exception") or {}).get("values") or []
    if exceptions:
        error = exceptions[-1]
        frames = (error.get("stacktrace") or {}).get("frames") or [{}]
        return (error.get("module"), error.get("type"), frames[-1].get("module"), frames[-1].get("lineno"))
    return (event.get("logger"), (event.get("logentry") or {}).get("message"), event.get("message"))


class BackendSentry:
    """Captures errors from `start` to `stop`; without a DSN it does nothing.

    `capture` is an `ErrorSink`. Errors that end any thread are captured too, unless the process serves several
    platforms. FlowFuse's version is asked for with each event, since FlowFuse may be upgraded meanwhile.
    """

    name = "backend sentry"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._metrics = context.self_metrics
        self._clock = context.clock
        sentry = context.settings.backend_sentry
        self._budget = EventBudget(sentry.per_minute, sentry.per_day, context.clock)
        self._client: SentryClient | None = None
        self._hook_before_ours = threading.excepthook
        self._hooked = False
        self._platform = current_platform()
        self._lock = threading.Lock()
        self._pending = 0
        self._state = StateLog(log)

    def start(self) -> None:
        """Raises `ConfigurationError` for an invalid DSN."""
        context = self._context
        if context.settings.backend_sentry.dsn is None:
            return
        from ff_observe.outputs.sentry.client import SentryClient

        self._client = SentryClient(context.settings, context.flowfuse_version, context.redactor, self, self._admit)
        self._hooked = self._platform is None  # of several platforms, no thread belongs to one
        if self._hooked:
            self._hook_before_ours = _hook(self._thread_ended)

    def stop(self, deadline: float) -> None:
        """Sends what is waiting for up to `STOP_SECONDS`, and by `deadline`; events left then are counted as
        dropped."""
        client, self._client = self._client, None
        if client is None:
            return
        if self._hooked:
            _unhook(self._thread_ended)
        client.close(min(STOP_SECONDS, deadline - self._clock.monotonic()))
        with self._lock:
            lost, self._pending = self._pending, 0
        if lost:
            self._metrics.add(SENTRY_EVENTS, "dropped", amount=lost)
            log.warning("%d events for Sentry could not be sent before the end", lost)

    def capture(self, error: BaseException, thread_name: str) -> None:
        """Report an error that a thread of the bridge caught and survived."""
        self._capture(error, thread_name, handled=True)

    def check_in(self, delivered: bool) -> None:
        """The ping of a day was delivered, or will not be."""
        client = self._client
        if client is not None:
            client.check_in(is_ok=delivered)

    def handed_over(self) -> None:
        """An event is on its way (called by the transport)."""
        with self._lock:
            self._pending += 1

    def settled(self, failure: str | None) -> None:
        """The outcome of an event (called by the transport, in the SDK's thread)."""
        with self._lock:
            if self._pending == 0:
                return  # counted as lost when the bridge stopped
            self._pending -= 1
            if failure is not None:
                self._budget.lost()
            elif self._pending == 0:
                self._budget.arrived()
        self._metrics.add(SENTRY_EVENTS, "captured" if failure is None else "dropped")
        self._metrics.delivery(NAME, failure, to=self._context.settings.backend_sentry.dsn)
        with working_for(self._platform):  # the SDK's thread does not know it
            if failure is None:
                self._state.working("Sentry takes events")
            else:
                self._state.failing(f"Sentry did not take an event: {failure}")

    def _admit(self, event: Mapping[str, Any]) -> "Additions | None":
        admitted = self._budget.admit(place_of(event))
        if isinstance(admitted, Reason):
            self._metrics.add(SENTRY_EVENTS, "dropped")
            self._metrics.add(SENTRY_SUPPRESSED, admitted)
            return None
        tags = {"held_back": str(admitted.held_back)} if admitted.held_back else {}
        return {"tags": tags, "contexts": _suppressed(admitted)}

    def _capture(self, error: BaseException, thread_name: str, *, handled: bool) -> None:
        client = self._client
        if client is not None:
            tags = {"thread": thread_name, "component": _component_of(error) or thread_name}
            client.capture_error(error, tags, handled=handled)

    def _thread_ended(self, arguments: "threading.ExceptHookArgs") -> None:
        try:
            if arguments.exc_value is not None and not issubclass(arguments.exc_type, SystemExit):
                name = arguments.thread.name if arguments.thread is not None else "unknown"
                self._capture(arguments.exc_value, name, handled=False)
        finally:  # the SDK fails on some errors, such as groups that are nested too deeply
            self._hook_before_ours(arguments)


def _hook(own: Callable[["threading.ExceptHookArgs"], Any]) -> Callable[["threading.ExceptHookArgs"], Any]:
    """Install a hook of ours; returns the one that is in place when none of ours is."""
    if not _hooks:
        _hooks.append(threading.excepthook)
    _hooks.append(own)
    threading.excepthook = own
    return _hooks[0]


def _unhook(own: Callable[["threading.ExceptHookArgs"], Any]) -> None:
    """Legal once for each `_hook`, in any order. A later replacement by another library stays."""
    _hooks.remove(own)
    if threading.excepthook == own:
        threading.excepthook = _hooks[-1]
    if len(_hooks) == 1:
        _hooks.clear()


def _suppressed(admitted: Admitted) -> dict[str, Any]:
    """The context of an event that says how many others were not sent."""
    if admitted.suppressed is None:
        return {}
    by_reason = {str(reason): number for reason, number in admitted.suppressed.by_reason.items()}
    since = admitted.suppressed.since.isoformat(timespec="seconds")
    return {"suppressed": {"events": sum(by_reason.values()), "since": since, **by_reason}}


def _component_of(error: BaseException) -> str | None:
    """The innermost module of the bridge in the error's traceback."""
    component = None
    traceback = error.__traceback__
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.startswith("ff_observe."):
            component = module
        traceback = traceback.tb_next
    return component


class _Outcome:
    """The outcome of the event of `send_test_event`."""

    def __init__(self) -> None:
        self.known = threading.Event()
        self.failure: str | None = None

    def handed_over(self) -> None:
        pass

    def settled(self, failure: str | None) -> None:
        self.failure = failure
        self.known.set()


def send_test_event(settings: Settings, version: str | None, *, timeout_seconds: float = 15.0) -> str:
    """Send one event as the running bridge would, and return its id (32 hexadecimal digits) once the server has it.

    Raises `ConfigurationError` without a (valid) DSN, `DeliveryError` with the reason if it did not arrive.
    """
    from ff_observe.outputs.sentry.client import SentryClient

    outcome = _Outcome()
    redactor = Redactor(known_secrets(settings))
    client = SentryClient(settings, lambda: version, redactor, outcome, lambda _event: {})
    try:
        event_id = client.capture_message("A test event of ff-observe: backend Sentry works")
        in_time = outcome.known.wait(timeout_seconds)
    finally:
        client.close(0.0)
    assert settings.backend_sentry.dsn is not None
    server = urlsplit(settings.backend_sentry.dsn.reveal()).netloc.rpartition("@")[2]  # without the key
    if not in_time or event_id is None:
        raise DeliveryError(f"Sentry at {server} did not take the test event: no answer within {timeout_seconds:g} s")
    if outcome.failure is not None:
        raise DeliveryError(f"Sentry at {server} did not take the test event: {outcome.failure}")
    return event_id


def _status(settings: Settings, _snapshot: Snapshot | None) -> Status:
    on = settings.backend_sentry.dsn is not None
    return Status(on, f"{key_of.BACKEND_SENTRY_DSN.path} is {'set' if on else 'not set'}")


def _build(context: Context) -> Components:
    sentry = BackendSentry(context)
    return Components(sinks=(sentry,), on_error=sentry.capture, on_ping=sentry.check_in)


def _destinations(settings: Settings) -> tuple[Destination, ...]:
    dsn = settings.backend_sentry.dsn
    return () if dsn is None else (Destination(dsn),)


OUTPUT = Output(
    name=NAME,
    title="Backend Sentry",
    document="sentry",
    content="errors of the bridge, scrubbed of secrets",
    receiver="the Sentry of your dsn",
    key=key_of.BACKEND_SENTRY_DSN.path,
    example="https://key@sentry.example.com/1",
    stop=f"leave `{key_of.BACKEND_SENTRY_DSN.path}` out",
    fix=f"Check `{key_of.BACKEND_SENTRY_DSN.path}`. `ff-observe sentry test` sends an event at once.",
    status=_status,
    build=_build,
    destinations=_destinations,
)
