"""What answers requests by their heads."""

from abc import ABC, abstractmethod
from functools import partial

from ff_observe.http.exchange import Exchange
from ff_observe.http.messages import Answer, Receive, Scope, Send


class Application(ABC):
    """Answers a request by its head alone: for `Server` (see `Handler`), and for any ASGI server."""

    @abstractmethod
    def answer_now(self, scope: Scope) -> Answer | None:
        """The answer, if it needs no waiting."""

    @abstractmethod
    async def answer(self, scope: Scope) -> Answer:
        """The answer, whether it needs waiting or not."""

    @abstractmethod
    def stop_waiting(self) -> None:
        """Answer the requests that wait for something: the server is stopping. Call it on the event loop."""

    def handle(self, exchange: Exchange) -> None:
        """See `Handler`. What is answered immediately needs no task."""
        try:
            found = self.answer_now(exchange.scope)
        except Exception:  # raised again, and reported, by `answer`
            found = None
        if found is not None:
            exchange.respond(found)
        else:
            exchange.run(partial(self._answer_later, exchange))

    async def _answer_later(self, exchange: Exchange) -> None:
        exchange.respond(await self.answer(exchange.scope))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. A coroutine function: servers tell an ASGI 3 application from older ones by that."""
        if scope["type"] == "http":
            found = await self.answer(scope)
            await found.send(scope, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        while scope["type"] == "lifespan":  # nothing to do, but servers ask
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
