"""The wrapping of the keys in a real PostgreSQL is rotated: no key is lost or made anew, and no ping refused."""

import contextlib
import itertools
import logging
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from ff_observe.cli import main
from ff_observe.collector.store.opening import open_store
from ff_observe.errors import ConfigurationError
from tests.contract.rotation import KINDS, NEW, OLD, WRONG, Rotation, Wrapping, of_each_kind, warnings, wrapped_by
from tests.contract.test_collector_shared_keys import SENDER, keys_of, opened, rows
from tests.fakes import FakeClock
from tests.real_parts import postgresql
from tests.real_parts.collector import ask, collecting, send
from tests.unit.collector.pings import body


@pytest.mark.parametrize("to", KINDS)
@of_each_kind
def test_the_keys_stay_and_only_the_new_wrapping_opens_them(
    rotation: Rotation, kind: str, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = rotation.wrapping(kind, OLD), rotation.wrapping(to, NEW)
    before, wrapped = opened(rotation.settings(old)), rows(rotation.database)
    command = rotation.command(new, old)
    assert main(command) == 0
    (setting,) = new
    assert capsys.readouterr().out == wrapped_by(setting)
    assert set(rows(rotation.database)) == set(wrapped) == {"receipts", "sender"}
    assert not set(rows(rotation.database).values()) & set(wrapped.values())
    after = opened(rotation.settings(new, name="other"))
    assert after.sender.of(SENDER) == before.sender.of(SENDER)
    assert after.receipts.public_key == before.receipts.public_key
    rewrapped = rows(rotation.database)
    assert main(command) == 0, "it may be repeated"
    assert capsys.readouterr().out == wrapped_by(setting, before=("receipts", "sender"))
    assert rows(rotation.database) == rewrapped


@of_each_kind
def test_two_collectors_take_pings_throughout_a_rotation_and_know_their_senders(
    rotation: Rotation, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The steps of docs/high-availability.md, one by one."""
    clock = FakeClock()
    old, new = rotation.wrapping(kind, OLD), rotation.wrapping("file", NEW)
    stacks = {"one": contextlib.ExitStack(), "other": contextlib.ExitStack()}
    ports: dict[str, int] = {}
    receipts: set[str] = set()
    numbers = itertools.count()

    def restart(name: str, present: Wrapping, previous: Wrapping | None = None) -> None:
        stacks[name].close()
        settings = rotation.settings(present, previous, name)
        ports[name] = stacks[name].enter_context(collecting(settings, clock)).port
        receipts.add(opened(settings, clock).receipts.public_key)

    def pings_are_taken() -> None:
        clock.await_waiters(8)
        clock.advance(60)
        for port in ports.values():
            assert send(port, body(f"instance-{next(numbers)}")).status == 200
            assert ask(port, "GET", "/-/ready").status == 200

    with stacks["one"], stacks["other"]:
        restart("one", old)
        restart("other", old)
        pings_are_taken()
        for name in stacks:
            restart(name, new, old)
            pings_are_taken()
        assert main(rotation.command(new, old)) == 0
        pings_are_taken()
        for name in stacks:
            restart(name, new)
            pings_are_taken()
    assert warnings(caplog) == []
    assert len(rotation.senders) == next(numbers) == 12
    assert len(receipts) == len(set(rotation.senders)) == 1


@of_each_kind
def test_collectors_with_the_old_wrapping_alone_say_so_and_keep_what_they_have(
    rotation: Rotation, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The wrong order: they go on, without a new key, until they are restarted with the new wrapping."""
    clock = FakeClock()
    old, new = rotation.wrapping(kind, OLD), rotation.wrapping("file", NEW)
    why = {"file": "does not open", "kms": "ended with status 3", "cipher": "by another command"}[kind]
    receipts = opened(rotation.settings(old), clock).receipts.public_key
    numbers = itertools.count()

    with (
        collecting(rotation.settings(old, name="one"), clock) as one,
        collecting(rotation.settings(old, name="other"), clock) as other,
    ):
        clock.await_waiters(8)

        def pings_are_taken() -> None:
            for port in (one.port, other.port):
                assert send(port, body(f"instance-{next(numbers)}")).status == 200
                assert ask(port, "GET", "/-/ready").status == 200

        pings_are_taken()
        assert main(rotation.command(new, old)) == 0
        rewrapped = rows(rotation.database)
        clock.advance(60)
        pings_are_taken()
        said = warnings(caplog)
        assert len(said) == 2, "each says it once"
        assert all("it stays in use" in each and why in each for each in said)
        clock.adjust(timedelta(days=31).total_seconds())
        clock.advance(60)
        pings_are_taken()
        assert rows(rotation.database) == rewrapped
        assert len(warnings(caplog)) == 2
    clock.adjust(-timedelta(days=31).total_seconds())
    with collecting(rotation.settings(new, name="one"), clock) as one:
        assert send(one.port, body(f"instance-{next(numbers)}")).status == 200
    assert len(rotation.senders) == next(numbers) == 7
    assert len(set(rotation.senders)) == 1
    assert opened(rotation.settings(new), clock).receipts.public_key == receipts


@of_each_kind
def test_a_wrong_previous_wrapping_changes_nothing_and_is_named(
    rotation: Rotation, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(rotation.settings(rotation.wrapping("file", OLD)))
    before = rows(rotation.database)
    command = rotation.command(rotation.wrapping("file", NEW), rotation.wrapping(kind, WRONG))
    assert main(command) == (1 if kind == "kms" else 78)
    assert rows(rotation.database) == before
    (setting,) = rotation.wrapping(kind, WRONG)
    said = capsys.readouterr()
    assert said.out == ""
    assert f"keys.previous_{setting}: " in said.err
    assert "keys.wrapping_key_file: " in said.err
    assert "no key is changed" in said.err
    assert "Traceback" not in said.err


def test_one_key_that_does_not_open_leaves_the_others_unchanged(
    rotation: Rotation, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = rotation.wrapping("file", OLD), rotation.wrapping("file", NEW)
    opened(rotation.settings(old))
    with psycopg.connect(rotation.database) as session:
        session.execute("UPDATE collector_key SET wrapped = 'x' WHERE name = 'sender'")
    before = rows(rotation.database)
    assert main(rotation.command(new, old)) == 78
    assert rows(rotation.database) == before
    assert "no key is changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("present", "said", "status"),
    [
        ({"wrapping_command": ["sh", "-c", "wc -c"]}, "does not unwrap what it has wrapped", 1),
        ({"wrapping_command": ["false"]}, "ended with status 1", 1),
        ({"wrapping_command": ["gone-command"]}, "cannot be run: No such file", 78),
        ({"wrapping_key_file": "gone.key"}, "cannot be used: No such file", 78),
    ],
)
def test_a_new_wrapping_that_does_not_work_changes_nothing_and_is_named(
    rotation: Rotation, present: Wrapping, said: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    old = rotation.wrapping("file", OLD)
    opened(rotation.settings(old))
    before = rows(rotation.database)
    assert main(rotation.command(present, old)) == status
    assert rows(rotation.database) == before
    error = capsys.readouterr().err
    (setting,) = present
    assert f"keys.{setting}: " in error
    assert said in error
    assert "no key is changed" in error


def test_what_the_command_cannot_do_is_said(rotation: Rotation, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = rotation.wrapping("file", OLD), rotation.wrapping("file", NEW)
    assert main(rotation.command(new, old)) == 1
    assert "this database keeps no keys" in capsys.readouterr().err
    assert main(rotation.command(new)) == 78
    assert "keys.previous_wrapping_key_file: name here" in capsys.readouterr().err
    assert main([*rotation.command(new, old), "--make"]) == 2
    assert "--rewrap prints no key" in capsys.readouterr().err
    file = rotation.written(new, old, "of-sqlite")
    file.write_text(file.read_text().replace(f"database: {rotation.database}\n", ""))
    assert main(["collector", "key", "--rewrap", "--settings", str(file)]) == 78
    assert "keys.wrapping_key_file: keeps keys in PostgreSQL" in capsys.readouterr().err
    assert not file.with_suffix("").exists(), "a refused command leaves nothing behind"


def test_no_secret_is_printed_and_the_old_copies_leave_the_files(
    rotation: Rotation, postgres: postgresql.Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = rotation.wrapping("cipher", OLD), rotation.wrapping("file", NEW)
    opened(rotation.settings(old))
    before = rows(rotation.database)
    secrets = [bytes(byte ^ OLD for byte in wrapped).split(b"\n")[1].decode() for wrapped in before.values()]
    assert any('"key": ' in secret for secret in secrets)
    assert main([*rotation.command(new, old), "--log-level", "debug"]) == 0
    said = "".join(capsys.readouterr())
    assert not any(secret in said for secret in (*secrets, f"{NEW:02x}" * 32))
    assert files_with(rotation, postgres, rows(rotation.database).values()), "the search would find them"
    assert not files_with(rotation, postgres, before.values())


def test_old_copies_that_a_transaction_can_read_are_named_and_left_to_the_upkeep(
    rotation: Rotation, postgres: postgresql.Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = rotation.wrapping("file", OLD), rotation.wrapping("file", NEW)
    opened(rotation.settings(old))
    before = rows(rotation.database)
    with psycopg.connect(rotation.database) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT count(*) FROM pg_class")
        assert main(rotation.command(new, old)) == 0
    said = capsys.readouterr().err
    assert "copies of what was deleted stay in the files of collector_key until an upkeep can rewrite" in said
    assert files_with(rotation, postgres, before.values())
    open_store(rotation.settings(new)).tidy(FakeClock().now())
    assert not files_with(rotation, postgres, before.values())


def files_with(rotation: Rotation, cluster: postgresql.Cluster, contents: Iterable[bytes]) -> list[Path]:
    """The files of the database that hold one of these, without the logs."""
    with psycopg.connect(rotation.database, autocommit=True) as session:
        session.execute("CHECKPOINT")
        (oid,) = session.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone() or (0,)
    files = [path for part in (f"base/{oid}", "global") for path in (cluster.directory / "data" / part).iterdir()]
    wanted = list(contents)
    return [path for path in files if path.is_file() and any(each in path.read_bytes() for each in wanted)]


def test_a_wrapping_that_cannot_be_used_ends_the_start_although_the_previous_one_opens_the_keys(
    rotation: Rotation,
) -> None:
    old, new = rotation.wrapping("file", OLD), rotation.wrapping("file", NEW)
    opened(rotation.settings(old))
    (rotation.directory / f"{NEW}.key").chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"keys\.wrapping_key_file: .*chmod 600"):
        keys_of(rotation.settings(new, old)).open()


def test_the_previous_wrapping_may_be_gone_once_it_is_not_needed(rotation: Rotation) -> None:
    old, new = rotation.wrapping("file", OLD), rotation.wrapping("file", NEW)
    opened(rotation.settings(old))
    assert main(rotation.command(new, old)) == 0
    (rotation.directory / f"{OLD}.key").unlink()
    opened(rotation.settings(new, old))


def test_a_command_that_does_not_answer_is_waited_for_although_the_previous_key_opens_nothing(
    rotation: Rotation, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = rotation.wrapping("file", WRONG), rotation.wrapping("kms", NEW)
    before = opened(rotation.settings(new))
    (rotation.directory / "down").touch()
    keys = keys_of(rotation.settings(new, old))
    keys.open()
    assert not keys.sender.is_open
    (said,) = warnings(caplog)
    assert "pings are refused until the keys can be read: keys.wrapping_command" in said
    assert "keys.previous_wrapping_key_file" in said
    (rotation.directory / "down").unlink()
    keys.look_after()
    assert keys.sender.of(SENDER) == before.sender.of(SENDER)


def test_a_collector_says_which_key_the_previous_wrapping_opens(
    rotation: Rotation, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = rotation.wrapping("file", OLD), rotation.wrapping("file", NEW)
    opened(rotation.settings(old))
    with caplog.at_level(logging.INFO):
        keys = opened(rotation.settings(new, old))
        keys.look_after()
    said = [message for message in caplog.messages if "still wrapped as keys.previous_wrapping_key_file" in message]
    assert [message.split()[2] for message in said] == ["receipts", "sender"]
