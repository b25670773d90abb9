"""HTTP answers as the pair of ASGI messages that carry them, made once and sent as often as needed."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Answer = tuple[Message, Message]
"""`http.response.start` and `http.response.body`."""


class Application(Protocol):
    """An ASGI application that a server can stop: whoever waits in it is then answered at once."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def stop_waiting(self) -> None: ...


EMPTY_BODY: Message = {"type": "http.response.body", "body": b""}


def answer(status: int, content_type: str, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    """An answer that no cache keeps: all of them tell of this moment."""
    start: Message = {
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", content_type.encode("ascii")),
            (b"content-length", str(len(body)).encode("ascii")),
            (b"cache-control", b"no-store"),
            *headers,
        ],
    }
    return start, {"type": "http.response.body", "body": body}


def text(status: int, words: str, *headers: tuple[bytes, bytes]) -> Answer:
    """A plain text answer of one line."""
    return answer(status, "text/plain; charset=utf-8", f"{words}\n".encode(), *headers)
