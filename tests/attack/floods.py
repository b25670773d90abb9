"""Hostile clients, in a process of their own: `python -m tests.attack.floods NAME PORT CLIENTS`, until it is ended.

It prints `ready` when every client has connected once. Clients that are thrown out come back.
"""

import asyncio
import base64
import contextlib
import itertools
import resource
import ssl
import sys
from collections.abc import Awaitable, Callable
from functools import cache

GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
RETURN_SECONDS = 0.1

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_guesses = itertools.count()


async def unread(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pipelines requests without end, and reads no answer."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio declares it for what reads
    while True:
        writer.write(1000 * (GET + b"\r\n"))
        await writer.drain()


async def idle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Says nothing."""
    await reader.read()


async def scattered(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Says nothing, each from an address of its own (see `attack`)."""
    await reader.read()


async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a request byte by byte."""
    writer.write(GET + b"X-Slow: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.5)


async def half_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begins TLS, and stays away."""
    writer.write(_hello())
    while await reader.read(65536):
        pass


@cache
def _hello() -> bytes:
    """The first message of a client in TLS."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def passwords(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Guesses one password after another."""
    while True:
        credentials = base64.b64encode(b"alice:guess %d" % next(_guesses))
        writer.write(GET + b"Authorization: Basic " + credentials + b"\r\n\r\n")
        await _answer(reader)


async def long_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Asks with an `Accept` header of 60 kB."""
    while True:
        writer.write(GET + b"Accept: " + b"a;q=0.1," * 7500 + b"\r\n\r\n")
        await _answer(reader)


async def pages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads the page again and again."""
    while True:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await _answer(reader)


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.partition(b":")[2]))
            return
    while (size := int((await reader.readuntil(b"\r\n")).strip(), 16)) >= 0:  # chunked
        await reader.readexactly(size + 2)
        if size == 0:
            return


FLOODS: dict[str, Client] = {
    flood.__name__: flood
    for flood in (unread, idle, scattered, trickle, half_handshake, passwords, long_headers, pages)
}


async def attack(client: Client, port: int, clients: int) -> None:
    """`clients` at once, for ever."""
    connected = 0
    all_there = asyncio.Event()

    async def one(number: int) -> None:
        nonlocal connected
        source = (f"127.1.{number // 250}.{number % 250 + 1}", 0) if client is scattered else None
        is_first = True
        while True:
            writer = None
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
                if is_first:
                    is_first = False
                    connected += 1
                    if connected == clients:
                        all_there.set()
                await client(reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                pass
            finally:
                if writer is not None:
                    writer.transport.abort()
            await asyncio.sleep(RETURN_SECONDS)

    tasks = [asyncio.create_task(one(number)) for number in range(clients)]
    await all_there.wait()
    print("ready", flush=True)
    await asyncio.gather(*tasks)


def main() -> None:
    """Attack as the arguments say."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    name, port, clients = sys.argv[1:]
    asyncio.run(attack(FLOODS[name], int(port), int(clients)))


if __name__ == "__main__":
    main()
