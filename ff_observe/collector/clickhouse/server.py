"""Statements over ClickHouse's HTTP interface. What it answers to an error may quote values, and is never shown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlencode, urlsplit

import orjson
import urllib3

from ff_observe.collector.settings_kinds import ClickHouse
from ff_observe.collector.store import StoreError
from ff_observe.delivery.connection import Connections
from ff_observe.delivery.errors import status_in_words, unreached
from ff_observe.delivery.pools import make_pool

_OLD: Final = re.compile(rb"Code: [0-9]+, e\.displayText\(\) = ")
_NAME: Final = re.compile(rb" \(([A-Z][A-Z0-9_]*)\)(?: \(version [^()]*(?:\([^()]*\)[^()]*)?\))?\Z")
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 300.0
PORTS: Final = {"clickhouse": ("http", 8123), "clickhouses": ("https", 8443)}
_SETTINGS: Final = {
    "default_format": "JSONCompactEachRow",
    "output_format_json_quote_64bit_integers": "0",
    "wait_end_of_query": "1",  # otherwise an error may follow a status of 200
}


class Server:
    """One database of a server. Each statement has a connection of its own, which another thread may cut."""

    def __init__(self, database: ClickHouse) -> None:
        parts = urlsplit(database.url.reveal())
        scheme, usual_port = PORTS[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self.name = f"{parts.scheme}://{host}:{parts.port or usual_port}{parts.path}"
        self._url = f"{scheme}://{host}:{parts.port or usual_port}/"
        self._parameters = {**_SETTINGS, "database": parts.path.strip("/")}
        self._headers = {
            "X-ClickHouse-User": unquote(parts.username or "default"),
            **({"X-ClickHouse-Key": unquote(parts.password)} if parts.password else {}),
        }
        self._connections = Connections()

    def run(self, what: str, statement: str, **parameters: object) -> list[list[Any]]:
        """The rows of its answer; `{name:Type}` in the statement stands for a parameter. `what` names the work in
        errors. Raises `StoreError`."""
        named = {f"param_{name}": str(value) for name, value in parameters.items()}
        answer = self._answer(what, named, statement.encode())
        return [orjson.loads(line) for line in answer.splitlines()]

    def insert(self, what: str, statement: str, columns: Iterable[Sequence[object]]) -> None:
        """Run an `INSERT … FORMAT JSONCompactEachRow` of the columns. Raises `StoreError`."""
        rows = b"\n".join(orjson.dumps(row) for row in zip(*columns, strict=True))
        self._answer(what, {"query": statement}, rows)

    def _answer(self, what: str, parameters: Mapping[str, str], body: bytes) -> bytes:
        try:
            status, answer = self._post(f"{self._url}?{urlencode({**self._parameters, **parameters})}", body)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreError(f"ClickHouse could not {what}: {unreached(error, 'it')}") from None
        if status != 200:
            raise StoreError(f"ClickHouse could not {what}: {_kind(status, answer)}")
        return answer

    def _post(self, url: str, body: bytes) -> tuple[int, bytes]:
        connection = self._connections.new()
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS)
        with connection.limited(ANSWER_SECONDS), make_pool(url, None, lambda: connection, timeout) as pool:
            answer = pool.request("POST", url, body=body, headers=self._headers, redirect=False, retries=False)
            return answer.status, answer.data

    def interrupt(self) -> None:
        """Make running and future statements in other threads fail soon."""
        self._connections.abort()


def _kind(status: int, answer: bytes) -> str:
    """The name of an error, as `UNKNOWN_TABLE`, which stands in brackets at the end of its text or before the
    version."""
    if _OLD.match(answer):
        return "it is too old: ClickHouse 26.9 was tried"
    name = _NAME.search(answer[:100_000].rstrip())
    return name[1].decode() if name else f"status {status_in_words(status)}"
