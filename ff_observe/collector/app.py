"""The collector's routes. Pings go to `PingReceiver`; other answers are rendered beforehand or off the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from ff_observe.catalogue.ping_contract import PATH
from ff_observe.collector.metrics import CollectorMetrics
from ff_observe.collector.openapi import document
from ff_observe.collector.pages.public import CONTENT_SECURITY_POLICY
from ff_observe.collector.publication import HISTORY_PATH, INDEX_PATH, Archive, Release
from ff_observe.collector.receiving.answers import error, json_answer
from ff_observe.collector.receiving.receiver import PingReceiver
from ff_observe.exposition.rendered import Rendered
from ff_observe.http.exchange import Exchange
from ff_observe.http.messages import ICON, ICON_PATH, Answer, Scope, answer, text

Ready = Callable[[], Awaitable[bool]]

METRICS_PATH = "/metrics"
READY_PATH = "/-/ready"
PUBLIC_PATHS = ("/", "/fleet.json", INDEX_PATH, HISTORY_PATH)
PING_REQUESTS = frozenset((("POST", PATH), ("POST", "/")))

_READING = ("GET", "HEAD")
_HEALTHY = text(200, "the collector is running")
_READY = text(200, "pings are being stored")
_NOT_READY = text(503, "pings cannot be stored")
_NOT_FOUND = error(404, "Not Found")
_NOT_ALLOWED = error(405, "Method Not Allowed", (b"allow", b"GET, HEAD"))
_NOT_COUNTED = error(503, "the fleet has not been counted yet", (b"retry-after", b"10"))
_PING_ONLY = error(405, "a ping is sent with POST", (b"allow", b"POST"))
_PING_OR_PAGE = error(405, "a ping is sent with POST", (b"allow", b"GET, HEAD, POST"))
_CACHED = "public, max-age=60"
_NEVER_CHANGES = "public, max-age=86400, immutable"


class CollectorApp:
    """See `Handler`. With `public`, `/` is a page about the fleet, `/fleet.json` the same as data,
    `/releases/DAY.json` what it was on a day, and `/history.json` all of these as columns."""

    def __init__(self, receiver: PingReceiver, metrics: CollectorMetrics, ready: Ready, *, public: bool) -> None:
        self._receiver = receiver
        self._ready = ready
        self._metrics = metrics
        self._scraping = asyncio.Lock()
        self._next_scrape: Rendered | None = None
        self._fixed = {
            "/-/healthy": _HEALTHY,
            "/openapi.json": json_answer(200, document()),
            ICON_PATH: ICON,
            **(dict.fromkeys(PUBLIC_PATHS, _NOT_COUNTED) if public else {}),
        }
        self._public = public
        self._archive = Archive()

    def publish(self, release: Release) -> None:
        """Show this release from now on. Called from the thread that counts the fleet."""
        policy = (b"content-security-policy", CONTENT_SECURITY_POLICY.encode("ascii"))
        page = answer(200, "text/html; charset=utf-8", release.page, policy, cache=_CACHED)
        documents = (
            answer(200, "application/json", content, cache=_CACHED)
            for content in (release.data, release.index, release.history)
        )
        self._archive = release.archive
        self._fixed = {**self._fixed, **dict(zip(PUBLIC_PATHS, (page, *documents), strict=True))}

    def handle(self, exchange: Exchange) -> None:
        method, path = exchange.scope["method"], exchange.scope["path"]
        if (method, path) in PING_REQUESTS:
            self._receiver.handle(exchange)
        elif (found := self._answer_now(method, path)) is not None:
            exchange.respond(found)
        else:
            exchange.run(partial(self._answer, exchange))

    def _answer_now(self, method: str, path: str) -> Answer | None:
        """Everything but requests that ask the store or need rendering."""
        fixed = self._fixed.get(path) or self._archived(path)
        if method in _READING and (fixed is not None or path in (METRICS_PATH, READY_PATH)):
            return fixed
        if path in (PATH, "/"):
            return _PING_OR_PAGE if self._public and path == "/" else _PING_ONLY
        return _NOT_FOUND if fixed is None and path not in (METRICS_PATH, READY_PATH) else _NOT_ALLOWED

    def _archived(self, path: str) -> Answer | None:
        content = self._archive.find(path)
        if content is None:
            return None
        kind = "application/json" if path.endswith(".json") else "text/plain; charset=utf-8"
        return answer(200, kind, content, cache=_NEVER_CHANGES)

    def stop_waiting(self) -> None:
        """Nothing waits longer than the store takes: `Ingest` answers the requests that would delay the stop."""

    async def _answer(self, exchange: Exchange) -> None:
        exchange.respond(
            await (self._scrape(exchange.scope) if exchange.scope["path"] == METRICS_PATH else self._readiness())
        )

    async def _scrape(self, scope: Scope) -> Answer:
        """The metrics at some moment after the call, rendered off the event loop, which must stay free for pings. One
        exposition is rendered at a time; scrapes that arrive meanwhile share the next."""
        accept, accept_encoding = (
            b",".join(value for name, value in scope["headers"] if name == wanted)
            for wanted in (b"accept", b"accept-encoding")
        )
        if self._next_scrape is None:
            self._next_scrape = Rendered(self._metrics.exposition)
        shared = self._next_scrape
        async with self._scraping:
            if self._next_scrape is shared:
                self._next_scrape = None  # later requests want newer values
            return await asyncio.to_thread(shared.answer, accept, accept_encoding)

    async def _readiness(self) -> Answer:
        return _READY if await self._ready() else _NOT_READY
