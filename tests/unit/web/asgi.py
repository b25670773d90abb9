"""A client that calls an ASGI application in this thread, without a server."""

import asyncio
from dataclasses import dataclass
from typing import Any

from ff_observe.http.application import Application
from ff_observe.http.messages import Message


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


async def ask(app: Application, path: str = "/", *, method: str = "GET", root_path: str = "", **headers: str) -> Reply:
    """One request; a header `accept_encoding="gzip"` is sent as `accept-encoding: gzip`."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": root_path,
        "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    await app(scope, receive, send)
    start, body = sent
    return Reply(
        start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, bytes(body["body"])
    )


def get(app: Application, path: str = "/", **options: Any) -> Reply:
    """One request on an event loop of its own."""
    return asyncio.run(ask(app, path, **options))
