"""Runs blocking calls for an event loop."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_Call = tuple["asyncio.Future[Any]", Callable[[], Any]]


class BlockingThread:
    """One thread that runs such calls, one after the other; it starts with the first.

    It is a daemon, unlike those of `asyncio.to_thread`: a disk that hangs for good does not keep the process from
    ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[[], T]) -> T:
        """The result of `function`, or its exception."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._make_calls, name=self._name, daemon=True)
            self._thread.start()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((future, function))
        return await future

    async def close(self) -> None:
        """End the thread after the call in progress. A later `call` starts another."""
        if self._thread is not None:
            await self.call(lambda: None)
            thread, self._thread = self._thread, None
            self._calls.put(None)
            thread.join()  # it has already stopped

    def leave(self, last: Callable[[], object]) -> None:
        """Have the thread call `last` after the call in progress, and end. Waits for nothing."""
        if self._thread is not None:
            self._thread = None
            self._calls.put((asyncio.get_running_loop().create_future(), last))
            self._calls.put(None)

    def _make_calls(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            try:
                result, error = function(), None
            except BaseException as raised:
                result, error = None, raised
            with contextlib.suppress(RuntimeError):  # the loop was closed before the call was done
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)


def _settle(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if future.done():  # cancelled
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
