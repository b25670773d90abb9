"""The ASGI application of the bridge: landing page, `/metrics` and probes by exact path, without a framework."""

from collections.abc import Awaitable, Callable

from ff_observe import tracing
from ff_observe.config.settings import PrometheusSettings
from ff_observe.self_metrics import SelfMetrics
from ff_observe.web.messages import EMPTY_BODY, Answer, Receive, Scope, Send, text
from ff_observe.web.metrics_endpoint import MetricsEndpoint
from ff_observe.web.shared_snapshot import SharedSnapshot, SnapshotProvider
from ff_observe.web.status_page import HEALTHY_PATH, READY_PATH, StatusPage

DEFAULT_SCRAPE_TIMEOUT_SECONDS = 10.0  # Prometheus' own default
LONGEST_SCRAPE_TIMEOUT_SECONDS = 120.0
PAGE_TIMEOUT_SECONDS = 2.0
READY_TIMEOUT_SECONDS = 5.0

_METRICS_OFF = text(
    404,
    "Metrics are off. To turn them on, set telemetry.backend.prometheus.enabled: true in flowforge.yml, which opens "
    "FlowFuse's own /metrics too, or bridge_enabled: true there, which does not.",
)
_NOT_ALLOWED = text(405, "Only GET and HEAD are answered here.", (b"allow", b"GET, HEAD"))
_HEALTHY = text(200, "ff-observe is healthy.")
_READY = text(200, "ff-observe is ready: the platform's database answers.")
_NOT_READY = text(503, "ff-observe is not ready: the platform's database does not answer.")

Page = Callable[[Scope], Awaitable[Answer]]


class BridgeApp:
    """Call it as any ASGI application. What it needs of the world is handed in; it starts nothing by itself."""

    def __init__(
        self,
        snapshots: SnapshotProvider,
        self_metrics: SelfMetrics,
        settings: PrometheusSettings,
        status_page: StatusPage,
    ) -> None:
        self._snapshot = SharedSnapshot(snapshots)
        self._metrics = MetricsEndpoint(self_metrics)
        self._metrics_path = settings.path
        self._status_page = status_page
        self._pages: dict[str, Page] = {
            "/": self._landing_page,
            settings.path: self._scrape if settings.enabled else _always(_METRICS_OFF),
            HEALTHY_PATH: _always(_HEALTHY),
            READY_PATH: self._ready,
        }
        self._not_found = text(404, f"Nothing here. There is / and {', '.join([*self._pages][1:])}.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _other_protocol(scope, receive, send)
            return
        page = self._pages.get(path_below_mount(scope))
        if page is None:
            start, body = self._not_found
        elif scope["method"] not in ("GET", "HEAD"):
            start, body = _NOT_ALLOWED
        else:
            start, body = await page(scope)
        await send(start)
        await send(EMPTY_BODY if scope["method"] == "HEAD" else body)

    def stop_waiting(self) -> None:
        """Requests that wait for the database are answered now; the server stops. To be called on the event loop."""
        self._snapshot.stop_waiting()

    async def _scrape(self, scope: Scope) -> Answer:
        if not tracing.is_on():  # scrapes are answered thousands of times a second
            return await self._exposition(scope)
        method, path = scope["method"], self._metrics_path
        scheme = scope.get("scheme", "http")
        attributes = {"http__request__method": method, "http__route": path, "url__path": path, "url__scheme": scheme}
        with tracing.span(f"{method} {path}", "server", **attributes) as span:
            answer = await self._exposition(scope)
            span.set_attribute("http.response.status_code", answer[0]["status"])
            return answer

    async def _exposition(self, scope: Scope) -> Answer:
        accept = accept_encoding = b""
        timeout = b""
        for name, value in scope["headers"]:
            if name == b"accept":
                accept = accept + b"," + value if accept else value
            elif name == b"accept-encoding":
                accept_encoding = accept_encoding + b"," + value if accept_encoding else value
            elif name == b"x-prometheus-scrape-timeout-seconds":
                timeout = value
        snapshot = self._snapshot.fresh() or await self._snapshot.current(answer_within_seconds(timeout))
        return self._metrics.answer(snapshot, accept, accept_encoding)

    async def _landing_page(self, scope: Scope) -> Answer:
        snapshot = self._snapshot.fresh() or await self._snapshot.current(PAGE_TIMEOUT_SECONDS)
        return self._status_page.answer(snapshot, scope.get("root_path", ""))

    async def _ready(self, _scope: Scope) -> Answer:
        snapshot = self._snapshot.fresh() or await self._snapshot.current(READY_TIMEOUT_SECONDS)
        return _READY if snapshot.up else _NOT_READY


def answer_within_seconds(scrape_timeout: bytes) -> float:
    """How long a scrape may wait for the database, by the header in which Prometheus announces its own timeout.

    Half a second is kept for the way back, as other exporters do; of a timeout below a second, half of it.
    """
    try:
        seconds = float(scrape_timeout)
    except ValueError:
        seconds = DEFAULT_SCRAPE_TIMEOUT_SECONDS
    if not 0.0 < seconds <= LONGEST_SCRAPE_TIMEOUT_SECONDS:  # also not a number
        seconds = DEFAULT_SCRAPE_TIMEOUT_SECONDS
    return max(seconds - 0.5, seconds / 2)


def path_below_mount(scope: Scope) -> str:
    """The path below where the application is mounted (ASGI: `path` includes `root_path`)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) or "/" if root else path


def _always(fixed: Answer) -> Page:
    async def page(_scope: Scope) -> Answer:
        return fixed

    return page


async def _other_protocol(scope: Scope, receive: Receive, send: Send) -> None:
    """Lifespan (there is nothing to do, but servers ask) and WebSocket (not spoken here)."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
