"""Serves an ASGI application."""

import asyncio
from functools import partial

from ff_observe.http.exchange import Exchange, settle
from ff_observe.http.messages import Answer, Application, Message


class AsgiHandler:
    """See `Handler`. What the application answers immediately needs no task."""

    def __init__(self, app: Application) -> None:
        self._app = app

    def handle(self, exchange: Exchange) -> None:
        try:
            answer = self._app.answer_now(exchange.scope)
        except Exception:  # raised again, and reported, where the application is called
            answer = None
        if answer is not None:
            exchange.respond(answer)
        else:
            request = _Request(exchange)
            exchange.run(partial(self._app, exchange.scope, request.receive, request.send))

    def stop_waiting(self) -> None:
        self._app.stop_waiting()


class _Request:
    """The `receive` and `send` of an ASGI request."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._start: Message | None = None

    async def receive(self) -> Message:
        """The next part of the body."""
        message: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._exchange.read(0, partial(self._arrived, message))
        return await message

    def _arrived(self, message: "asyncio.Future[Message]", body: bytes | None) -> None:
        if body is None:
            settle(message, {"type": "http.disconnect"})
        else:  # `more_body` as it is now: when the task goes on, more may have arrived
            settle(message, {"type": "http.request", "body": body, "more_body": self._exchange.more_body})

    async def send(self, message: Message) -> None:
        """The start of the answer, then its body, in one piece."""
        if self._start is None:
            self._start = message
            return
        assert not message.get("more_body"), "our answers come in one piece"
        self._exchange.respond(Answer(self._start["status"], tuple(self._start["headers"]), message["body"]))
