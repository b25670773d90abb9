"""The Sentry SDK, configured so that only redacted error events and check-ins leave. Imports the SDK: load it only if
it is on.

Two safeguards decide what is sent: `before_send` redacts each event as the last step before it is encoded, and the
transport passes nothing but events and check-ins. The SDK cannot add data that it collects by itself (arguments, host
name, local variables, source lines, modules, a release of another project): every such option is set here.
"""

import contextlib
import logging
import platform
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import sentry_sdk
import urllib3
from sentry_sdk.consts import EndpointType
from sentry_sdk.crons import capture_checkin
from sentry_sdk.envelope import Envelope
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber
from sentry_sdk.transport import HttpTransport
from sentry_sdk.utils import BadDsn, Dsn, event_from_exception

from ff_observe.config import declaration as key_of
from ff_observe.config.kinds import DSN_FORM
from ff_observe.config.sentry_names import environment_name, release_name
from ff_observe.config.settings import Settings
from ff_observe.delivery.connection import Connections
from ff_observe.delivery.errors import unreached
from ff_observe.delivery.pools import make_pool
from ff_observe.delivery.urls import proxy_for
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.telemetry.log import Listener
from ff_observe.telemetry.platform_context import current_platform
from ff_observe.telemetry.redaction import Redactor
from ff_observe.version import VERSION

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint, MonitorConfig

SERVER_NAME = "ff-observe"
REQUEST_SECONDS = 10.0
_ABORT_SECONDS = 0.5  # far beyond what the SDK's thread needs to notice an abort
_MOST_ANSWERED = 65_536  # bytes that are read of an answer: Sentry's has about fifty
_MOST_LOG_LINES = 50
MAX_TEXT = 8192  # characters of one string; Sentry refuses events over 1 MiB

_SENT = frozenset({"event", "check_in"})
# "event_id" is for the SDK.
_CHECK_IN = ("type", "event_id", "check_in_id", "monitor_slug", "status", "environment", "monitor_config")
_MONITOR: "MonitorConfig" = {
    "schedule": {"type": "interval", "value": 1, "unit": "day"},
    # Minutes. A first ping may come early on its day and the second late on the next, and retries take hours.
    "checkin_margin": 1440,
    "failure_issue_threshold": 1,
    "recovery_threshold": 1,
}

_ADDITIONS = "ff_observe_additions"  # in the hint of an event that was admitted already

# Made by the SDK and free of foreign text; the environment is the operator's own.
_AS_IS = frozenset({"event_id", "timestamp", "platform", "level", "sdk", "environment", "server_name"})
_NEVER_SENT = frozenset({"user", "request", "modules", "release"})
_NEVER_SENT_OF_A_FRAME = ("abs_path", "vars", "pre_context", "context_line", "post_context")


class Deliveries(Protocol):
    """Notified of each event on its way to the server. Called from the SDK's thread."""

    def handed_over(self) -> None:
        """An event is about to be queued; `settled` follows when its outcome is known."""

    def settled(self, failure: str | None) -> None:
        """It arrived (None), or why it did not."""


Additions = Mapping[str, Mapping[str, Any]]
Admission = Callable[[Mapping[str, Any]], Additions | None]
"""An event as the SDK has it → what to add to it (its `tags`, its `contexts`), or None to drop it."""


def _checked_dsn(settings: Settings) -> str:
    """Raises `ConfigurationError`, without any part of the DSN, if the SDK would refuse it, or if its error would show
    it."""
    dsn = settings.backend_sentry.dsn
    if dsn is None:
        problem = "is not set, so Sentry is off: write the DSN of your Sentry project there"
    else:
        try:
            Dsn(dsn.reveal())
            return dsn.reveal()
        except BadDsn as error:
            # Its text may hold a part of the DSN after a colon or in brackets: only the first words are its own.
            why = str(error).split("(")[0].split(" '")[0].strip().lower()
        except ValueError:
            why = "the port or the host is malformed"
        problem = f"is not a Sentry DSN: {why}; write {DSN_FORM}"
    raise ConfigurationError((Problem(str(settings.file), 0, 0, key_of.BACKEND_SENTRY_DSN.path, problem),))


class SentryClient:
    """A client of the SDK for what is reported to it, with the bridge's latest log lines; of several platforms, those
    of one's work. A program's own use of the SDK (`sentry_sdk.init`) is left alone, and nothing of it is sent.

    `version` (FlowFuse's) is called for each event, and returns None if unknown. `admit` may add to an event, or drop
    it. No `SENTRY_*` variable is used. Raises `ConfigurationError`.
    """

    def __init__(
        self,
        settings: Settings,
        version: Callable[[], str | None],
        redactor: Redactor,
        deliveries: Deliveries,
        admit: Admission,
    ) -> None:
        class Transport(EventTransport):
            observer = deliveries
            cleaner = redactor

        def before_send(event: "Event", hint: "Hint") -> "Event | None":
            if event.get("type") == "check_in":
                return _only(event, _CHECK_IN)  # type: ignore[no-any-return]  # a dict of the same shape
            additions = hint[_ADDITIONS] if _ADDITIONS in hint else admit(event)
            if additions is None:
                return None
            cleaned = clean_event(event, release_name(version()), redactor)
            for part, values in additions.items():
                cleaned[part].update(values)
            return cleaned  # type: ignore[return-value]  # a dict of the same shape

        options: dict[str, Any] = dict(  # noqa: C408 - keywords, as the SDK documents them
            dsn=_checked_dsn(settings),
            environment=environment_name(settings.environment.name),
            release="",  # `clean_event` sets it; None would take SENTRY_RELEASE, or the revision of where we run
            server_name=SERVER_NAME,
            transport=Transport,
            before_send=before_send,
            # `send_default_pii` is not given: False is the default, and current SDKs warn if it is given.
            event_scrubber=EventScrubber(denylist=list(DEFAULT_DENYLIST), recursive=True),
            include_local_variables=False,
            include_source_context=False,
            max_value_length=sys.maxsize,  # SDKs that have a limit apply it before `before_send` can redact
            # Integrations add arguments, modules and outgoing URLs, or patch what is not ours.
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
            enable_backpressure_handling=False,
            spotlight=False,
            debug=False,
        )

        self._admit = admit
        self._monitor = settings.backend_sentry.monitor
        self._client = sentry_sdk.Client(**options)
        self._log_lines = _LogLines(current_platform())
        self._log_lines.listen()

    def capture_error(self, error: BaseException, tags: Mapping[str, str], *, handled: bool) -> None:
        """Report `error`; `handled` says whether its thread survived it."""
        event, hint = event_from_exception(
            error, client_options=self._client.options, mechanism={"type": "thread", "handled": handled}
        )
        event["tags"] = dict(tags)
        additions = self._admit(event)  # before the SDK's own work, which a failing loop would repeat in vain
        if additions is not None:
            self._capture(event, {**hint, _ADDITIONS: additions})

    def capture_message(self, message: str) -> str | None:
        """Report a text; returns the event's id."""
        return self._capture({"level": "info", "logentry": {"message": message}})

    def check_in(self, *, is_ok: bool) -> None:
        """Tell the monitor, where there is one, how its work ended."""
        if self._monitor is None:
            return
        with sentry_sdk.new_scope() as scope:
            scope.set_client(self._client)
            capture_checkin(self._monitor, status="ok" if is_ok else "error", monitor_config=_MONITOR)

    def close(self, timeout_seconds: float) -> None:
        """Send what is waiting for up to `timeout_seconds`, then end the SDK's thread."""
        self._log_lines.unlisten()
        self._client.close(timeout=max(0.0, timeout_seconds))

    def _capture(self, event: "Event", hint: "Hint | None" = None) -> str | None:
        event["breadcrumbs"] = {"values": list(self._log_lines.latest)}
        return self._client.capture_event(event, hint, _Scope())


class _Scope(sentry_sdk.Scope):
    """Without the event processors of a program that uses the SDK too, which would add to an event or drop it."""

    def run_event_processors(self, event: "Event", hint: "Hint") -> "Event":
        return event


class _LogLines(Listener):
    """The bridge's latest log lines as breadcrumbs; of one of several platforms, those of its work."""

    def __init__(self, platform: str | None) -> None:
        super().__init__(logging.INFO)
        self.latest: deque[dict[str, Any]] = deque(maxlen=_MOST_LOG_LINES)
        self.addFilter(lambda _record: current_platform() == platform)

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # arguments that do not fit their text: reported by the log's own handler
            self.latest.append(
                {
                    "type": "log",
                    "level": record.levelname.lower(),
                    "category": record.name,
                    "message": record.getMessage(),
                    "timestamp": datetime.fromtimestamp(record.created, UTC),
                }
            )


class EventTransport(HttpTransport):
    """The SDK's transport, reporting one outcome of each event.

    It follows no redirect (the key in the header would be sent along) and does not retry: the SDK's queue is small, and
    an error that matters recurs.
    """

    observer: Deliveries
    cleaner: Redactor

    def __init__(self, options: dict[str, Any]) -> None:
        self._connections = Connections()
        self._failure: str | None = None
        self._closed = False
        super().__init__(options)
        # The SDK leaves the brackets of an IPv6 address out.
        self._auth.host = urlsplit(options["dsn"]).netloc.rpartition("@")[2]

    def capture_envelope(self, envelope: Envelope) -> None:
        """Queue the events and check-ins of `envelope`; anything else (traces, sessions, attachments) is dropped."""
        # for sampling, which we do not use; contains a key that `before_send` has masked
        envelope.headers.pop("trace", None)
        envelope.items[:] = [item for item in envelope.items if item.type in _SENT]
        if envelope.items and not self._closed:
            self.observer.handed_over()
            super().capture_envelope(envelope)

    def kill(self) -> None:
        """Abort what is being sent, drop what waits and end the SDK's thread, which would send it all first."""
        self._closed = True
        self._connections.abort()
        self.flush(_ABORT_SECONDS)  # a full queue would not take the order to end
        super().kill()

    def on_dropped_event(self, reason: str) -> None:
        """Called by the SDK for most events that are lost; `_send_envelope` settles all that were queued."""
        if reason == "full_queue":
            self.observer.settled("too many events are waiting")

    def _make_pool(self) -> urllib3.PoolManager:
        """Replaces the SDK's pool, which does not authenticate to proxies and trusts other authorities. Not used: each
        request has a pool of its own, so that what is wrong with proxy or authorities is the outcome of an event."""
        return urllib3.PoolManager()

    def _send_envelope(self, envelope: Envelope) -> None:
        if self._closed:
            return
        self._failure = "it asked for a pause"  # unless there is a request
        try:
            super()._send_envelope(envelope)
        finally:
            if self._failure is None or not self._closed:
                self.observer.settled(self._failure)

    def _request(
        self, method: str, endpoint_type: EndpointType, body: Any, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        connection = self._connections.new()
        url = self._auth.get_api_url(endpoint_type)
        proxy = None
        try:
            proxy = proxy_for(url)
            with (
                connection.limited(REQUEST_SECONDS),
                make_pool(url, proxy, lambda: connection, urllib3.Timeout(REQUEST_SECONDS)) as pool,
            ):
                response = pool.request(
                    method,
                    url,
                    body=body,
                    headers={**headers, "Connection": "close"},  # an idle connection could not be aborted
                    retries=False,
                    redirect=False,
                    preload_content=False,
                )
                read = response.read(_MOST_ANSWERED, decode_content=False)
                response.close()
            if connection.is_aborted:  # http.client accepts headers cut short by our abort as complete
                raise TimeoutError
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self._failure = unreached(TimeoutError() if connection.is_aborted else error, proxy=proxy)
            raise
        self._failure = None
        if not 200 <= response.status < 300:
            explanation = self.cleaner.text(response.headers.get("X-Sentry-Error", ""))[:200]
            self._failure = f"it answered HTTP {response.status}" + (f" ({explanation})" if explanation else "")
        return urllib3.HTTPResponse(read, response.headers, response.status)  # the SDK would read on


def clean_event(event: Mapping[str, Any], release: str | None, redactor: Redactor) -> dict[str, Any]:
    """The event that leaves: redacted, shortened, without the parts that are never sent, with release and versions."""
    cleaned: dict[str, Any] = {}
    for key, value in event.items():
        if key in _AS_IS:
            cleaned[key] = value
        elif key not in _NEVER_SENT:
            cleaned[key] = _shorten(redactor.value(_without_source(value)))
    if release is not None:
        cleaned["release"] = release
    cleaned.setdefault("tags", {})["ff_observe"] = VERSION
    cleaned.setdefault("contexts", {})["runtime"] = {
        "type": "runtime",
        "name": platform.python_implementation(),
        "version": platform.python_version(),
    }
    return cleaned


def _only(event: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return {key: event[key] for key in keys if key in event}


def _without_source(value: Any) -> Any:
    """Stack frames keep module, function and line: with the release they locate the source. Paths may hold names."""
    if isinstance(value, list):
        return [_without_source(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "lineno" in value and "function" in value:
        frame = {key: item for key, item in value.items() if key not in _NEVER_SENT_OF_A_FRAME}
        if str(frame.get("filename", "")).startswith("/"):
            frame["filename"] = frame["filename"].rpartition("/")[2]
        return frame
    return {key: _without_source(item) for key, item in value.items()}


def _shorten(value: Any) -> Any:
    if isinstance(value, str):
        # Sentry refuses an event with half a surrogate pair, as Python reads a file name that is no UTF-8.
        value = value.encode(errors="replace").decode()
        return value if len(value) <= MAX_TEXT else value[: MAX_TEXT - 1] + "…"
    if isinstance(value, list):
        return [_shorten(item) for item in value]
    if isinstance(value, dict):
        return {key: _shorten(item) for key, item in value.items()}
    return value
