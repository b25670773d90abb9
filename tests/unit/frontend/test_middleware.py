"""The middleware around real Starlette applications and, where the wire matters, around bare ASGI ones."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ff_observe.config.settings import FrontendSentrySettings, FrontendSettings, PlausibleSettings
from ff_observe.errors import ConfigurationError, UsageError
from ff_observe.frontend import FrontendTelemetryMiddleware, csp_sources, merge_csp, render_page, snippets
from ff_observe.frontend.middleware import NONCE_KEY, Message, Scope

SETTINGS = FrontendSettings(sentry=FrontendSentrySettings("https://key@sentry.test/1"))
SCRIPTS = snippets(SETTINGS, "test", "flowfuse@1")
PAGE = "<!doctype html><head><title>é</title></head><body>" + "text " * 1000 + "</body>"
RENDERED = render_page(PAGE.encode(), SCRIPTS)
NAVIGATION = {"accept": "text/html,application/xhtml+xml"}
POLICY = "default-src 'self'"


def wrapped(app: Any, **options: Any) -> FrontendTelemetryMiddleware:
    return FrontendTelemetryMiddleware(app, SETTINGS, "test", "flowfuse@1", **options)


def answering(response: Response, *middleware: Middleware) -> ASGIApp:
    async def answer(request: Request) -> Response:
        return response

    return Starlette(routes=[Route("/", answer, methods=["GET", "HEAD"])], middleware=middleware)


def ask(app: Any, method: str = "GET", headers: Mapping[str, str] | None = None) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://page.test") as client:
            return await client.request(method, "/", headers={"accept-encoding": "identity", **(headers or NAVIGATION)})

    return asyncio.run(go())


def messages_from(app: Any, scope: Scope) -> list[Message]:
    """What an application sends for a request."""
    out: list[Message] = []

    async def send(message: Message) -> None:
        out.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    asyncio.run(app(scope, receive, send))
    return out


def messages_of(app: Any, sent: list[Message], scope: Scope | None = None) -> list[Message]:
    """What comes out of the middleware around an application that sends `sent`."""

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        for message in sent:
            await send(message)

    return messages_from(app(application), scope or {"type": "http", "method": "GET", "headers": []})


def test_a_page_carries_the_snippets_and_its_right_length() -> None:
    response = ask(wrapped(answering(HTMLResponse(PAGE))))
    assert response.content == RENDERED
    assert response.headers["content-length"] == str(len(RENDERED))


@pytest.mark.parametrize(
    "response",
    [
        JSONResponse({"page": PAGE}),
        PlainTextResponse(PAGE),
        Response(PAGE.encode(), media_type="application/xhtml+xml"),
        Response(PAGE.encode()),
        HTMLResponse("<li>a fragment</li>"),
        HTMLResponse(""),
        HTMLResponse(PAGE, headers={"content-encoding": "br"}),
        HTMLResponse(PAGE, 206, headers={"content-range": "bytes 0-9/99"}),
        Response(status_code=304, headers={"content-type": "text/html", "etag": '"a"'}),
    ],
)
def test_what_is_no_page_stays_as_it_is(response: Response) -> None:
    response.headers["content-security-policy"] = POLICY
    plain, through = (ask(app) for app in (answering(response), wrapped(answering(response))))
    assert (through.status_code, through.content, through.headers) == (plain.status_code, plain.content, plain.headers)


def test_error_pages_are_pages() -> None:
    assert ask(wrapped(answering(HTMLResponse(PAGE, 404)))).content == RENDERED


def test_a_head_request_promises_no_length_it_cannot_know() -> None:
    response = HTMLResponse(PAGE, headers={"content-security-policy": POLICY})
    through = ask(wrapped(answering(response)), "HEAD")
    assert through.content == b""
    assert "content-length" not in through.headers
    assert "sentry.test" in through.headers["content-security-policy"]


@pytest.mark.parametrize("outside", [True, False])
def test_a_compressed_page_carries_them_too(outside: bool) -> None:
    compression = Middleware(GZipMiddleware, minimum_size=1)
    app: Any = wrapped(answering(HTMLResponse(PAGE), *([] if outside else [compression])))
    if outside:
        app = GZipMiddleware(app, minimum_size=1)
    response = ask(app, headers={**NAVIGATION, "accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert response.content == RENDERED


def test_a_page_of_several_gzip_members_comes_out_whole() -> None:
    halves = gzip.compress(PAGE[:700].encode()) + gzip.compress(PAGE[700:].encode())
    response = ask(wrapped(answering(HTMLResponse(halves, headers={"content-encoding": "gzip"}))))
    assert response.content == RENDERED


@pytest.mark.parametrize("compressed", [True, False])
def test_a_page_streams_after_its_head(compressed: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"<html><head>", b"</head><body>one ", b"two ", b"three"):
            yield piece

    async def application(scope: Any, receive: Any, send: Any) -> None:
        app: ASGIApp = StreamingResponse(pieces(), media_type="text/html")
        await (GZipMiddleware(app, minimum_size=1) if compressed else app)(scope, receive, send)

    headers = [(b"accept-encoding", b"gzip"), (b"accept", b"text/html")]
    scope = {"type": "http", "method": "GET", "headers": headers, "asgi": {"spec_version": "2.4"}}
    out = messages_from(wrapped(application), scope)
    assert out[0]["type"] == "http.response.start"
    bodies = [message["body"] for message in out[1:]]
    assert [message["more_body"] for message in out[1:]] == [True] * (len(bodies) - 1) + [False]
    whole = b"".join(bodies)
    page = b"<html><head></head><body>one two three"
    assert (gzip.decompress(whole) if compressed else whole) == render_page(page, SCRIPTS)
    if not compressed:
        assert bodies[1:3] == [b"two ", b"three"]


def test_policies_are_merged_each_of_them_and_their_kind_kept() -> None:
    response = HTMLResponse(PAGE, headers={"content-security-policy-report-only": "connect-src 'none'"})
    response.headers.append("content-security-policy", POLICY)
    response.headers.append("content-security-policy", "script-src 'self', img-src 'none'")
    sources = csp_sources(SETTINGS, SCRIPTS)
    headers = ask(wrapped(answering(response), policy="default-src 'none'")).headers
    assert headers.get_list("content-security-policy") == [
        merge_csp(POLICY, sources),
        merge_csp("script-src 'self', img-src 'none'", sources),
    ]
    assert headers["content-security-policy-report-only"] == "connect-src https://sentry.test"


def test_a_page_without_a_policy_gets_the_one_that_was_asked_for() -> None:
    assert "content-security-policy" not in ask(wrapped(answering(HTMLResponse(PAGE)))).headers
    headers = ask(wrapped(answering(HTMLResponse(PAGE)), policy=POLICY)).headers
    assert headers["content-security-policy"] == merge_csp(POLICY, csp_sources(SETTINGS, SCRIPTS))


def test_a_nonce_is_fresh_each_time_known_to_the_application_and_never_cached() -> None:
    known = []

    async def answer(request: Request) -> Response:
        known.append(request.scope[NONCE_KEY])
        caching = dict.fromkeys(("cache-control", "cdn-cache-control", "surrogate-control"), "public, max-age=60")
        return HTMLResponse(PAGE, headers={"content-security-policy": "script-src 'self'", **caching})

    app = wrapped(Starlette(routes=[Route("/", answer)]), nonce=True)
    responses = [ask(app), ask(app)]
    assert len(set(known)) == 2
    for nonce, response in zip(known, responses, strict=True):
        assert f'nonce="{nonce}"' in response.text
        assert response.headers["content-security-policy"].startswith(f"script-src 'self' 'nonce-{nonce}';")
        assert response.headers["cache-control"] == "no-store"
        assert not {"cdn-cache-control", "surrogate-control"} & set(response.headers)


def test_a_file_is_asked_for_whole_and_its_validators_do_not_outlive_it(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    app = wrapped(answering(FileResponse(tmp_path / "index.html")))
    plain = ask(app, headers={"accept": "*/*"})
    assert not {"etag", "last-modified", "accept-ranges"} & set(plain.headers)
    etag = ask(answering(FileResponse(tmp_path / "index.html"))).headers["etag"]
    for condition in ({"if-none-match": etag}, {"range": "bytes=0-9"}):
        response = ask(app, headers={**NAVIGATION, **condition})
        assert (response.status_code, response.content) == (200, RENDERED)


def test_conditions_of_other_requests_reach_the_application(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("[1, 2, 3]")
    response = ask(wrapped(answering(FileResponse(tmp_path / "data.json"))), headers={"range": "bytes=1-1"})
    assert (response.status_code, response.content) == (206, b"1")


def test_a_file_the_server_sends_by_itself_passes_and_is_not_offered_for_pages() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
    path = {"type": "http.response.pathsend", "path": "/index.html"}
    assert messages_of(wrapped, [dict(start), dict(path)]) == [start, path]
    seen: list[Scope] = []

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        seen.append(scope)

    extensions: dict[str, dict[str, str]] = {"http.response.pathsend": {}, "tls": {}}
    scope = {"type": "http", "method": "GET", "headers": [(b"accept", b"text/html")], "extensions": extensions}
    asyncio.run(wrapped(application)(scope, None, None))  # type: ignore[arg-type] # neither is called
    assert seen[0]["extensions"] == {"tls": {}}
    assert extensions == {"http.response.pathsend": {}, "tls": {}}


START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}


def test_a_file_after_a_piece_of_the_page_comes_after_it() -> None:
    sent = [START, {"type": "http.response.body", "body": b"<he", "more_body": True}]
    sent += [{"type": "http.response.zerocopysend", "file": 3}, {"type": "http.response.body", "body": b"</head>"}]
    assert messages_of(wrapped, list(sent)) == sent


def test_messages_of_other_kinds_pass_and_the_page_is_still_one() -> None:
    start = {**START, "headers": [*START["headers"], (b"content-length", b"13")], "trailers": True}
    push = {"type": "http.response.push", "path": "/a.css", "headers": []}
    trailers = {"type": "http.response.trailers", "headers": [(b"a", b"b")]}
    body = {"type": "http.response.body", "body": b"<head></head>"}
    out = messages_of(wrapped, [start, push, body, trailers])
    page = render_page(b"<head></head>", SCRIPTS)
    assert [message["type"] for message in out] == [push["type"], start["type"], body["type"], trailers["type"]]
    assert dict(out[1]["headers"])[b"content-length"] == str(len(page)).encode()
    assert (out[1]["trailers"], out[2]["body"]) == (True, page)


def test_a_fragment_that_is_compressed_keeps_its_bytes_and_its_validators() -> None:
    compressed = gzip.compress(b"<li>a fragment</li>")
    headers = [*START["headers"], (b"content-encoding", b"gzip"), (b"etag", b'"a"'), (b"content-length", b"39")]
    sent = [{**START, "headers": headers}]
    sent += [{"type": "http.response.body", "body": bytes([byte]), "more_body": True} for byte in compressed]
    sent += [{"type": "http.response.body", "body": b""}]
    assert messages_of(wrapped, list(sent)) == sent


def test_a_page_that_is_not_encoded_as_it_says_passes_as_it_is() -> None:
    start = {**START, "headers": [*START["headers"], (b"content-encoding", b"gzip")]}
    sent = [start, {"type": "http.response.body", "body": b"\x1f", "more_body": True}]
    sent += [{"type": "http.response.body", "body": b"<head></head>"}]
    assert messages_of(wrapped, list(sent)) == sent


@pytest.mark.parametrize("missing", [1, 8, 12])
def test_a_compressed_page_that_is_cut_off_is_not_made_whole(missing: int) -> None:
    start = {**START, "headers": [*START["headers"], (b"content-encoding", b"gzip")]}
    cut = gzip.compress(PAGE.encode())[:-missing]
    whole: list[Message] = [start, {"type": "http.response.body", "body": cut}]
    assert messages_of(wrapped, list(whole)) == whole
    pieces: list[Message] = [{**whole[1], "more_body": True}, {"type": "http.response.body"}]
    with pytest.raises(zlib.error, match="ends before"):  # the server breaks off the answer
        messages_of(wrapped, [start, *pieces])


@pytest.mark.parametrize("head", [b"", b"<head>"])
def test_an_application_that_fails_before_the_page_has_a_head_has_sent_nothing(head: bytes) -> None:
    async def application(scope: Scope, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": head, "more_body": True})
        raise LookupError

    with pytest.raises(LookupError):  # the server can still answer with a 500
        ask(wrapped(application))


def test_plausibles_deprecation_is_logged_and_a_policy_that_is_no_header_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = FrontendSettings(plausible=PlausibleSettings("a.test"))
    FrontendTelemetryMiddleware(answering(HTMLResponse(PAGE)), settings)
    assert "use PostHog instead: telemetry.frontend.posthog" in caplog.text
    for policy in ("default-src\n'self'", "default-src é"):
        with pytest.raises(UsageError, match="one line of ASCII"):
            wrapped(answering(HTMLResponse(PAGE)), policy=policy)


def test_what_is_not_http_passes_and_so_does_all_when_nothing_is_configured() -> None:
    messages: list[Message] = [{"type": "lifespan.startup.complete"}]
    assert messages_of(wrapped, list(messages), {"type": "lifespan"}) == messages
    response = HTMLResponse(PAGE, headers={"content-security-policy": POLICY})
    through = ask(FrontendTelemetryMiddleware(answering(response), FrontendSettings()))
    assert (through.text, through.headers["content-security-policy"]) == (PAGE, POLICY)


def test_early_hints_are_not_held() -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>"]}
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
    body = {"type": "http.response.body", "body": b"<head></head>"}
    assert [message["type"] for message in messages_of(wrapped, [hint, start, body])] == [
        *("http.response.early_hint", "http.response.start", "http.response.body")
    ]


def test_an_address_that_is_none_is_said_at_the_start_not_in_a_request() -> None:
    with pytest.raises(ConfigurationError, match=r"telemetry\.frontend\.sentry\.dsn"):
        FrontendTelemetryMiddleware(
            answering(HTMLResponse(PAGE)), FrontendSettings(sentry=FrontendSentrySettings("not a dsn"))
        )
