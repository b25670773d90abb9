"""A writer for tests that have no event loop: it brings one."""

import asyncio
from collections.abc import Sequence
from typing import Self

from ff_observe.collector.store import Ping, Store


class BlockingWriter:
    """`Writer`, but `write` and `close` return when they are done. `abort` may come from another thread."""

    def __init__(self, store: Store) -> None:
        self._writer = store.writer()
        self._runner = asyncio.Runner()

    @property
    def survives_failover(self) -> bool | None:
        return self._writer.survives_failover

    def write(self, pings: Sequence[Ping]) -> list[bool]:
        return list(self._runner.run(self._writer.write(pings)))

    def abort(self) -> None:
        self._writer.abort()

    def close(self) -> None:
        self._runner.run(self._writer.close())
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
