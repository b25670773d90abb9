"""ASGI's message types, and complete answers that are made once and sent as often as needed."""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

SECURITY_HEADERS: Headers = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
"""In every answer: browsers do not guess another content type, and send no referrer to other sites."""


class Answer:
    """A complete HTTP answer."""

    __slots__ = ("_overlaid", "body", "closes", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.closes = (b"connection", b"close") in headers
        self.status = status
        self.headers = headers
        self.body = body
        self._overlaid: tuple[Headers, Answer] | None = None

    def overlaid(self, headers: Headers) -> "Answer":
        """The same answer with `headers`, which replace its own of the same name."""
        if not headers:
            return self
        if self._overlaid is None or self._overlaid[0] is not headers:
            names = {name for name, _ in headers}
            kept = tuple(header for header in self.headers if header[0] not in names)
            self._overlaid = headers, Answer(self.status, (*kept, *headers), self.body)
        return self._overlaid[1]

    async def send(self, scope: Scope, send: Send) -> None:
        """Answer an ASGI request; without the body for HEAD."""
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.body})


def answer(
    status: int, content_type: str, body: bytes, *headers: tuple[bytes, bytes], cache: str = "no-store"
) -> Answer:
    """An answer that no cache stores by default: nearly all of them describe the present moment."""
    return Answer(
        status,
        (
            (b"content-type", content_type.encode("ascii")),
            (b"content-length", str(len(body)).encode("ascii")),
            (b"cache-control", cache.encode("ascii")),
            *SECURITY_HEADERS,
            *headers,
        ),
        body,
    )


def text(status: int, words: str, *headers: tuple[bytes, bytes]) -> Answer:
    """A plain text answer of one line."""
    return answer(status, "text/plain; charset=utf-8", f"{words}\n".encode(), *headers)


_ICON = (
    b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' rx='8' fill='#4f46e5'/>"
    b"<path d='M5 17h6l3-8 5 15 3-7h5' fill='none' stroke='#fff' stroke-width='2.6' stroke-linecap='round' "
    b"stroke-linejoin='round'/></svg>"
)
ICON_PATH = "/favicon.ico"
ICON = answer(200, "image/svg+xml", _ICON, cache="public, max-age=86400")
"""Browsers request `ICON_PATH` on their own, even for pages that are not HTML."""


_HEADS_KEPT = 64  # most answers of a second have one of a few heads
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b" % (status, status.phrase.encode("ascii")) for status in HTTPStatus}


@lru_cache(_HEADS_KEPT)
def render_head(status: int, headers: Headers, date: bytes, keep_alive: bool) -> bytes:
    """Status line and headers on the wire."""
    lines = [_STATUS_LINES[status], b"date: " + date]
    lines += [b"%b: %b" % header for header in headers if header[0] != b"connection"]
    if not keep_alive:
        lines.append(b"connection: close")
    head = b"\r\n".join([*lines, b"", b""])
    assert head.count(b"\r") == head.count(b"\n") == len(lines) + 1, "a header of ours would begin another"
    return head
