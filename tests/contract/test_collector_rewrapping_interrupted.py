"""A rotation that is killed, or overtaken by a collector: no key is lost, and repeating it does what is left."""

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta

import psycopg
import pytest

from ff_observe.collector.keys.shared import Rewrapped, WrappedKeys, keys_in_database, rewrap
from tests.contract.rotation import NEW, OLD, Rotation, wrapped_by
from tests.contract.test_collector_shared_keys import SENDER, opened, rows
from tests.fakes import FakeClock
from tests.network_guard import guarded_environment
from tests.real_parts import postgresql
from tests.real_parts.processes import wait_until


@pytest.mark.parametrize("by_new", [False, True], ids=["with the old wrapping", "with both"])
def test_a_key_that_a_collector_replaces_meanwhile_is_not_lost(rotation: Rotation, by_new: bool) -> None:
    clock = FakeClock()
    old, new = rotation.wrapping("file", OLD), rotation.wrapping("kms", NEW)
    settings = rotation.settings(new, old)
    opened(rotation.settings(old), clock)
    collector = opened(settings if by_new else rotation.settings(old, name="other"), clock)
    before = collector.sender.of(SENDER)

    def replace() -> None:
        clock.adjust(timedelta(days=30).total_seconds())
        collector.look_after()

    store, wrapping = keys_in_database(settings)
    done = list(rewrap(Overtaken(store, replace), wrapping))
    setting = "keys.wrapping_command"
    assert done == [Rewrapped("receipts", setting, was_before=False), Rewrapped("sender", setting, was_before=by_new)]
    after = opened(rotation.settings(new, name="third"), clock)
    assert after.sender.of(SENDER) == collector.sender.of(SENDER) != before


def test_a_row_that_is_deleted_meanwhile_stays_deleted(rotation: Rotation) -> None:
    old, new = rotation.wrapping("file", OLD), rotation.wrapping("kms", NEW)
    opened(rotation.settings(old))

    def delete() -> None:
        with psycopg.connect(rotation.database) as session:
            session.execute("DELETE FROM collector_key WHERE name = 'sender'")

    store, wrapping = keys_in_database(rotation.settings(new, old))
    assert [each.name for each in rewrap(Overtaken(store, delete), wrapping)] == ["receipts"]
    assert set(rows(rotation.database)) == {"receipts"}


class Overtaken:
    """A store in which something happens between the reading of the sender's key and its replacement."""

    def __init__(self, store: WrappedKeys, happens: Callable[[], None]) -> None:
        self._store = store
        self._happens: Callable[[], None] | None = happens

    def wrapped_key(self, name: str) -> bytes | None:
        read = self._store.wrapped_key(name)
        if name == "sender" and self._happens is not None:
            happens, self._happens = self._happens, None
            happens()
        return read

    def wrapped_key_names(self) -> Sequence[str]:
        return self._store.wrapped_key_names()

    def replace_wrapped_key(self, name: str, old: bytes | None, new: bytes) -> bool:
        return self._store.replace_wrapped_key(name, old, new)


def run_apart(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which may be killed."""
    program = [sys.executable, "-m", "ff_observe", *command]
    return subprocess.run(program, env=guarded_environment(), capture_output=True, text=True, check=False)


def test_killed_while_a_command_wraps_it_has_changed_nothing(rotation: Rotation) -> None:
    old, new = rotation.wrapping("file", OLD), rotation.wrapping("kms", NEW)
    before, wrapped = opened(rotation.settings(old)), rows(rotation.database)
    command = rotation.command(new, old)
    called = rotation.directory / "called"
    for runs in range(1, 7):  # for each of two keys: it does not unwrap it, wraps it, and unwraps that
        called.unlink(missing_ok=True)
        (rotation.directory / "kills").write_text(str(runs))
        assert run_apart(command).returncode == -signal.SIGKILL
        assert rows(rotation.database) == wrapped
    (rotation.directory / "kills").unlink()
    ended = run_apart(command)
    assert (ended.returncode, ended.stdout) == (0, wrapped_by("wrapping_command"))
    assert opened(rotation.settings(new, name="other")).sender.of(SENDER) == before.sender.of(SENDER)


def test_killed_between_two_keys_it_goes_on_when_repeated(rotation: Rotation, postgres: postgresql.Cluster) -> None:
    old, new = rotation.wrapping("kms", OLD), rotation.wrapping("file", NEW)
    before, wrapped = opened(rotation.settings(old)), rows(rotation.database)
    command = rotation.command(new, old)
    with psycopg.connect(rotation.database, autocommit=True) as session:
        session.execute(
            "CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END $$"
        )
        session.execute(
            "CREATE TRIGGER waits BEFORE UPDATE ON collector_key FOR EACH ROW WHEN (NEW.name = 'sender') "
            "EXECUTE FUNCTION waits()"
        )
        session.execute("SELECT pg_advisory_lock(7)")
        program = [sys.executable, "-m", "ff_observe", *command]
        with subprocess.Popen(program, env=guarded_environment(), stdout=subprocess.PIPE, text=True) as process:
            waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            wait_until(lambda: session.execute(waits).fetchone() is not None, "the second key")
            process.kill()
        postgres.end_sessions("application_name = 'ff-observe-collector' AND datname = %s", session.info.dbname)
    after = rows(rotation.database)
    assert after["sender"] == wrapped["sender"]
    assert after["receipts"] != wrapped["receipts"]
    both = opened(rotation.settings(new, old, name="other"))
    assert both.sender.of(SENDER) == before.sender.of(SENDER)
    assert both.receipts.public_key == before.receipts.public_key
    ended = run_apart(command)
    assert (ended.returncode, ended.stdout) == (0, wrapped_by("wrapping_key_file", before=("receipts",)))
    assert opened(rotation.settings(new, name="third")).sender.of(SENDER) == before.sender.of(SENDER)
