"""One request and its answer."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ff_observe.http.messages import Answer, Application, Headers, Message, Scope, render_head
from ff_observe.http.refusals import Problem

if TYPE_CHECKING:
    from ff_observe.http.connection import Connection


class Exchange:
    """The `receive` and `send` of an ASGI request.

    An answer is complete, with its length: it leaves in one write, and nothing of it has left if the application fails.
    """

    __slots__ = (
        *("_connection", "_news", "_start", "body", "complete", "disconnected"),
        *("expects_continue", "keep_alive", "more_body", "refused", "scope", "task"),
    )

    def __init__(
        self,
        connection: "Connection",
        scope: Scope,
        *,
        keep_alive: bool,
        expects_continue: bool,
        refused: Problem | None,
    ) -> None:
        self._connection = connection
        self.scope = scope
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.refused = refused
        self.body = bytearray()
        self.more_body = True
        self.complete = False
        self.disconnected = False
        self.task: asyncio.Task[None] | None = None
        self._start: Message | None = None
        self._news: asyncio.Future[None] | None = None

    async def run(self, app: Application, on_fault: Callable[[BaseException], None], fault: Answer) -> None:
        """Have the application answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:
            on_fault(error)
        if not self.complete and not self.disconnected:
            self.keep_alive = False
            self.respond(fault)

    async def receive(self) -> Message:
        """ASGI: the next part of the body."""
        if self.expects_continue and not self.complete and not self.disconnected:
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.expects_continue = False
        while not (self.disconnected or self.complete or self.body or not self.more_body):
            # Like uvicorn's, but resumes reading only while this request's body is incomplete; otherwise pipelined
            # requests pile up with every answer.
            self._connection.resume_reading()
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Any) -> None:
        """ASGI: the start of the answer, then its body, in one piece."""
        if self.disconnected or self.complete:
            return
        if self._start is None:
            self._start = message
            return
        assert not message.get("more_body"), "our answers come in one piece"
        headers: Headers = tuple(self._start["headers"])
        if (b"connection", b"close") in headers:
            self.keep_alive = False
        self._complete(self._start["status"], headers, message["body"])

    def respond(self, answer: Answer) -> None:
        """Answer without ASGI."""
        self._complete(answer.status, answer.headers, answer.body)

    def _complete(self, status: int, headers: Headers, body: bytes) -> None:
        self._connection.complete(self, render_head(status, headers, self._connection.date, self.keep_alive), body)

    def notify(self) -> None:
        """Part of the request has arrived, or the client has disconnected."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
