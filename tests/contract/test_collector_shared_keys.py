"""One key for all collectors of a real PostgreSQL: made, replaced and destroyed once, and never lost."""

import ipaddress
import json
import logging
import signal
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from ff_observe.cli import main
from ff_observe.collector.keys.both import Keys
from ff_observe.collector.settings import CollectorSettings, PostgreSQLServer, SQLiteFile
from ff_observe.collector.store import StoreError
from ff_observe.collector.store.opening import open_store
from ff_observe.config.secret import Secret
from ff_observe.errors import ConfigurationError
from tests.fakes import FakeClock
from tests.real_parts import postgresql
from tests.real_parts.collector import ask, collecting, process, send
from tests.real_parts.processes import free_port, wait_until
from tests.unit.collector.pings import body

SENDER = ipaddress.ip_address("192.0.2.1").packed


@pytest.fixture
def database(postgres: postgresql.Cluster) -> str:
    return postgres.url(postgres.create(f"keys_{uuid.uuid4().hex}"))


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Callable[..., CollectorSettings]:
    """The settings of a collector with a directory of its own."""
    wrapping = tmp_path / "wrapping.key"
    wrapping.write_text("5a" * 32)
    wrapping.chmod(0o600)

    def of(name: str = "one", **changes: object) -> CollectorSettings:
        made = CollectorSettings(
            port=0, data_dir=tmp_path / name, database=PostgreSQLServer(Secret(database)), wrapping_key_file=wrapping
        )
        return replace(made, **changes)  # type: ignore[arg-type]  # each test names fields

    return of


def keys_of(settings: CollectorSettings, clock: FakeClock | None = None) -> Keys:
    return Keys(settings, open_store(settings), clock or FakeClock())


def opened(settings: CollectorSettings, clock: FakeClock | None = None) -> Keys:
    keys = keys_of(settings, clock)
    keys.open()
    assert keys.sender.is_open
    return keys


def rows(database: str) -> dict[str, bytes]:
    with psycopg.connect(database) as session:
        return {name: bytes(wrapped) for name, wrapped in session.execute("SELECT name, wrapped FROM collector_key")}


def test_collectors_that_start_at_once_on_an_empty_store_agree_on_both_keys(
    settings: Callable[..., CollectorSettings],
) -> None:
    made = [keys_of(settings(f"collector-{number}")) for number in range(4)]
    begin = threading.Barrier(len(made))

    def start(keys: Keys) -> None:
        begin.wait()
        while not keys.sender.is_open:  # one that finds the tables being made tries again, as a collector does
            keys.look_after()

    threads = [threading.Thread(target=start, args=(keys,)) for keys in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({keys.sender.of(SENDER) for keys in made}) == 1
    assert len({keys.receipts.public_key for keys in made}) == 1


def test_a_key_is_replaced_by_one_noticed_by_the_others_and_in_no_file_afterwards(
    settings: Callable[..., CollectorSettings], database: str, postgres: postgresql.Cluster, tmp_path: Path
) -> None:
    clock = FakeClock()
    one, other = (opened(settings(name), clock) for name in ("one", "other"))
    before, receipts = one.sender.of(SENDER), one.receipts.public_key
    old = rows(database)["sender"]
    clock.adjust(timedelta(days=30).total_seconds())
    assert one.look_after() <= 30
    assert other.look_after() <= 30
    assert one.sender.of(SENDER) == other.sender.of(SENDER) != before
    assert one.sender.created_at == other.sender.created_at == clock.now()
    assert one.receipts.public_key == other.receipts.public_key == receipts
    with psycopg.connect(database, autocommit=True) as session:
        session.execute("CHECKPOINT")
        (oid,) = session.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone() or (0,)
    files = [
        path for part in (f"base/{oid}", "global", "pg_stat") for path in (postgres.directory / "data" / part).iterdir()
    ]
    contents = [path.read_bytes() for path in files if path.is_file()]
    assert any(rows(database)["sender"] in content for content in contents), "the search would find it"
    assert not any(old in content for content in contents)
    assert not list(tmp_path.glob("*/key/sender.key*"))


def test_running_collectors_notice_it_within_a_minute_and_take_pings_throughout(
    settings: Callable[..., CollectorSettings],
) -> None:
    clock = FakeClock()
    with collecting(settings("one"), clock) as one, collecting(settings("other"), clock) as other:
        clock.await_waiters(8)
        metric = "ff_observe_collector_key_created_timestamp_seconds"

        def figures() -> set[str]:
            lines = "".join(ask(each.port, "GET", "/metrics").body.decode() for each in (one, other)).splitlines()
            return {line for line in lines if line.startswith(metric)}

        before = figures()
        clock.adjust(timedelta(days=31).total_seconds())
        clock.advance(60)
        after = figures()
        assert len(before) == len(after) == 1
        assert before != after
        assert send(one.port, body("1")).status == send(other.port, body("2")).status == 200


def test_keys_in_files_go_on_in_the_database_and_the_file_is_destroyed(
    settings: Callable[..., CollectorSettings], database: str
) -> None:
    """One collector becomes several: its senders and its receipts stay known."""
    alone = opened(settings("one", wrapping_key_file=None))
    opened(settings("other", wrapping_key_file=None))
    file = settings("one").sender_key_file
    secret = json.loads(file.read_text())["key"]
    one, other = opened(settings("one")), opened(settings("other"))
    assert one.sender.of(SENDER) == other.sender.of(SENDER) == alone.sender.of(SENDER)
    assert one.receipts.public_key == other.receipts.public_key == alone.receipts.public_key
    assert not file.exists()
    assert not settings("other").sender_key_file.exists()
    assert file.with_name("receipts.key").exists(), "a key that lives for ever is not taken from its owner"
    for wrapped in rows(database).values():
        assert bytes.fromhex(secret) not in wrapped
        assert secret.encode() not in wrapped


def test_the_command_prints_the_public_key_of_the_database(
    settings: Callable[..., CollectorSettings], database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "collector.yml"
    file.write_text(f"data_dir: third\ndatabase: {database}\nkeys: {{wrapping_key_file: wrapping.key}}\n")
    assert main(["collector", "key", "--settings", str(file)]) == 78
    assert "the row 'receipts' of the table collector_key does not exist" in capsys.readouterr().err
    key = opened(settings()).receipts.public_key
    assert main(["collector", "key", "--settings", str(file)]) == 0
    assert capsys.readouterr().out.strip() == key
    assert not (tmp_path / "third").exists()


def test_a_wrong_wrapping_key_and_a_store_without_keys_are_named(
    settings: Callable[..., CollectorSettings], tmp_path: Path
) -> None:
    opened(settings())
    wrong = tmp_path / "other.key"
    wrong.write_text("a5" * 32)
    wrong.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"keys\.wrapping_key_file: .*other\.key does not open"):
        keys_of(settings(wrapping_key_file=wrong)).open()
    with pytest.raises(ConfigurationError, match=r"keys\.wrapping_key_file: keeps keys in PostgreSQL"):
        keys_of(settings(database=SQLiteFile()))


def test_one_row_in_the_place_of_another_is_not_taken(
    settings: Callable[..., CollectorSettings], database: str
) -> None:
    opened(settings())
    with psycopg.connect(database) as session:
        session.execute(
            "UPDATE collector_key SET wrapped = (SELECT wrapped FROM collector_key WHERE name = 'receipts')"
        )
    with pytest.raises(ConfigurationError, match=r"the row 'sender' .* was wrapped for another purpose"):
        keys_of(settings()).open()


def test_a_missing_row_is_a_new_key_in_all_collectors(
    settings: Callable[..., CollectorSettings], database: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = opened(settings("one")), opened(settings("other"))
    before = one.sender.of(SENDER)
    with psycopg.connect(database) as session:
        session.execute("DELETE FROM collector_key WHERE name = 'sender'")
    one.look_after()
    other.look_after()
    assert one.sender.of(SENDER) == other.sender.of(SENDER) != before


KMS = """\
import os, signal, sys
from pathlib import Path
here = Path(__file__).parent
content = sys.stdin.buffer.read()
with (here / "called").open("a") as called:
    called.write(" ".join(sys.argv[1:]) + "\\n")
if (here / "down").exists():
    sys.stderr.buffer.write(content)
    sys.exit(1)
if (here / "kills").exists() and sys.argv[-1] == "wrap":
    (here / "kills").unlink()
    os.kill(os.getppid(), signal.SIGKILL)
sys.stdout.buffer.write(bytes(byte ^ 0x5A for byte in content))
"""


@pytest.fixture
def kms(tmp_path: Path) -> Path:
    """A program that wraps, unless there is a file `down` beside it; with `kills`, it ends the collector."""
    program = tmp_path / "kms" / "kms"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable} -IS\n{KMS}")
    program.chmod(0o700)
    return program


def test_a_collector_killed_between_wrapping_and_commit_loses_no_key(
    kms: Path, database: str, tmp_path: Path, settings: Callable[..., CollectorSettings]
) -> None:
    before = opened(settings("data", wrapping_key_file=None))
    (kms.parent / "kills").touch()
    keys = {"wrapping_command": [str(kms)]}
    with (
        pytest.raises(AssertionError, match=f"ended with -{int(signal.SIGKILL)}"),
        process(tmp_path, database=database, keys=keys),
    ):
        pass
    assert rows(database) == {}
    after = opened(settings("data", wrapping_key_file=None, wrapping_command=(str(kms),)))
    assert after.sender.of(SENDER) == before.sender.of(SENDER)
    assert after.receipts.public_key == before.receipts.public_key


def test_without_its_keys_a_collector_refuses_pings_and_recovers_by_itself(
    kms: Path, database: str, tmp_path: Path, settings: Callable[..., CollectorSettings]
) -> None:
    before = opened(settings("data", wrapping_key_file=None))
    secret = json.loads(settings("data").sender_key_file.read_text())["key"]
    (kms.parent / "down").touch()
    with process(tmp_path, database=database, keys={"wrapping_command": [str(kms)]}) as collector:
        refused = send(collector.port, body())
        assert (refused.status, ask(collector.port, "GET", "/-/ready").status) == (503, 503)
        assert "retry-after" in refused.headers
        (kms.parent / "down").unlink()
        wait_until(lambda: ask(collector.port, "GET", "/-/ready").status == 200, "the keys")
        assert send(collector.port, body()).status == 200
    log = next(tmp_path.glob("python*.log")).read_text()
    assert "pings are refused until the keys can be read: keys.wrapping_command" in log
    assert "Traceback" not in log
    assert not any(secret in path.read_text() for path in (next(tmp_path.glob("python*.log")), kms.parent / "called"))
    after = opened(settings("third", wrapping_key_file=None, wrapping_command=(str(kms),)))
    assert after.sender.of(SENDER) == before.sender.of(SENDER)


def test_a_command_that_does_not_unwrap_what_it_wraps_keeps_no_key(
    settings: Callable[..., CollectorSettings], database: str
) -> None:
    keys = keys_of(settings(wrapping_key_file=None, wrapping_command=("sh", "-c", "wc -c")))
    keys.open()
    assert not keys.sender.is_open
    assert rows(database) == {}


def test_a_failure_leaves_the_present_key_in_use(
    kms: Path, settings: Callable[..., CollectorSettings], caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    keys = opened(settings(wrapping_key_file=None, wrapping_command=(str(kms),)), clock)
    before = keys.sender.of(SENDER)
    (kms.parent / "down").touch()
    clock.adjust(timedelta(days=30).total_seconds())
    with caplog.at_level(logging.INFO):
        keys.look_after()
        keys.look_after()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert keys.sender.of(SENDER) == before
    (kms.parent / "down").unlink()
    keys.look_after()
    assert keys.sender.of(SENDER) != before


def test_a_command_is_run_once_for_each_key(kms: Path, settings: Callable[..., CollectorSettings]) -> None:
    keys = opened(settings(wrapping_key_file=None, wrapping_command=(str(kms),)))
    called = (kms.parent / "called").read_text()
    for _ in range(3):
        keys.look_after()
    assert (kms.parent / "called").read_text() == called


def test_an_unreachable_database_is_waited_for(settings: Callable[..., CollectorSettings]) -> None:
    url = f"postgresql://postgres:{postgresql.PASSWORD}@127.0.0.1:{free_port()}/pings"
    keys = keys_of(settings(database=PostgreSQLServer(Secret(url))))
    keys.open()
    assert not keys.sender.is_open
    with pytest.raises(StoreError):
        keys.receipts.open()
