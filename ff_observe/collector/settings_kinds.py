"""The kinds of value that only `collector.yml` has: an address to listen on, the database, networks, a forwarding
header."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from ff_observe.collector.sender_address import ForwardedHeader, Network
from ff_observe.config import kinds
from ff_observe.config.kind import Kind, WrongValueError, read_each
from ff_observe.config.nodes import Node, Scalar, Sequence
from ff_observe.config.secret import Secret


@dataclass(frozen=True, slots=True)
class SQLiteFile:
    """A file; None is `pings/pings.sqlite3` in the data directory."""

    path: Path | None = None


@dataclass(frozen=True, slots=True)
class PostgreSQLServer:
    """A connection URL, with its password."""

    url: Secret


@dataclass(frozen=True, slots=True)
class ClickHouse:
    """The URL of a database, with its password: `clickhouse:` over HTTP, `clickhouses:` over HTTPS."""

    url: Secret


_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})", re.ASCII)


def parse_listen(text: str) -> tuple[str, int]:
    """`127.0.0.1:10465`, `[::1]:10465` or `:10465` (every address). Raises `WrongValueError`."""
    found = _LISTEN.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise WrongValueError("write HOST:PORT, such as 127.0.0.1:10465 or [::1]:10465")
    return found["six"] or found["host"] or "0.0.0.0", int(found["port"])  # noqa: S104 - it was asked for


def show_listen(address: tuple[str, int]) -> str:
    """As `parse_listen` reads it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_database(text: str) -> SQLiteFile | PostgreSQLServer:
    """`sqlite:PATH`, or a PostgreSQL URL. Raises `WrongValueError`."""
    kind, colon, rest = text.strip().partition(":")
    if kind == "sqlite" and colon and rest.strip("/"):
        return SQLiteFile(Path(rest.removeprefix("//")))
    if kind in ("postgresql", "postgres") and rest.startswith("//"):
        return PostgreSQLServer(Secret(_checked_url(text.strip())))
    raise WrongValueError("write sqlite:PATH or postgresql://HOST:PORT/DATABASE, with USER:PASSWORD@ before HOST")


def parse_replica(text: str) -> PostgreSQLServer:
    """A PostgreSQL URL that may lead to a server without writes. Raises `WrongValueError`."""
    if text.strip().partition("://")[0] not in ("postgresql", "postgres"):
        raise WrongValueError("write postgresql://HOST:PORT/DATABASE, with USER:PASSWORD@ before HOST")
    return PostgreSQLServer(Secret(_checked_url(text.strip(), reads=True)))


def _checked_url(url: str, *, reads: bool = False) -> str:
    """Parsed as libpq does, with any number of hosts."""
    from psycopg import ProgrammingError  # only where it is needed
    from psycopg.conninfo import conninfo_to_dict

    try:
        named = conninfo_to_dict(url)
    except ProgrammingError:  # its text quotes the URL
        raise WrongValueError(
            "the PostgreSQL URL is not one that libpq reads; write postgresql://HOST:PORT/DATABASE, with "
            "USER:PASSWORD@ before HOST, %XX for what is special in them, and several hosts as HOST:PORT,HOST:PORT"
        ) from None
    ports = str(named.get("port", "")).split(",")
    if not all(port == "" or (port.isascii() and port.isdigit() and 0 < int(port) < 65536) for port in ports):
        raise WrongValueError("the PostgreSQL URL has no valid port")
    if not reads and named.get("target_session_attrs", "read-write") not in ("read-write", "primary"):
        raise WrongValueError(
            "a collector writes: leave target_session_attrs out; of several hosts it takes the one that takes writes. "
            "A replica for `ff-observe fleet` stands in fleet.database"
        )
    return url


_NAME = re.compile("/[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def parse_analytics(text: str) -> ClickHouse:
    """A ClickHouse URL. Raises `WrongValueError`."""
    wrong = WrongValueError(
        "write clickhouse://HOST:8123/DATABASE, with USER:PASSWORD@ before HOST; clickhouses: is TLS"
    )
    try:
        parts = urlsplit(text.strip())
        is_whole = parts.scheme in ("clickhouse", "clickhouses") and parts.hostname and parts.port != 0
    except ValueError:  # its text quotes the URL
        raise wrong from None
    if not is_whole or not _NAME.fullmatch(parts.path) or parts.query or parts.fragment:
        raise wrong
    return ClickHouse(Secret(text.strip()))


T = TypeVar("T")

A_LIST: Final = "write a list of addresses or networks, such as [10.0.0.0/8, ::1]"
A_COMMAND: Final = (
    "write a list of a program and its arguments, such as [/usr/local/bin/kms, alias/pings]; there is no shell"
)


def _list_of(read: Callable[[Node], T], what_to_write: str) -> Callable[[Node], tuple[T, ...] | None]:
    """Reads each item of a list; each mistake has the place of its item."""

    def read_item(item: Node) -> T:
        try:
            return read(item)
        except WrongValueError as error:
            raise WrongValueError(str(error), item.place) from None

    def read_list(node: Node) -> tuple[T, ...] | None:
        if isinstance(node, Scalar) and node.value is None:
            return None
        if not isinstance(node, Sequence):
            raise WrongValueError(what_to_write)
        return tuple(read_each(read_item, node.items))

    return read_list


def _network(node: Node) -> Network:
    text = node.value if isinstance(node, Scalar) else None
    try:
        network = ipaddress.ip_network(text if isinstance(text, str) else "", strict=False)
    except ValueError:
        raise WrongValueError(A_LIST) from None
    address = str(text).partition("/")[0]
    if network.num_addresses > 1 and ipaddress.ip_address(address) != network.network_address:
        raise WrongValueError(f"{text} is not where a network begins; write {network} or {address}")
    return network


def _header(node: Node) -> ForwardedHeader | None:
    try:
        text = kinds.TEXT.read(node)
        return None if text is None else ForwardedHeader(text.lower())
    except (ValueError, WrongValueError):
        raise WrongValueError("write x-forwarded-for or forwarded: the header that your proxies set") from None


def _command(node: Node) -> tuple[str, ...] | None:
    words = _list_of(_word, A_COMMAND)(node)
    if words is not None and not (words and words[0]):
        raise WrongValueError(A_COMMAND)
    return words


def _word(node: Node) -> str:
    try:
        return kinds.without_nul(kinds.TEXT.read(node) or "")
    except WrongValueError:
        raise WrongValueError(A_COMMAND) from None


def _of_text(parse: Callable[[str], T]) -> Callable[[Node], T | None]:
    def read(node: Node) -> T | None:
        text = kinds.TEXT.read(node)
        return None if text is None else parse(text)

    return read


LISTEN: Final = Kind("`HOST:PORT`", _of_text(parse_listen), show=show_listen)
DATABASE: Final = Kind("`sqlite:PATH` or a PostgreSQL URL", _of_text(parse_database))
ANALYTICS: Final = Kind("ClickHouse URL", _of_text(parse_analytics))
REPLICA: Final = Kind("PostgreSQL URL", _of_text(parse_replica))
COMMAND: Final = Kind("list of a program and its arguments", _command)
NETWORKS: Final = Kind("list of networks", _list_of(_network, A_LIST))
HEADER: Final = Kind("`x-forwarded-for` or `forwarded`", _header)
