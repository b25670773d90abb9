"""The promise kept, and proven: of a sender's address nothing but a keyed hash ever reaches the disk.

Canary addresses and personal data are pushed at the collector in every way there is. Then every byte it, its database
and its logs left behind is searched for them, in every form an address is likely to be written in.
"""

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import urllib.parse
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from ff_observe.collector.keys.sender_hash import material
from tests.real_parts import postgresql
from tests.real_parts.collector import ask, process, send
from tests.real_parts.processes import free_port, wait_until
from tests.unit.collector.pings import body, instance

CONNECTIONS = ("127.83.14.201", "127.201.7.66")
"""Where connections themselves come from: all of 127.0.0.0/8 is this machine."""
ADDRESSES = ("198.51.100.77", "203.0.113.201", "192.0.2.149", "2001:db8:5ca1:ab1e::c0de", "2001:db8:feed:beef:1:2:3:4")
PEOPLE = ("alice.canary@example.com", "Canary McCanaryface", "+49 170 0815 4711")
HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s", "sha3_256")


@dataclass(frozen=True)
class Marks:
    """What gives a canary away: as it stands, and in hexadecimal of either case."""

    exact: frozenset[bytes]
    hexadecimal: frozenset[bytes]

    @classmethod
    def of(cls, texts: Iterable[str], raw: Iterable[bytes] = (), hashes: Iterable[bytes] = ()) -> "Marks":
        plain = {*(text.encode() for text in texts), *raw}
        exact = {*plain, *(text.encode("utf-16-le") for text in texts), *hashes}
        exact |= {form for each in plain for shift in range(3) for form in base64_forms(each, shift)}
        exact |= {form for each in hashes for form in base64_forms(each, 0)}
        written = {each.hex().encode() for each in (*plain, *hashes)}
        return cls(frozenset(exact), frozenset(written))

    def in_(self, content: bytes) -> bool:
        lower = content.lower()
        return any(mark in content for mark in self.exact) or any(mark in lower for mark in self.hexadecimal)


def base64_forms(raw: bytes, shift: int) -> Iterator[bytes]:
    """The characters of base64, in both alphabets, that depend on `raw` alone when `shift` bytes stand before it."""
    skipped, length = (0, 2, 3)[shift], (shift + len(raw)) * 8 // 6
    encoded = base64.b64encode(b"\0" * shift + raw)[skipped:length]
    if len(encoded) >= 6:
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))


def marks_of(address: str) -> Marks:
    """Everything that would give an address away."""
    parsed = ipaddress.ip_address(address)
    texts = {address, parsed.exploded, parsed.reverse_pointer, str(int(parsed)), urllib.parse.quote(address)}
    raw = {parsed.packed, parsed.packed[::-1]}
    hashed = [address.encode(), parsed.exploded.encode(), parsed.packed, material(parsed.packed)]
    if parsed.version == 6:
        site = str(ipaddress.ip_network(f"{address}/64", strict=False))
        raw.add(parsed.packed[:8])
        hashed += [parsed.packed[:8], site.encode(), site.removesuffix("/64").encode()]
    hashes = {hashlib.new(name, each).digest()[:16] for each in hashed for name in HASHES}
    hashes |= {hashlib.blake2b(each, digest_size=size).digest() for each in hashed for size in (16, 32)}
    hashes |= {hmac.digest(b"", each, "sha256") for each in hashed}  # a key that was forgotten
    return Marks.of(texts, raw, hashes)


MARKS = {
    **{address: marks_of(address) for address in (*ADDRESSES, *CONNECTIONS)},
    **{person: Marks.of([person]) for person in PEOPLE},
}


def give_aways(directory: Path) -> dict[str, list[str]]:
    """Which canaries are found in which files below the directory, compressed ones unpacked. Of equal files (the
    databases of a new PostgreSQL cluster) one is searched, and runs of zeros are shortened."""
    found: dict[str, list[str]] = {}
    searched: set[bytes] = set()
    for path in sorted(directory.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        with contextlib.suppress(zlib.error):
            content += zlib.decompress(content, zlib.MAX_WBITS | 32)
        content = re.sub(rb"\0{32,}", bytes(32), content)
        digest = hashlib.sha256(content).digest()
        if digest in searched:
            continue
        searched.add(digest)
        for canary, marks in MARKS.items():
            if marks.in_(content):
                found.setdefault(canary, []).append(str(path.relative_to(directory)))
    return found


def connected(port: int, source: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10, source_address=(source, 0))


def from_address(address: str, port: int, sent: bytes, headers: Mapping[str, str], source: str) -> None:
    """A raw request, whose answer does not matter."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /ping?from={address} HTTP/1.1\r\nHost: {address}\r\n{lines}Content-Length: {len(sent)}\r\n\r\n"
    with connected(port, source) as client, contextlib.suppress(OSError):
        client.sendall(head.encode() + sent)
        client.settimeout(2)
        client.recv(1000)


def push_everything(port: int, prefix: str) -> int:
    """Canaries in every place a request has. Returns how many pings were accepted."""
    accepted = 0
    for index, address in enumerate(ADDRESSES):
        source = CONNECTIONS[index % len(CONNECTIONS)]
        bracketed = f"[{address}]" if ":" in address else address
        carriers = {
            "X-Forwarded-For": f"{address}, {bracketed}:4711",
            "Forwarded": f'for="{bracketed}";proto=https',
            "X-Real-IP": address,
            "CF-Connecting-IP": address,
            "True-Client-IP": address,
            "User-Agent": f"axios/1 ({address}; {PEOPLE[0]})",
            "Cookie": f"who={PEOPLE[1]}; ip={address}",
            "Authorization": "Basic " + base64.b64encode(f"{address}:{PEOPLE[0]}".encode()).decode(),
            "Referer": f"http://{bracketed}/{PEOPLE[0]}",
        }
        unknown: dict[str, Any] = {
            "ip": address,
            "user": {"mail": PEOPLE[0], "name": PEOPLE[1], "phone": PEOPLE[2]},
            PEOPLE[0]: 1,
            address: 2,
            "os__hostname": PEOPLE[1],
            "platform__counts__" + PEOPLE[0]: 3,
            "platform__license__holder": PEOPLE[1],
        }
        accepted += send(port, body(f"{prefix}-{index}", **unknown), carriers, source=source).status == 200
        accepted += send(port, body(f"{prefix}-plain-{index}"), carriers, f"/?ip={address}", source).status == 200
        for malformed in (
            address.encode(),
            b'{"instanceId":"%b' % address.encode(),
            b'{"instanceId":["%b"]}' % address.encode(),
            body(instanceId=f"{address}\x00{PEOPLE[0]}"),
            body(platform__counts__users=f"{address} {PEOPLE[0]}"),
            body(os=PEOPLE[0], env=address),
            b"\xff" + ipaddress.ip_address(address).packed,
            f'{{"instanceId": "{address}"'.encode("utf-16"),
            body(x=address * 10_000),
        ):
            from_address(address, port, malformed, carriers, source)
        with connected(port, source) as client, contextlib.suppress(OSError):
            client.sendall(f"{address} {PEOPLE[0]} nonsense\r\n\r\n".encode())
            client.recv(1000)
        with connected(port, source) as client:  # breaks off
            head = f"POST /{address} HTTP/1.1\r\nX-Forwarded-For: {address}\r\nContent-Length: 99\r\n\r\n"
            client.sendall((head + address).encode())
        for path in (f"/{address}", f"/metrics?{address}", f"/-/ready?{PEOPLE[1].replace(' ', '+')}"):
            ask(port, "GET", path, headers=carriers, source=source)
    return accepted


@pytest.fixture(params=["untrusted proxies", "trusted proxies"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    trusted = ["127.0.0.0/8"] if request.param == "trusted proxies" else []
    return {
        "address": {"trusted_proxies": trusted},
        "fleet": {"public": True, "interval_seconds": 1, "k": 1, "public_k": 1},
    }


def push_while_it_is_killed(directory: Path, port: int, settings: dict[str, Any]) -> None:
    """A load of canaries, ended by kill -9."""
    with process(directory, port, **settings) as collector:
        clients = []
        for index in range(40):
            client = connected(port, CONNECTIONS[index % len(CONNECTIONS)])
            address = ADDRESSES[index % len(ADDRESSES)]
            sent = body(f"killed-{index}", ip=address, name=PEOPLE[index % len(PEOPLE)])
            head = f"POST /ping HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {address}\r\n"
            client.sendall(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
            clients.append(client)
        os.kill(collector.pid, signal.SIGKILL)
        for client in clients:
            client.close()


def kept_senders(rows: list[tuple[Any, ...]]) -> set[Any]:
    return {sender for (sender,) in rows}


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    """Without this, finding nothing would mean nothing."""
    planted = {
        "text": b"from %b at noon" % ADDRESSES[0].encode(),
        "packed": b"\0\0" + ipaddress.ip_address(ADDRESSES[1]).packed,
        "hexadecimal": ipaddress.ip_address(ADDRESSES[3]).packed.hex().encode(),
        "base64": base64.b64encode(b"xy" + ADDRESSES[2].encode() + b"zz"),
        "connection": f"peer=('{CONNECTIONS[0]}', 4711)".encode(),
        "unkeyed hash": hashlib.sha256(ADDRESSES[4].encode()).digest(),
        "unkeyed hash in text": hashlib.sha1(ADDRESSES[4].encode()).hexdigest().encode(),
        "hash without a key": hmac.digest(b"", b"4" + ipaddress.ip_address(CONNECTIONS[1]).packed, "sha256"),
        "hash of the site": hashlib.sha256(b"6" + ipaddress.ip_address(ADDRESSES[3]).packed[:8]).digest(),
        "person": f"name={PEOPLE[1]}".encode(),
        "person in base64": base64.b64encode(f'{{"mail":"{PEOPLE[0]}"}}'.encode()),
    }
    for name, content in planted.items():
        place = tmp_path / name
        place.mkdir()
        (place / "file").write_bytes(content)
        assert list(give_aways(place).values()) == [["file"]], name
    database = sqlite3.connect(tmp_path / "pings.db")
    database.execute("CREATE TABLE ping (sender TEXT)")
    database.execute("INSERT INTO ping VALUES (?)", (ADDRESSES[0],))
    database.commit()
    database.close()
    assert give_aways(tmp_path)[ADDRESSES[0]] == ["pings.db", "text/file"]


def test_sqlite_keeps_no_address_and_nothing_that_was_not_asked_for(tmp_path: Path, settings: dict[str, Any]) -> None:
    port = free_port()
    with process(tmp_path, port, **settings):
        assert push_everything(port, "up") == 2 * len(ADDRESSES)
    push_while_it_is_killed(tmp_path, port, settings)
    database = tmp_path / "data" / "pings" / "pings.sqlite3"
    with process(tmp_path, port, **settings):
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")  # the store fails: nobody else may write
            assert push_everything_refused(port) > 0
            holder.execute("ROLLBACK")
        wait_until(lambda: send(port, body("up again")).status == 200, "the collector to recover")
        assert give_aways(tmp_path) == {}, "also while it runs, in the journal"
        _the_fleet_tells_nothing(port)
    rows = sqlite3.connect(database).execute("SELECT DISTINCT sender FROM ping").fetchall()
    _every_sender_is_a_keyed_hash(tmp_path, kept_senders(rows), trusted=bool(settings["address"]["trusted_proxies"]))
    assert give_aways(tmp_path) == {}


def push_everything_refused(port: int) -> int:
    """Canaries while the store fails. Returns how many were turned away."""
    statuses = []
    for index, address in enumerate(ADDRESSES):
        sent = body(f"down-{index}", ip=address, person=PEOPLE[0])
        source = CONNECTIONS[index % len(CONNECTIONS)]
        statuses.append(send(port, sent, {"X-Forwarded-For": address}, source=source).status)
    assert set(statuses) == {503}
    return len(statuses)


def _the_fleet_tells_nothing(port: int) -> None:
    """With k = 1 even the names of single unknown fields are told: but none that could be an address or a person."""
    for path in ("/metrics", "/", "/fleet.json"):
        answer = ask(port, "GET", path).body
        assert [canary for canary, marks in MARKS.items() if marks.in_(answer)] == []


def _every_sender_is_a_keyed_hash(directory: Path, senders: set[Any], *, trusted: bool) -> None:
    """The promise's other half: the hash is there, differs by sender where that is known, and is keyed."""
    assert all(len(bytes.fromhex(sender)) == 32 for sender in senders)
    assert len(senders) >= len(ADDRESSES if trusted else CONNECTIONS)
    key = directory / "data" / "key" / "sender.key"
    kept = [path for path in (directory / "data").rglob("*") if path.is_file()]
    assert key in kept
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert not any(path.is_relative_to(key.parent) for path in (directory / "data" / "pings").rglob("*"))


@pytest.fixture
def tmp_path(open_directory: Path) -> Path:
    """All that is searched, the database's files too, whose user pytest's own directory shuts out at any time."""
    return open_directory


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[postgresql.Cluster]:
    """A PostgreSQL in which nobody else leaves anything."""
    with postgresql.cluster(tmp_path / "postgresql") as running:
        yield running


def test_the_search_finds_what_is_planted_in_postgresql(tmp_path: Path, cluster: postgresql.Cluster) -> None:
    with cluster.connect() as session:
        session.execute("CREATE TABLE planted (sender text, packed bytea)")
        packed = ipaddress.ip_address(ADDRESSES[3]).packed
        session.execute("INSERT INTO planted VALUES (%s, %s)", (ADDRESSES[0], packed))
        session.execute("CHECKPOINT")
    found = give_aways(tmp_path)
    for address in (ADDRESSES[0], ADDRESSES[3]):
        files = "\n".join(found[address])
        assert all(place in files for place in ("postgres.log", "data/pg_wal/", "data/base/")), files


def test_postgresql_keeps_no_address_and_nothing_that_was_not_asked_for(
    tmp_path: Path, settings: dict[str, Any], cluster: postgresql.Cluster
) -> None:
    """The server logs every statement with its values, on purpose."""
    url = cluster.url("postgres")
    port = free_port()
    settings = {**settings, "database": url}
    with process(tmp_path, port, **settings):
        assert push_everything(port, "up") == 2 * len(ADDRESSES)
    push_while_it_is_killed(tmp_path, port, settings)
    with process(tmp_path, port, **settings):
        with psycopg.connect(url, autocommit=True) as session:
            # Every write fails, and the server writes the whole failing row to its log.
            session.execute("ALTER TABLE ping ADD CONSTRAINT never CHECK (false) NOT VALID")
            assert push_everything_refused(port) > 0
            assert b"Failing row contains" in cluster.log.read_bytes()
            session.execute("ALTER TABLE ping DROP CONSTRAINT never")
        wait_until(lambda: send(port, body("up again")).status == 200, "the collector to recover")
        _the_fleet_tells_nothing(port)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CHECKPOINT")
        rows = session.execute("SELECT DISTINCT encode(sender, 'hex') FROM ping").fetchall()
        _every_sender_is_a_keyed_hash(
            tmp_path, kept_senders(rows), trusted=bool(settings["address"]["trusted_proxies"])
        )
        written = instance("up again").encode()
        assert any(written in path.read_bytes() for path in cluster.directory.rglob("*") if path.is_file())
    assert give_aways(tmp_path) == {}


def test_backups_of_the_data_do_not_hold_the_key(tmp_path: Path) -> None:
    with process(tmp_path) as collector:
        assert send(collector.port, body()).status == 200
    key = yaml.safe_load((tmp_path / "data" / "key" / "sender.key").read_text())["key"]
    backup = shutil.copytree(tmp_path / "data" / "pings", tmp_path / "backup")
    searched = subprocess.run(["grep", "-rl", key, backup], capture_output=True)
    assert searched.stdout == b""
    raw = bytes.fromhex(key)
    assert not any(raw in path.read_bytes() for path in backup.rglob("*") if path.is_file())
