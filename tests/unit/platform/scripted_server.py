"""A `hostile_server` that a test tells what to answer next, and that keeps what it was asked."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from tests.unit.platform.hostile_server import (
    GREETING,
    INT8,
    Answer,
    description,
    error,
    greeting,
    hostile_server,
    message,
    row,
)

DONE = message(b"C", b"SELECT 1\0")
ONE = (description([INT8]), row([b"1"]), DONE)


def gone() -> Answer:
    yield from ()
    raise EOFError


def endless() -> Answer:
    yield description([INT8])
    while True:
        yield row([b"1"]) * 1000


def answered() -> Answer:
    return iter(ONE)


def refused() -> Answer:
    return iter([error("42P01", "no such table")])


@dataclass
class Scripted:
    """A server that answers each statement with `answer`, or what `answer_to` makes of it, and what it was asked."""

    answer: Callable[[], Answer] = answered
    answer_to: Callable[[str], Answer] | None = None
    greet: Callable[[Mapping[str, str]], bytes] = lambda _: greeting(GREETING)
    statements: list[str] = field(default_factory=list)
    beginnings: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def respond(self, statement: str) -> Answer:
        self.statements.append(statement)
        return self.answer() if self.answer_to is None else self.answer_to(statement)

    def begin(self, wanted: dict[str, str]) -> bytes:
        self.beginnings.append(wanted)
        return self.greet(wanted)

    @property
    def database(self) -> PostgreSQLDatabase:
        return PostgreSQLDatabase("127.0.0.1", self.port, "reader", Secret("secret-word"), "forge")

    @property
    def where(self) -> str:
        return f"PostgreSQL database 127.0.0.1:{self.port}/forge"


@contextlib.contextmanager
def scripted_server() -> Iterator[Scripted]:
    """One that answers until the block ends."""
    made = Scripted()
    with hostile_server(made.respond, made.begin) as made.port:
        yield made
