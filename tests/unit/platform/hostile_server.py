"""A server that speaks PostgreSQL's protocol as far as connecting and asking need it, and answers as it likes."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

INT8, INT4, TEXT = 20, 23, 25
Values = Sequence[bytes | None]
Answer = Iterator[bytes]
Respond = Callable[[str], Answer]
Greet = Callable[[dict[str, str]], bytes]

GREETING = {"server_version": "17.0", "default_transaction_read_only": "on"}


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack(">I", len(content) + 4) + content


def description(types: Sequence[int]) -> bytes:
    """What announces rows: one type number for each column."""
    fields = b"".join(b"c\0" + struct.pack(">IhIhih", 0, 0, number, -1, -1, 0) for number in types)
    return message(b"T", struct.pack(">h", len(types)) + fields)


def row(values: Values) -> bytes:
    cells = (struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value for value in values)
    return message(b"D", struct.pack(">h", len(values)) + b"".join(cells))


def rows(types: Sequence[int], *found: Values) -> Answer:
    yield description(types)
    yield from (row(values) for values in found)
    yield message(b"C", b"SELECT 1\0")


def error(code: str, text: str) -> bytes:
    """What refuses a statement, or a session."""
    return message(b"E", f"SERROR\0C{code}\0M{text}\0\0".encode())


def greeting(parameters: Mapping[str, str]) -> bytes:
    """What takes a session, without a password, and says so much of itself."""
    said = (message(b"S", f"{name}\0{value}\0".encode()) for name, value in parameters.items())
    return b"".join((message(b"R", struct.pack(">I", 0)), *said, message(b"Z", b"I")))


@contextlib.contextmanager
def hostile_server(respond: Respond, greet: Greet = lambda _: greeting(GREETING)) -> Iterator[int]:
    """Yields its port. `respond` is given each statement; what it yields is sent, until the client is gone. `greet` is
    given what the client wants its session to begin with, and answers it."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threads.append(threading.Thread(target=_serve, args=(client, respond, greet)))
                    threads[-1].start()

        threads.append(threading.Thread(target=accept))
        threads[0].start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)


def _serve(client: socket.socket, respond: Respond, greet: Greet) -> None:
    with client, contextlib.suppress(OSError, EOFError):
        while True:
            begins = _packet(client)
            (code,) = struct.unpack(">I", begins[:4])
            if code == 196608:  # protocol 3.0; the others ask for encryption
                break
            client.sendall(b"N")
        words = begins[4:].decode().rstrip("\0").split("\0")
        client.sendall(greet(dict(zip(words[::2], words[1::2], strict=False))))
        while (kind := _exactly(client, 1)) in (b"Q", b"P", b"B"):
            packet = _packet(client)
            while kind != b"Q" and _exactly(client, 1) != b"S":
                _packet(client)
            if kind != b"Q":
                _packet(client)
            asked = _asked(kind, packet)
            answer = _where(asked) if "pg_catalog.current_schema()" in asked else iter(respond(asked))
            first = next(answer, b"")
            if kind != b"Q" and not first.startswith(b"E"):
                client.sendall(message(b"1" if kind == b"P" else b"2", b""))
            client.sendall(first)
            for part in answer:
                client.sendall(part)
            client.sendall(message(b"Z", b"I"))
        assert kind == b"X", kind


def _where(asked: str) -> Answer:
    """In which schema the tables are, and that the session searches no other from now on."""
    yield from rows((TEXT,), (b"public",))
    if "set_config" in asked:
        yield from rows((TEXT,), (b"pg_catalog, pg_temp",))


def _asked(kind: bytes, packet: bytes) -> str:
    """A statement as it came; PREPARE or EXECUTE, as SQL calls them, with what came as messages of their own."""
    if kind == b"Q":
        return packet.rstrip(b"\0").decode()
    first, second, rest = packet.split(b"\0", 2)
    if kind == b"P":
        return f"PREPARE {first.decode()} AS {second.decode()}"
    (formats,) = struct.unpack(">H", rest[:2])
    (number,) = struct.unpack(">H", rest[2 + 2 * formats : 4 + 2 * formats])
    values, rest = [], rest[4 + 2 * formats :]
    for _ in range(number):
        (length,) = struct.unpack(">I", rest[:4])
        values.append(rest[4 : 4 + length].decode())
        rest = rest[4 + length :]
    return f"EXECUTE {second.decode()} ({', '.join(values)})"


def _packet(client: socket.socket) -> bytes:
    (length,) = struct.unpack(">I", _exactly(client, 4))
    return _exactly(client, length - 4)


def _exactly(client: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        more = client.recv(length - len(content))
        if not more:
            raise EOFError
        content += more
    return content
