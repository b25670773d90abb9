"""Clients that send pings to a collector, and what came of each ping."""

import asyncio
import itertools
import math
import time
from collections import Counter
from collections.abc import Callable

from tests.real_parts.collector import send
from tests.real_parts.processes import wait_until
from tests.unit.collector.pings import body, instance

CLIENTS = 16


class Load:
    """Clients that send pings of instances of their own, each again and again until it is acknowledged. Each waits
    `pause_seconds` after an answer. `longest_gap` is the longest time without an acknowledgement since `measure`,
    `cut_off` how many clients ended since their connection did."""

    def __init__(self, pause_seconds: float = 0) -> None:
        self._pause_seconds = pause_seconds
        self._last = math.inf
        self.longest_gap = 0.0
        self.numbers = itertools.count()
        self.acknowledged: set[str] = set()
        self.unsettled: list[str] = []
        self.cut_off = 0
        self.refused: Counter[int] = Counter()
        self.arrived = asyncio.Event()  # an answer

    async def run(self, port: int, until: asyncio.Event) -> None:
        await asyncio.gather(*(self._client(port, until) for _ in range(CLIENTS)))

    async def _client(self, port: int, until: asyncio.Event) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while not until.is_set():
                    name = self.unsettled.pop() if self.unsettled else instance(f"crash-{next(self.numbers)}")
                    settled = False
                    try:
                        settled = await self._settle(reader, writer, name)
                    finally:
                        if not settled:
                            self.unsettled.append(name)
                    if self._pause_seconds:
                        await asyncio.sleep(self._pause_seconds)
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError):
            self.cut_off += 1

    async def _settle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> bool:
        sent = body(name)
        writer.write(b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(sent), sent))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(length)
        if head.startswith(b"HTTP/1.1 200 ") and answer == b'{"status":"success"}':
            self.acknowledged.add(name)
            now = time.monotonic()
            self.longest_gap = max(self.longest_gap, now - self._last)
            self._last = now
            self.arrived.set()
            return True
        status = int(head[9:12])
        assert status != 503 or b"\r\nretry-after: " in head.lower()
        self.refused[status] += 1
        self.arrived.set()
        return False

    def measure(self) -> None:
        """Forget gaps until now."""
        self._last, self.longest_gap = math.inf, 0.0

    async def until(self, reached: Callable[[], bool]) -> None:
        """Returns with the answer after which `reached` is true."""
        while not reached():
            self.arrived.clear()
            await self.arrived.wait()


def settle_in_the_end(port: int, name: str) -> None:
    wait_until(lambda: send(port, body(name)).status == 200, "the collector to recover")
