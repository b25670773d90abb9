"""The ASGI application for several platforms: each below `/platforms/NAME/`, a list of all, and Prometheus' targets."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, quote

from ff_observe.catalogue import PROCESS
from ff_observe.catalogue import bridge as names
from ff_observe.clock import Clock
from ff_observe.config.settings import Settings
from ff_observe.exposition.rendered import Rendered
from ff_observe.http.messages import ICON, ICON_PATH, Answer, Application, Receive, Scope, Send, answer, text
from ff_observe.outputs.prometheus import render_readings
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform_context import working_for
from ff_observe.self_metrics import SelfMetrics
from ff_observe.web.app import (
    PAGE_TIMEOUT_SECONDS,
    READY_TIMEOUT_SECONDS,
    other_protocol,
    path_below_mount,
    scrape_headers,
)
from ff_observe.web.platforms_page import PlatformsPage, Row
from ff_observe.web.status_page import HEALTHY_PATH, READY_PATH
from ff_observe.workers import Workers

METRICS_PATH: Final = "/metrics"
TARGETS_PATH: Final = "/-/targets"
PROBE_PATH: Final = "/probe"
BELOW: Final = "/platforms/"
RECENT: Final = timedelta(seconds=60)
"""A snapshot that is no older is shown in the list without another being taken."""

_OF_THE_PROCESS: Final = (names.BUILD_INFO, names.PLATFORMS, *PROCESS)
_PATHS: Final = ("/", METRICS_PATH, TARGETS_PATH, PROBE_PATH, HEALTHY_PATH, READY_PATH)
_HEALTHY = text(200, "ff-observe is healthy.")
_UNKNOWN = text(404, "There is no platform of this name: / lists those that there are.")
_NOT_FOUND = text(404, f"Nothing here. There is {', '.join(_PATHS)} and {BELOW}NAME/.")
_NOT_ALLOWED = text(405, "Only GET and HEAD are answered here.", (b"allow", b"GET, HEAD"))
_NO_TARGET = text(400, f"Name one platform: {PROBE_PATH}?target=NAME")


@dataclass(frozen=True, slots=True)
class ServedPlatform:
    """One of the platforms. `app` and what follows are None where its settings cannot be used: `problems` says why."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()
    app: Application | None = None
    settings: Callable[[], Settings] | None = None
    snapshots: Callable[[], Snapshots] | None = None
    self_metrics: SelfMetrics | None = None

    @property
    def latest(self) -> Snapshot | None:
        """Its latest snapshot, however old."""
        return self.snapshots().latest if self.snapshots is not None else None


class PlatformsApp:
    """See `Application`. Serves what `serve` was last given."""

    def __init__(self, clock: Clock, workers: Workers) -> None:
        self._clock = clock
        self._workers = workers
        self._platforms: Mapping[str, ServedPlatform] = {}
        self._page = PlatformsPage()
        self._process = SelfMetrics((names.BUILD_INFO, names.PLATFORMS))
        self._process.process_started()
        self._waiting: set[asyncio.Event] = set()

    def serve(self, platforms: Iterable[ServedPlatform]) -> None:
        """Serve these from the next request on."""
        self._platforms = {platform.name: platform for platform in platforms}

    def answer_now(self, scope: Scope) -> Answer | None:
        """See `Application.answer_now`."""
        path = path_below_mount(scope)
        if path == HEALTHY_PATH:
            return self._allowed(scope) or _HEALTHY
        if path == ICON_PATH:
            return self._allowed(scope) or ICON
        found = self._find(scope, path)
        if isinstance(found, Answer):
            return found
        if found is not None:
            app, below = found
            return app.answer_now(below)
        return self._allowed(scope) if path in _PATHS else _NOT_FOUND

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await other_protocol(scope, receive, send)
            return
        path = path_below_mount(scope)
        found = self._find(scope, path)
        if found is not None and not isinstance(found, Answer):
            app, below = found
            await app(below, receive, send)
            return
        given = found or self.answer_now(scope) or await self._answer(scope, path)
        await given.send(scope, send)

    def stop_waiting(self) -> None:
        """See `BridgeApp.stop_waiting`."""
        for event in self._waiting:
            event.set()
        for platform in self._platforms.values():
            if platform.app is not None:
                platform.app.stop_waiting()

    def _find(self, scope: Scope, path: str) -> Answer | tuple[Application, dict[str, Any]] | None:
        """The application that answers `path` and the request as it is for that; None where it is no platform's."""
        if path == PROBE_PATH:
            targets = parse_qs(scope.get("query_string", b"").decode("utf-8", "replace")).get("target", [])
            if len(targets) != 1:
                return _NO_TARGET
            name, slash, rest = targets[0], "/", None
        elif path.startswith(BELOW):
            name, slash, rest = path.removeprefix(BELOW).partition("/")
        else:
            return None
        platform = self._platforms.get(name)
        if platform is None:
            return _UNKNOWN
        if not slash:
            return self._allowed(scope) or text(308, "Moved.", (b"location", f"{quote(name)}/".encode()))
        if platform.app is None or platform.settings is None:
            return self._allowed(scope) or self._unusable(platform, rest)
        path = platform.settings().prometheus.path if rest is None else f"/{rest}"
        # Without a root path: the links of a platform's page are relative, and hold wherever it is mounted.
        return platform.app, {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}

    def _unusable(self, platform: ServedPlatform, rest: str | None) -> Answer:
        if rest == "":
            return self._page.unusable(platform.name, platform.problems)
        return text(503, "The configuration of this platform cannot be used: its page says why.")

    @staticmethod
    def _allowed(scope: Scope) -> Answer | None:
        return None if scope["method"] in ("GET", "HEAD") else _NOT_ALLOWED

    async def _answer(self, scope: Scope, path: str) -> Answer:
        if path == METRICS_PATH:
            return self._metrics(scope)
        if path == TARGETS_PATH:
            return self._targets(scope)
        if path == READY_PATH:
            await self._read_all(READY_TIMEOUT_SECONDS)
            return self._ready()
        await self._read_all(PAGE_TIMEOUT_SECONDS)
        return await self._in_worker(lambda: self._page.answer(self._rows(), self._clock.now()))

    def _targets(self, scope: Scope) -> Answer:
        """Prometheus' `http_sd_configs` (prometheus.io/docs/prometheus/latest/http_sd). The address is the one by which
        Prometheus found this very page."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        root = scope.get("root_path", "")
        groups = [
            {
                "targets": [host],
                "labels": {
                    **platform.labels,
                    "__metrics_path__": f"{root}{BELOW}{platform.name}{_metrics_path(platform)}",
                    "platform": platform.name,
                    "instance": platform.name,
                },
            }
            for platform in self._platforms.values()
            if platform.settings is None or platform.settings().prometheus.enabled
        ]
        return answer(200, "application/json", json.dumps(groups).encode())

    def _metrics(self, scope: Scope) -> Answer:
        states = [row.state for row in self._rows()]
        self._process.replace(
            names.PLATFORMS, {(state,): states.count(state) for state in names.PLATFORMS.label_values}
        )
        accept, accept_encoding, _ = scrape_headers(scope)
        readings = self._process.readings()
        return Rendered(lambda form: render_readings(readings, _OF_THE_PROCESS, form)).answer(accept, accept_encoding)

    def _ready(self) -> Answer:
        up = sum((latest := platform.latest) is not None and latest.up for platform in self._platforms.values())
        words = f"{up} of {len(self._platforms)} platforms' databases answer."
        return text(200, f"ff-observe is ready: {words}") if up else text(503, f"ff-observe is not ready: {words}")

    def _rows(self) -> list[Row]:
        return [self._page.row(platform) for platform in self._platforms.values()]

    async def _read_all(self, timeout_seconds: float) -> None:
        """Have a snapshot taken of each platform of which there is none of the last minute, and wait for them."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        left = 0

        def taken(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server stopped
                loop.call_soon_threadsafe(count)

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                done.set()

        now = self._clock.now()
        for platform in self._platforms.values():
            latest = platform.latest
            if platform.snapshots is None or (latest is not None and now - latest.taken_at < RECENT):
                continue
            left += 1
            with working_for(platform.name):
                platform.snapshots().request().add_done_callback(taken)
        if not left:
            return
        self._waiting.add(done)
        try:
            await asyncio.wait_for(done.wait(), timeout_seconds)
        except TimeoutError:
            return
        finally:
            self._waiting.discard(done)

    async def _in_worker(self, make: Callable[[], Answer]) -> Answer:
        """`make` takes a while for hundreds of platforms: meanwhile others are answered."""
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Answer] = loop.create_future()

        def settle(outcome: Answer | Exception) -> None:
            if made.done():
                return
            if isinstance(outcome, Exception):
                made.set_exception(outcome)
            else:
                made.set_result(outcome)

        def job() -> None:
            try:
                outcome: Answer | Exception = make()
            except Exception as error:
                outcome = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server stopped
                loop.call_soon_threadsafe(settle, outcome)

        if not self._workers.submit("platforms page", job, first=True):
            raise RuntimeError("there is no thread to make the page in")
        return await made


def _metrics_path(platform: ServedPlatform) -> str:
    return platform.settings().prometheus.path if platform.settings is not None else METRICS_PATH
