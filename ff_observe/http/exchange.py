"""One request and its answer."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Protocol, TypeVar

from ff_observe.http.messages import Answer, Scope, render_head
from ff_observe.http.refusals import Problem
from ff_observe.http.shared import Shared


class Carrier(Protocol):
    """The connection of an exchange."""

    shared: Shared

    def write(self, head: bytes, body: bytes = b"") -> None:
        """Send bytes, encrypted if the connection is."""

    def resume_reading(self) -> None:
        """Resume reading."""

    def complete(self, exchange: "Exchange", head: bytes, body: bytes) -> None:
        """Send the answer to the current request, and continue with the next."""


@dataclass(slots=True, eq=False, repr=False)  # its scope holds what must not be logged
class Exchange:
    """A request whose head has arrived, and its answer: complete, with its length, so that it leaves in one write.

    `scope` describes the request as ASGI does, without its `type`.
    """

    _connection: Carrier
    scope: Scope
    _: KW_ONLY
    keep_alive: bool
    expects_continue: bool
    refused: Problem | None
    body: bytearray = field(default_factory=bytearray)
    more_body: bool = True
    complete: bool = False
    disconnected: bool = False
    task: "asyncio.Task[None] | None" = None
    _most_bytes: int = 0
    _then: Callable[[bytes | None], None] | None = None

    # Called by the handler.

    def read(self, most_bytes: int, then: Callable[[bytes | None], None]) -> None:
        """Call `then` with the body once it is whole, or with what there is of it once that is more than `most_bytes`:
        `more_body` tells which. With None if neither will be: the client is gone, or the request has been answered."""
        if self.expects_continue and not self.complete and not self.disconnected:
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.expects_continue = False
        self._most_bytes, self._then = most_bytes, then
        self.notify()
        if self._then is not None:
            # Reading is resumed only while this request's body is incomplete: otherwise pipelined requests would pile
            # up with every answer.
            self._connection.resume_reading()

    def respond(self, answer: Answer) -> None:
        """Answer, unless it has been done or the client is gone."""
        if self.complete or self.disconnected:
            return
        if answer.closes:
            self.keep_alive = False
        head = render_head(answer.status, answer.headers, self._connection.shared.date, self.keep_alive)
        self._connection.complete(self, head, answer.body)

    def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have `work` answer, in a task."""
        self.task = self._connection.shared.run_task(self._answered_by(work))

    async def _answered_by(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as error:
            self._connection.shared.report(error)
        self._fail()

    # Called by the connection.

    @property
    def is_being_read(self) -> bool:
        """Whether the body is waited for."""
        return self._then is not None

    def begin(self, handler: "Handler") -> None:
        try:
            handler.handle(self)
        except Exception as error:
            self._connection.shared.report(error)
            self._fail()

    def notify(self) -> None:
        """Part of the body has arrived, or no more of it will."""
        then = self._then
        if then is None:
            return
        if self.complete or self.disconnected:
            self._then = None
            then(None)
        elif not self.more_body or len(self.body) > self._most_bytes:
            self._then = None
            body, self.body = bytes(self.body), bytearray()
            then(body)

    def _fail(self) -> None:
        """Nothing of an answer has left if there is none by now."""
        if not self.complete:
            self.keep_alive = False
            self.respond(self._connection.shared.refusals.answer(Problem.FAULT))


T = TypeVar("T")


def settle(future: "asyncio.Future[T]", result: T) -> None:
    """Set the result, unless who waited for it has been cancelled."""
    if not future.done():
        future.set_result(result)


def settle_from_thread(future: "asyncio.Future[T]", result: T) -> None:
    """`settle` in the future's event loop, unless that is closed: the server has stopped, and no request waits."""
    with contextlib.suppress(RuntimeError):
        future.get_loop().call_soon_threadsafe(settle, future, result)


class Handler(Protocol):
    """What a server serves."""

    def handle(self, exchange: Exchange) -> None:
        """Answer now or later (`Exchange.respond`). Called when the head of the request has arrived and the requests
        before it on its connection are answered."""

    def stop_waiting(self) -> None:
        """Answer the requests that wait for something: the server is stopping."""
