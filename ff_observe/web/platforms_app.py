"""The application for several platforms: each below `/platforms/NAME/`, a list of all, and Prometheus' targets."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, quote

from ff_observe.catalogue import PROCESS
from ff_observe.catalogue import bridge as names
from ff_observe.exposition.rendered import Rendered
from ff_observe.http.application import Application
from ff_observe.http.exchange import settle, settle_from_thread
from ff_observe.http.messages import ICON, ICON_PATH, Answer, Scope, answer, text
from ff_observe.lifecycle.workers import Workers
from ff_observe.outputs.prometheus import render_readings
from ff_observe.system.clock import Clock
from ff_observe.telemetry.platform_context import working_for
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.web.app import (
    HEALTHY,
    PAGE_TIMEOUT_SECONDS,
    READY_TIMEOUT_SECONDS,
    not_allowed,
    path_below_mount,
    scrape_headers,
)
from ff_observe.web.local import HEALTHY_PATH, READY_PATH
from ff_observe.web.platforms_page import PlatformsPage, Row, ServedPlatform, unusable
from ff_observe.web.status_page import ASSETS

METRICS_PATH: Final = "/metrics"
TARGETS_PATH: Final = "/-/targets"
PROBE_PATH: Final = "/probe"
BELOW: Final = "/platforms/"
RECENT: Final = timedelta(seconds=60)
"""A snapshot that is no older is shown in the list without another being taken."""

_OF_THE_PROCESS: Final = (names.BUILD_INFO, names.PLATFORMS, *PROCESS)
_PATHS: Final = ("/", METRICS_PATH, TARGETS_PATH, PROBE_PATH, HEALTHY_PATH, READY_PATH)
_UNKNOWN = text(404, "There is no platform of this name: / lists those that there are.")
_NOT_FOUND = text(404, f"Nothing here. There is {', '.join(_PATHS)} and {BELOW}NAME/.")
_FIXED: Final = {HEALTHY_PATH: HEALTHY, ICON_PATH: ICON, **ASSETS}
_UNUSABLE = text(503, "The configuration of this platform cannot be used: its page says why.")
_NO_TARGET = text(400, f"Name one platform: {PROBE_PATH}?target=NAME")


class PlatformsApp(Application):
    """Serves what `serve` was last given."""

    def __init__(self, clock: Clock, workers: Workers) -> None:
        self._clock = clock
        self._workers = workers
        self._platforms: Mapping[str, ServedPlatform] = {}
        self._page = PlatformsPage()
        self._process = SelfMetrics((names.BUILD_INFO, names.PLATFORMS))
        self._process.process_started()
        self._waiting: set[asyncio.Future[object]] = set()

    def serve(self, platforms: Iterable[ServedPlatform]) -> None:
        """Serve these from the next request on."""
        self._platforms = {platform.name: platform for platform in platforms}

    def answer_now(self, scope: Scope) -> Answer | None:
        found = self._find(scope, path_below_mount(scope))
        if isinstance(found, tuple):
            app, below = found
            return app.answer_now(below)
        return found

    async def answer(self, scope: Scope) -> Answer:
        path = path_below_mount(scope)
        found = self._find(scope, path)
        if isinstance(found, tuple):
            app, below = found
            return await app.answer(below)
        return found or await self._answer(scope, path)

    def stop_waiting(self) -> None:
        for taken in self._waiting:
            settle(taken, None)
        for platform in self._platforms.values():
            if platform.running is not None:
                platform.running.app.stop_waiting()

    def _find(self, scope: Scope, path: str) -> Answer | tuple[Application, dict[str, Any]] | None:
        """The answer; of a platform, the application that gives it and the request as it is for that; None if it has to
        be made."""
        if path == PROBE_PATH:
            targets = parse_qs(scope.get("query_string", b"").decode("utf-8", "replace")).get("target", [])
            if len(targets) != 1:
                return _NO_TARGET
            name, slash, rest = targets[0], "/", None
        elif path.startswith(BELOW):
            name, slash, rest = path.removeprefix(BELOW).partition("/")
        elif path in _FIXED or path in _PATHS:
            return not_allowed(scope) or _FIXED.get(path)
        else:
            return _NOT_FOUND
        platform = self._platforms.get(name)
        if platform is None:
            return _UNKNOWN
        if not slash:
            return not_allowed(scope) or text(308, "Moved.", (b"location", f"{quote(name)}/".encode()))
        if platform.running is None:
            return not_allowed(scope) or (unusable(platform) if rest == "" else _UNUSABLE)
        path = platform.running.settings.prometheus.path if rest is None else f"/{rest}"
        # Without a root path: the links of a platform's page are relative, and hold wherever it is mounted.
        return platform.running.app, {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}

    async def _answer(self, scope: Scope, path: str) -> Answer:
        if path == METRICS_PATH:
            return self._metrics(scope)
        if path == TARGETS_PATH:
            return self._targets(scope)
        if path == READY_PATH:
            await self._read_all(READY_TIMEOUT_SECONDS)
            return self._ready()
        await self._read_all(PAGE_TIMEOUT_SECONDS)
        root = scope.get("root_path", "") or "."  # as the status page has it
        return await self._in_worker(lambda: self._page.answer(self._rows(), self._clock.now(), root))

    def _targets(self, scope: Scope) -> Answer:
        """Prometheus' `http_sd_configs` (prometheus.io/docs/prometheus/latest/http_sd). The address is the one by which
        Prometheus found this very page."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        root = scope.get("root_path", "")
        groups = []
        for platform in self._platforms.values():
            prometheus = platform.running.settings.prometheus if platform.running is not None else None
            if prometheus is None or prometheus.enabled:
                path = METRICS_PATH if prometheus is None else prometheus.path
                labels = {
                    **platform.labels,
                    "__metrics_path__": f"{root}{BELOW}{platform.name}{path}",
                    "platform": platform.name,
                    "instance": platform.name,
                }
                groups.append({"targets": [host], "labels": labels})
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
        loop, now = asyncio.get_running_loop(), self._clock.now()
        waiting: set[asyncio.Future[object]] = set()
        for platform in self._platforms.values():
            latest = platform.latest
            if platform.running is None or (latest is not None and now - latest.taken_at < RECENT):
                continue
            taken: asyncio.Future[object] = loop.create_future()
            waiting.add(taken)
            with working_for(platform.name):
                platform.running.snapshots.request().add_done_callback(partial(settle_from_thread, taken))
        if not waiting:
            return
        self._waiting |= waiting
        try:
            await asyncio.wait(waiting, timeout=timeout_seconds)
        finally:
            self._waiting -= waiting

    async def _in_worker(self, make: Callable[[], Answer]) -> Answer:
        """`make` takes a while for hundreds of platforms: meanwhile others are answered."""
        made: asyncio.Future[Answer | Exception] = asyncio.get_running_loop().create_future()

        def job() -> None:
            try:
                outcome: Answer | Exception = make()
            except Exception as error:
                outcome = error
            settle_from_thread(made, outcome)

        if not self._workers.submit("platforms page", job, first=True):
            raise RuntimeError("there is no thread to make the page in")
        outcome = await made
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
