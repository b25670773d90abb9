"""`collector.yml` and the command line's options → `CollectorSettings`, every problem with its place."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ff_observe.config import kinds
from ff_observe.config.nodes import Map, Node, Scalar, Sequence
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.config.secret import Secret
from ff_observe.config.yaml_core import YAMLError, parse
from ff_observe.errors import ConfigurationError, Problem, UsageError
from ff_observe.http.limits import Limits
from ff_observe.ping_collector.sender_address import ForwardedHeader, Network
from ff_observe.ping_collector.settings import CollectorSettings, PostgresqlDatabase, SqliteDatabase

MAX_SECRET_FILE_BYTES = 4096


_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})", re.ASCII)


class _WrongError(Exception):
    """A value is not what its key takes. The text says what to write, and never holds the value."""


def parse_listen(text: str) -> tuple[str, int]:
    """`127.0.0.1:10465`, `[::1]:10465` or `:10465` (every address)."""
    found = _LISTEN.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise _WrongError("write HOST:PORT, such as 127.0.0.1:10465 or [::1]:10465")
    return found["six"] or found["host"] or "0.0.0.0", int(found["port"])  # noqa: S104 - it was asked for


def parse_database(text: str) -> SqliteDatabase | PostgresqlDatabase:
    """`sqlite:PATH`, or a PostgreSQL URL."""
    kind, colon, rest = text.partition(":")
    if kind == "sqlite" and colon and rest.strip("/"):
        return SqliteDatabase(Path(rest.removeprefix("//")))
    if kind in ("postgresql", "postgres") and rest.startswith("//"):
        return PostgresqlDatabase(Secret(_checked_url(text)))
    raise _WrongError("write sqlite:PATH or postgresql://HOST:PORT/DATABASE, with USER:PASSWORD@ before HOST")


def _checked_url(url: str) -> str:
    """As libpq reads it, with any number of hosts."""
    from psycopg import ProgrammingError  # only where it is needed
    from psycopg.conninfo import conninfo_to_dict

    try:
        ports = str(conninfo_to_dict(url).get("port", "")).split(",")
    except ProgrammingError:  # whose text quotes the URL
        raise _WrongError(
            "the PostgreSQL URL is not one that libpq reads; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with "
            "%XX for what is special in them, and several hosts as HOST:PORT,HOST:PORT"
        ) from None
    if not all(port == "" or (port.isascii() and port.isdigit() and 0 < int(port) < 65536) for port in ports):
        raise _WrongError("the PostgreSQL URL has no valid port")
    return url


def _text(node: Node) -> str:
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
        return node.value
    raise _WrongError("write a string")


def _whole(lowest: int, highest: int) -> Callable[[Node], int]:
    def read(node: Node) -> int:
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise _WrongError(f"write a whole number from {lowest} to {highest}, without quotes")
        return value

    return read


def _days(lowest: int, highest: int) -> Callable[[Node], timedelta]:
    read = _whole(lowest, highest)
    return lambda node: timedelta(days=read(node))


def _flag(node: Node) -> bool:
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    raise _WrongError("write true or false, without quotes")


_A_LIST = "write a list of addresses or networks, such as [10.0.0.0/8, ::1]"


def _networks(node: Node) -> tuple[Network, ...]:
    if not isinstance(node, Sequence):
        raise _WrongError(_A_LIST)
    return tuple(_network(item) for item in node.items)


def _network(node: Node) -> Network:
    try:
        text = _text(node)
        network = ipaddress.ip_network(text, strict=False)
    except (ValueError, _WrongError):
        raise _WrongError(_A_LIST) from None
    address = text.partition("/")[0]
    if network.num_addresses > 1 and ipaddress.ip_address(address) != network.network_address:
        raise _WrongError(f"{text} is not where a network begins; write {network} or {address}")
    return network


def _host_names(node: Node) -> tuple[str, ...]:
    try:
        return kinds.HOST_NAMES.read(node) or ()
    except kinds.WrongValueError as error:
        raise _WrongError(str(error)) from None


def _header(node: Node) -> ForwardedHeader:
    try:
        return ForwardedHeader(_text(node).lower())
    except (ValueError, _WrongError):
        raise _WrongError("write x-forwarded-for or forwarded: the header that your proxies set") from None


@dataclass(frozen=True, slots=True)
class _Key:
    """`field` is the one of `CollectorSettings` (or, after `limits.`, of `Limits`) that the value is for."""

    field: str
    read: Callable[[Node], Any]


_KEYS: Mapping[str, _Key] = {
    "allowed_hosts": _Key("allowed_hosts", _host_names),
    "listen": _Key("listen", lambda node: parse_listen(_text(node))),
    "data_dir": _Key("data_dir", lambda node: Path(_text(node))),
    "database": _Key("database", lambda node: parse_database(_text(node))),
    "database_file": _Key("database_file", lambda node: Path(_text(node))),
    "address.key_file": _Key("key_file", lambda node: Path(_text(node))),
    "address.key_days": _Key("key_lifetime", _days(1, 366)),
    "address.trusted_proxies": _Key("trusted_proxies", _networks),
    "address.header": _Key("forwarded_header", _header),
    "duplicates.window_minutes": _Key("duplicate_window", lambda node: timedelta(minutes=_whole(0, 1440)(node))),
    "retention_days": _Key("retention", _days(1, 36_500)),
    "fleet.k": _Key("k", _whole(1, 1000)),
    "fleet.public_k": _Key("public_k", _whole(1, 1000)),
    "fleet.public_days": _Key("public_days", _whole(1, 30)),
    "fleet.silent_after_days": _Key("silent_after_days", _whole(1, 30)),
    "fleet.interval_seconds": _Key("fleet_interval_seconds", _whole(1, 86_400)),
    "fleet.public": _Key("public", _flag),
    "limits.connections": _Key("limits.connections", _whole(10, 1_000_000)),
    "limits.request_seconds": _Key("limits.request_seconds", _whole(1, 300)),
    "limits.idle_seconds": _Key("limits.idle_seconds", _whole(1, 300)),
}
KEYS: tuple[str, ...] = tuple(_KEYS)
"""Every key of `collector.yml`, dotted."""


@dataclass(frozen=True, slots=True)
class NamedDatabase:
    """A database that an option or a variable (`name`) names, by a URL or by a file that holds one.

    `seen` where others can see it: the arguments of a process.
    """

    name: str
    url: Secret | None = None
    file: Path | None = None
    seen: bool = False


def collector_settings(
    file: Path | None = None,
    *,
    listen: str | None = None,
    database: NamedDatabase | None = None,
    data_dir: Path | None = None,
) -> CollectorSettings:
    """Settings from a `collector.yml`, where one is given, and from what wins over it.

    Raises `ConfigurationError` with every problem of the file, or `UsageError` for what was named otherwise.
    """
    settings = CollectorSettings() if file is None else read_collector_file(file)
    if listen is not None:
        try:
            host, port = parse_listen(listen)
        except _WrongError as error:
            raise UsageError(f"--listen: {error}") from None
        settings = replace(settings, host=host, port=port)
    if database is not None:
        settings = replace(settings, database=_named_database(database))
    return settings if data_dir is None else replace(settings, data_dir=data_dir)


def _named_database(named: NamedDatabase) -> SqliteDatabase | PostgresqlDatabase:
    try:
        if named.file is not None:
            return _database_in(named.file)
        database = parse_database((named.url or Secret("")).reveal())
    except (_WrongError, UnreadableFileError) as error:
        place = f"{named.file}: " if named.file is not None else ""
        raise UsageError(f"{named.name}: {place}{error}") from None
    if named.seen and isinstance(database, PostgresqlDatabase) and _has_password(database.url):
        raise UsageError(
            f"{named.name}: `ps` shows every user what is in a command, and this URL has a password: write it into a "
            "file for --database-file, or into FF_OBSERVE_COLLECTOR_DATABASE"
        )
    return database


def _database_in(file: Path) -> SqliteDatabase | PostgresqlDatabase:
    """Raises `UnreadableFileError`, or `_WrongError` for a file that holds something else."""
    text = read_text(file, MAX_SECRET_FILE_BYTES).strip()
    try:
        return parse_database(text)
    except _WrongError as error:
        raise _WrongError(f"in that file, {error}") from None


def _has_password(url: Secret) -> bool:
    from psycopg.conninfo import conninfo_to_dict

    return any("password" in name for name in conninfo_to_dict(url.reveal()))


def read_collector_file(file: Path) -> CollectorSettings:
    """Paths in the file are relative to its directory. Raises `ConfigurationError` with every problem."""
    try:
        root = parse(read_text(file))
    except UnreadableFileError as error:
        raise ConfigurationError((Problem(str(file), error.line, error.column, "", str(error)),)) from None
    except YAMLError as error:
        raise ConfigurationError((Problem(str(file), error.place.line, error.place.column, "", str(error)),)) from None
    reading = _Reading(file)
    if isinstance(root, Map):
        reading.take(root, "")
    elif root is not None:
        reading.problem(root, "", "write a map: one line 'key: value' for each setting")
    return reading.finish()


class _Reading:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._values: dict[str, Any] = {}
        self._problems: list[Problem] = []

    def problem(self, node: Node, key: str, message: str) -> None:
        self._problems.append(Problem(str(self._file), node.place.line, node.place.column, key, message))

    def take(self, found: Map, prefix: str) -> None:
        for name, entry in found.entries.items():
            dotted, node = prefix + name, entry.value
            key = _KEYS.get(dotted)
            if key is not None:
                try:
                    self._values[key.field] = key.read(node)
                except _WrongError as error:
                    self.problem(node, dotted, str(error))
            elif not any(known.startswith(f"{dotted}.") for known in _KEYS):
                place = entry.place
                message = f"there is no such key; there are {', '.join(_known_below(prefix))}"
                self._problems.append(Problem(str(self._file), place.line, place.column, dotted, message))
            elif isinstance(node, Map):
                self.take(node, f"{dotted}.")
            else:
                self.problem(node, dotted, f"write a map of {', '.join(_known_below(f'{dotted}.'))}")

    def finish(self) -> CollectorSettings:
        values = {name: value for name, value in self._values.items() if not name.startswith("limits.")}
        self._take_database_file(values)
        k = values.get("k", CollectorSettings().k)
        if values.get("public_k", k) < k:
            self._whole_file("fleet.public_k", f"write at least the {k} of fleet.k: the public sees no more than you")
        if self._problems:
            raise ConfigurationError(tuple(sorted(self._problems)))
        here = self._file.parent
        for name in ("data_dir", "key_file"):
            if name in values:
                values[name] = here / values[name]
        if isinstance(database := values.get("database"), SqliteDatabase) and database.path is not None:
            values["database"] = SqliteDatabase(here / database.path)
        if "listen" in values:
            values["host"], values["port"] = values.pop("listen")
        limits = {
            name.removeprefix("limits."): value for name, value in self._values.items() if name.startswith("limits.")
        }
        return CollectorSettings(**values, limits=Limits(**limits), named_in=str(self._file))

    def _take_database_file(self, values: dict[str, Any]) -> None:
        """The database from a file of its own, so that its password is in no file that is shown around."""
        secret_file = values.pop("database_file", None)
        if secret_file is None:
            return
        if "database" in values:
            self._whole_file("database_file", "write either database or database_file, not both")
            return
        try:
            values["database"] = _database_in(self._file.parent / secret_file)
        except (UnreadableFileError, _WrongError) as error:
            self._whole_file("database_file", str(error))

    def _whole_file(self, key: str, message: str) -> None:
        self._problems.append(Problem(str(self._file), 0, 0, key, message))


def _known_below(prefix: str) -> list[str]:
    """The names that may stand in one map."""
    below = [known.removeprefix(prefix) for known in _KEYS if known.startswith(prefix)]
    return list(dict.fromkeys(name.partition(".")[0] for name in below))
