"""The application of the bridge: status, `/metrics` and probes by exact path, without a framework."""

import time
from collections.abc import Awaitable, Callable
from functools import partial

from ff_observe.config.settings import PrometheusSettings
from ff_observe.exposition.rendered import Rendered
from ff_observe.http.application import Application
from ff_observe.http.messages import ICON, ICON_PATH, Answer, Scope, text
from ff_observe.outputs.prometheus import Renderer
from ff_observe.platform.snapshot import Snapshot
from ff_observe.telemetry import tracing
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.web.documents import document
from ff_observe.web.local import HEALTHY_PATH, READY_PATH
from ff_observe.web.shared_snapshot import SharedSnapshot, SnapshotProvider
from ff_observe.web.status import further
from ff_observe.web.status_page import ASSETS, STATUS_PATH, StatusPage

DEFAULT_SCRAPE_TIMEOUT_SECONDS = 10.0  # Prometheus' own default
LONGEST_SCRAPE_TIMEOUT_SECONDS = 120.0
PAGE_TIMEOUT_SECONDS = 2.0
READY_TIMEOUT_SECONDS = 5.0

_METRICS_OFF = text(
    404,
    "Metrics are off. To turn them on, set telemetry.backend.prometheus.bridge_enabled: true in flowforge.yml, or "
    "enabled: true there, which opens FlowFuse's own /metrics too.",
)
_NOT_ALLOWED = text(405, "Only GET and HEAD are answered here.", (b"allow", b"GET, HEAD"))
HEALTHY = text(200, "ff-observe is healthy.")
_READY = text(200, "ff-observe is ready: the platform's database answers.")
_NOT_READY = text(503, "ff-observe is not ready: the platform's database does not answer.")

Page = Callable[[Scope], Awaitable[Answer]]


class BridgeApp(Application):
    """Its dependencies are passed in; it starts nothing by itself."""

    def __init__(
        self,
        snapshots: SnapshotProvider,
        self_metrics: SelfMetrics,
        settings: PrometheusSettings,
        status_page: StatusPage,
    ) -> None:
        self._snapshot = SharedSnapshot(snapshots)
        self._exposition = SnapshotExposition(self_metrics)
        self._metrics_path = settings.path
        self._status_page = status_page
        self._fixed: dict[str, Answer] = {HEALTHY_PATH: HEALTHY, ICON_PATH: ICON, **ASSETS}
        self._pages: dict[str, Page] = {
            "/": self._status,
            STATUS_PATH: self._status,
            READY_PATH: self._ready,
        }
        if further.documents():
            names = ("", *further.documents(), *further.drawings())
            self._pages |= {f"{further.PATH}/{name}": self._document for name in names}
        if settings.enabled:
            self._pages[settings.path] = self._scrape
        else:
            self._fixed[settings.path] = _METRICS_OFF
        self._not_found = text(
            404, f"Nothing here. There is /, {settings.path}, {STATUS_PATH}, {HEALTHY_PATH} and {READY_PATH}."
        )

    async def answer(self, scope: Scope) -> Answer:
        return self._fixed_answer(scope) or await self._pages[path_below_mount(scope)](scope)

    def answer_now(self, scope: Scope) -> Answer | None:
        fixed = self._fixed_answer(scope)
        if fixed is not None or scope["path"] != self._metrics_path or tracing.is_on():
            return fixed  # a span needs a task to hold it
        snapshot = self._snapshot.fresh()
        if snapshot is None:
            return None
        accept, accept_encoding, _ = scrape_headers(scope)
        return self._exposition.answer(snapshot, accept, accept_encoding)

    def stop_waiting(self) -> None:
        self._snapshot.stop_waiting()

    def _fixed_answer(self, scope: Scope) -> Answer | None:
        """The answer that depends on nothing but the request; None if a page has to be rendered."""
        path = path_below_mount(scope)
        fixed = self._fixed.get(path)
        if fixed is None and path not in self._pages:
            return self._not_found
        return not_allowed(scope) or fixed

    async def _scrape(self, scope: Scope) -> Answer:
        if not tracing.is_on():  # scrapes are answered thousands of times a second
            return await self._scraped(scope)
        method, path = scope["method"], self._metrics_path
        scheme = scope.get("scheme", "http")
        attributes = {"http__request__method": method, "http__route": path, "url__path": path, "url__scheme": scheme}
        with tracing.span(f"{method} {path}", "server", **attributes) as span:
            answer = await self._scraped(scope)
            span.set_attribute("http.response.status_code", answer.status)
            return answer

    async def _scraped(self, scope: Scope) -> Answer:
        accept, accept_encoding, timeout = scrape_headers(scope)
        snapshot = self._snapshot.fresh() or await self._snapshot.current(answer_within_seconds(timeout))
        return self._exposition.answer(snapshot, accept, accept_encoding)

    @property
    def scrapes_answered(self) -> int:
        return self._exposition.answered

    async def _status(self, scope: Scope) -> Answer:
        snapshot = self._snapshot.fresh() or await self._snapshot.current(PAGE_TIMEOUT_SECONDS)
        return self._status_page.answer(
            path_below_mount(scope), snapshot, scope.get("root_path", ""), self._exposition.seconds_since_asked
        )

    async def _document(self, scope: Scope) -> Answer:
        return document(path_below_mount(scope).removeprefix(f"{further.PATH}/"))

    async def _ready(self, _scope: Scope) -> Answer:
        snapshot = self._snapshot.fresh() or await self._snapshot.current(READY_TIMEOUT_SECONDS)
        return _READY if snapshot.up else _NOT_READY


def not_allowed(scope: Scope) -> Answer | None:
    """The answer to a method that nothing here answers."""
    return None if scope["method"] in ("GET", "HEAD") else _NOT_ALLOWED


def answer_within_seconds(scrape_timeout: bytes) -> float:
    """How long a scrape may wait for the database, by the header in which Prometheus announces its own timeout.

    Half a second is reserved for the response, as in other exporters; of a timeout below a second, half of it.
    """
    try:
        seconds = float(scrape_timeout)
    except ValueError:
        seconds = DEFAULT_SCRAPE_TIMEOUT_SECONDS
    if not 0.0 < seconds <= LONGEST_SCRAPE_TIMEOUT_SECONDS:  # also if it is NaN
        seconds = DEFAULT_SCRAPE_TIMEOUT_SECONDS
    return max(seconds - 0.5, seconds / 2)


def path_below_mount(scope: Scope) -> str:
    """The path below the application's mount point (ASGI: `path` includes `root_path`)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) or "/" if root else path


def scrape_headers(scope: Scope) -> tuple[bytes, bytes, bytes]:
    """`Accept`, `Accept-Encoding` and the timeout that Prometheus announces, each empty if absent."""
    accept = accept_encoding = timeout = b""
    for name, value in scope["headers"]:
        if name == b"accept":
            accept = accept + b"," + value if accept else value
        elif name == b"accept-encoding":
            accept_encoding = accept_encoding + b"," + value if accept_encoding else value
        elif name == b"x-prometheus-scrape-timeout-seconds":
            timeout = value
    return accept, accept_encoding, timeout


class SnapshotExposition:
    """For one thread (that of the event loop)."""

    def __init__(self, self_metrics: SelfMetrics) -> None:
        self._self_metrics = self_metrics
        self._snapshot: Snapshot | None = None
        self._version = 0
        self._renderer = Renderer()
        self._rendered: Rendered | None = None
        self.answered = 0
        """How many requests, to see whether there are any."""
        self._asked_at: float | None = None

    @property
    def seconds_since_asked(self) -> float | None:
        """How long ago it was last asked for; None where it never was."""
        return None if self._asked_at is None else time.monotonic() - self._asked_at

    def answer(self, snapshot: Snapshot, accept: bytes, accept_encoding: bytes) -> Answer:
        """The exposition of `snapshot` that the two headers ask for (empty where a request has none)."""
        self.answered += 1
        if self._rendered is None or snapshot is not self._snapshot or self._self_metrics.version != self._version:
            self._version = self._self_metrics.version  # read before the values: newer ones are rendered again
            self._rendered = Rendered(partial(self._renderer.render, snapshot, self._self_metrics.readings()))
            self._snapshot = snapshot
        self._asked_at = time.monotonic()
        return self._rendered.answer(accept, accept_encoding)
