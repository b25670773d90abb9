"""The collector's routes. Pings go straight to `PingReceiver`; everything else is rare and goes through Starlette."""

import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ff_observe.ping_collector.discretion import without_values
from ff_observe.ping_collector.metrics import CollectorMetrics
from ff_observe.ping_collector.openapi import document
from ff_observe.ping_collector.page import CONTENT_SECURITY_POLICY
from ff_observe.ping_collector.publication import Publication, Release
from ff_observe.ping_collector.responses import Receive, Scope, Send
from ff_observe.ping_contract import PATH

log = logging.getLogger(__name__)

App = Callable[[Scope, Receive, Send], Awaitable[None]]
Ready = Callable[[], Awaitable[bool]]


class CollectorApp:
    """The ASGI application. With a publication, `/` is a page about the fleet and `/fleet.json` the same as data."""

    def __init__(self, receiver: App, metrics: CollectorMetrics, ready: Ready, publication: Publication | None) -> None:
        self._receiver = receiver
        self._others = _other_routes(metrics, ready, publication)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in (PATH, "/"):
            return self._receiver(scope, receive, send)
        return self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._others(scope, receive, send)
        except Exception as error:
            log.error("a request could not be answered: %s", without_values(error))  # noqa: TRY400 - its text must not be logged
            raise  # uvicorn, whose log is silent here, answers 500


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"status": "error", "error": message}, status, headers)


def _other_routes(metrics: CollectorMetrics, ready: Ready, publication: Publication | None) -> Starlette:
    async def exposition(request: Request) -> Response:
        compress = "gzip" in request.headers.get("accept-encoding", "")
        body, content_type = metrics.exposition(request.headers.get("accept", ""), compress=compress)
        headers = {"content-type": content_type, "vary": "accept, accept-encoding"}
        return Response(body, headers=headers | ({"content-encoding": "gzip"} if compress else {}))

    async def healthy(_request: Request) -> Response:
        return PlainTextResponse("the collector is running\n")

    async def is_ready(_request: Request) -> Response:
        if await ready():
            return PlainTextResponse("pings are being stored\n")
        return PlainTextResponse("pings cannot be stored\n", 503)

    async def openapi(_request: Request) -> Response:
        return JSONResponse(document())

    async def page(_request: Request) -> Response:
        headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "cache-control": "public, max-age=60"}
        return HTMLResponse(_current(publication).page, headers=headers)

    async def data(_request: Request) -> Response:
        headers = {"cache-control": "public, max-age=60"}
        return Response(_current(publication).data, media_type="application/json", headers=headers)

    async def ping_only(request: Request) -> Response:
        allow = "GET, HEAD, POST" if publication and request.url.path == "/" else "POST"
        return _error(405, "a ping is sent with POST", {"allow": allow})

    async def told(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        return _error(error.status_code, error.detail, headers)

    reading, others = ["GET", "HEAD"], ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
    routes = [
        Route("/metrics", exposition),
        Route("/-/healthy", healthy),
        Route("/-/ready", is_ready),
        Route("/openapi.json", openapi),
        Route(PATH, ping_only, methods=[*reading, *others]),
    ]
    if publication:
        routes += [Route("/", page), Route("/fleet.json", data), Route("/", ping_only, methods=others)]
    else:
        routes += [Route("/", ping_only, methods=[*reading, *others])]
    app = Starlette(routes=routes, exception_handlers={HTTPException: told})
    app.router.redirect_slashes = False  # to wherever the sender's own Host says, and senders do not follow
    return app


def _current(publication: Publication | None) -> Release:
    if publication is None or publication.current is None:
        raise HTTPException(503, "the fleet has not been counted yet", {"retry-after": "10"})
    return publication.current
