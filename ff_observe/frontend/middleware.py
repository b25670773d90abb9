"""ASGI middleware: adds the snippets to every HTML page of a Python application, and extends its CSP to let them
run."""

import functools
import logging
import re
import secrets
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from ff_observe.config.settings import FrontendSettings
from ff_observe.errors import UsageError
from ff_observe.frontend.csp import merge_csp
from ff_observe.frontend.services import csp_sources, deprecations, snippets
from ff_observe.frontend.stream import Gzip, Identity, PageStream

Scope = MutableMapping[str, Any]  # Any: the ASGI specification leaves the values open
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_log = logging.getLogger(__name__)

NONCE_KEY: Final = "ff_observe.csp_nonce"

_POLICIES: Final = (b"content-security-policy", b"content-security-policy-report-only")
# They describe the bytes the application produced, and the page now differs.
_OF_THE_ORIGINAL: Final = frozenset(
    {b"etag", b"last-modified", b"accept-ranges", b"content-md5", b"digest", b"repr-digest", b"content-digest"}
)
# A page with a nonce is for one visitor.
_OF_CACHES: Final = frozenset({b"cache-control", b"cdn-cache-control", b"surrogate-control", b"expires"})
# Conditional and range requests would be answered for the page without its snippets.
_CONDITIONS: Final = frozenset(
    {b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"range", b"if-range"}
)
_HEADER: Final = re.compile(r"[\t\x20-\x7e]*")
_SHORTCUTS: Final = ("http.response.pathsend", "http.response.zerocopysend")


class FrontendTelemetryMiddleware:
    """Wraps an ASGI application. Pages are streamed: only the head of one is buffered, up to 1 MiB.

    A response is a page if it is `text/html` with status 200-599 other than 204, 206 and 304, not encoded or encoded
    with gzip. All others pass unchanged, and so does a page without a head (a fragment).
    """

    def __init__(
        self,
        app: App,
        settings: FrontendSettings,
        environment_name: str = "unknown",
        release: str | None = None,
        *,
        nonce: bool = False,
        policy: str | None = None,
    ) -> None:
        """`environment_name` and `release` are reported to Sentry.

        Scripts are allowed by their hash. With `nonce`, a fresh nonce is generated for each request instead and stored
        in `scope["ff_observe.csp_nonce"]` for the application's own scripts; pages are then never cacheable. `policy`
        is the Content Security Policy of pages for which the application sends none. Raises `ConfigurationError` if a
        configured address is no URL, `UsageError` if `policy` is no header.
        """
        if policy is not None and not _HEADER.fullmatch(policy):
            raise UsageError("the policy must be one line of ASCII: it becomes the value of a header")
        for deprecation in deprecations(settings):
            _log.warning("%s", deprecation)
        self._app = app
        self._policy = policy
        self._nonce = nonce
        self._settings = settings
        self._snippets = functools.partial(snippets, settings, environment_name, release)
        self._scripts = self._snippets()
        self._sources = csp_sources(settings, self._scripts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._scripts:
            await self._app(scope, receive, send)
            return
        scripts, sources = self._scripts, self._sources
        if self._nonce:
            nonce = secrets.token_urlsafe(16)
            scope = {**scope, NONCE_KEY: nonce}
            scripts = self._snippets(nonce)
            sources = csp_sources(self._settings, scripts)
        page = PageStream(scripts, sources)
        response = _Response(send, page, sources, self._policy, head=scope["method"] == "HEAD", fresh=self._nonce)
        await self._app(_for_pages(scope), receive, response.send)


def _for_pages(scope: Scope) -> Scope:
    """The request that the application should see if it asks for a page (as navigation does): complete and
    unconditional."""
    headers: Headers = list(scope["headers"])
    if not any(name == b"accept" and b"text/html" in value.lower() for name, value in headers):
        return scope
    extensions = {name: value for name, value in (scope.get("extensions") or {}).items() if name not in _SHORTCUTS}
    return {
        **scope,
        "headers": [(name, value) for name, value in headers if name.lower() not in _CONDITIONS],
        "extensions": extensions,
    }


@dataclass(slots=True, repr=False)
class _Response:
    """One response on its way out: buffered until it is known by how much the page grows, or that it does not."""

    forward: Send
    page: PageStream
    sources: Mapping[str, tuple[str, ...]]
    policy: str | None
    head: bool
    """Whether it answers a HEAD request."""
    fresh: bool
    """Whether it is for one visitor."""
    coding: Identity | None = None
    """None: everything passes through."""
    held: list[Message] = field(default_factory=list)
    """The start, and the processed part of the body."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.coding = _coding_of_page(message)
            if self.coding is not None:
                self.held.append(message)
                return
        elif message["type"] == "http.response.body" and self.coding is not None:
            await self._body(message, self.coding)
            return
        elif message["type"] in _SHORTCUTS:  # the server sends a file by itself: out of our reach
            await self._pass_unchanged()
        await self.forward(message)

    async def _body(self, message: Message, coding: Identity) -> None:
        if self.held:
            self.held.append(message)
        last = not message.get("more_body", False)
        try:
            ready = self.page.feed(coding.decode(message.get("body", b""), last=last))
        except zlib.error:
            if not self.held:
                raise  # breaks off what has begun: a broken body must not become whole
            await self._pass_unchanged()  # not encoded as declared: unreadable for us
            return
        if last:
            ready += self.page.finish()
        if self.held:
            if not self.page.decided:
                return
            if not self.page.changed and not self.head:
                await self._pass_unchanged()
                return
            start = self.held[0]
            self.held.clear()
            await self.forward({**start, "headers": self._headers(start, coding)})
        await self.forward({**message, "body": b"" if self.head else coding.encode(ready, last=last)})

    async def _pass_unchanged(self) -> None:
        """Send what is buffered unchanged, and everything that follows."""
        self.coding = None
        for message in self.held:
            await self.forward(message)
        self.held.clear()

    def _headers(self, start: Message, coding: Identity) -> Headers:
        dropped = _OF_THE_ORIGINAL | {b"content-length"} | (_OF_CACHES if self.fresh else set())
        headers: Headers = []
        has_policy = False
        for name, value in start.get("headers", ()):
            lowered = name.lower()
            if lowered in _POLICIES:
                has_policy = has_policy or lowered == _POLICIES[0]
                value = merge_csp(value.decode("latin-1"), self.sources).encode("latin-1")
            elif lowered == b"content-length" and not isinstance(coding, Gzip) and not self.head:
                value = str(int(value) + self.page.added).encode()
            elif lowered in dropped:
                continue
            headers.append((name, value))
        if not has_policy and self.policy is not None:
            headers.append((_POLICIES[0], merge_csp(self.policy, self.sources).encode("latin-1")))
        if self.fresh:
            headers.append((b"cache-control", b"no-store"))
        return headers


def _coding_of_page(start: Message) -> Identity | None:
    """How the body is encoded, if it is a page that can be read."""
    headers = {name.lower(): value for name, value in start.get("headers", ())}
    content_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if content_type != b"text/html" or start["status"] in (204, 206, 304) or start["status"] < 200:
        return None
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding == b"identity":
        return Identity()
    return Gzip() if encoding in (b"gzip", b"x-gzip") else None
