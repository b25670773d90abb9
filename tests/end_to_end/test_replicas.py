"""Three bridges of one platform as processes of their own, without a common disk, on one real PostgreSQL: one ping."""

import contextlib
import json
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ff_observe.cli import main
from ff_observe.platform.sources.postgresql_locks import platform_key
from tests.platforms import case_named
from tests.real_parts.bridge import Bridge, home_with, running_bridge
from tests.real_parts.postgresql import PASSWORD, Cluster
from tests.real_parts.processes import wait_until
from tests.unit.ping.receivers import Receiver, answer, receiver

PLATFORM = case_named("v2.4.0-postgres-dev")
PROMETHEUS = "  backend:\n    prometheus:\n      enabled: true\n      port: 0\n"
PATIENCE = 300.0
LEADER = "ff_observe_ping_leader"
DELIVERED, FAILED = (f'ff_observe_pings_total{{outcome="{outcome}"}}' for outcome in ("delivered", "failed"))


def home(directory: Path, postgres: Cluster, url: str, more: str = "") -> Path:
    database = (
        f"  type: postgres\n  host: 127.0.0.1\n  port: {postgres.port}\n  user: postgres\n"
        f"  password: {PASSWORD}\n  database: replicas\n"
    )
    return home_with(directory / "home", database, f"  url: {url}\n{PROMETHEUS}{more}")


@contextlib.contextmanager
def platform(postgres: Cluster) -> Iterator[Receiver]:
    """Where its pings arrive. The first attempt fails, and may be tried again in an hour."""
    postgres.load("replicas", PLATFORM.home / "dump.sql")
    attempts: list[int] = []

    def respond(handler: BaseHTTPRequestHandler) -> None:
        attempts.append(503 if not attempts else 200)
        answer(attempts[-1], Retry_After="3600")(handler)

    with receiver(respond) as receiving:
        yield receiving


def holders_of_marks(postgres: Cluster) -> int:
    """How many sessions know of a ping."""
    with postgres.connect("replicas") as connection:
        row = connection.execute(
            "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
            " AND objid::bigint > 1 AND objid::bigint %% 2 = 0 AND classid::bigint = %s",
            [platform_key(_instance_id(connection)) & 0xFFFFFFFF],
        ).fetchone()
    assert row is not None
    return int(str(row[0]))


def _instance_id(connection: object) -> str:
    row = connection.execute(  # type: ignore[attr-defined]  # a psycopg connection
        """SELECT value FROM "PlatformSettings" WHERE key = 'instanceId'"""
    ).fetchone()
    return str(row[0])


def leader_of(bridges: list[Bridge]) -> Bridge | None:
    leaders = [bridge for bridge in bridges if bridge.value(LEADER) == 1]
    return leaders[0] if len(leaders) == 1 else None


@pytest.mark.timeout(900)
def test_one_sends_and_who_follows_a_killed_leader(
    tmp_path: Path, postgres: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as stack:
        receiving = stack.enter_context(platform(postgres))
        bridges = []
        for number in range(3):
            directory = tmp_path / str(number)
            made = home(directory, postgres, receiving.url())
            bridges.append(stack.enter_context(running_bridge(made, directory)))
        leader = wait_until(lambda: leader_of(bridges), "a leader", PATIENCE)
        followers = [bridge for bridge in bridges if bridge is not leader]

        # It fails, and all know that today's ping is still owed: the sender may die now.
        wait_until(lambda: leader.value(FAILED) == 1, "the first attempt", PATIENCE)
        wait_until(lambda: holders_of_marks(postgres) == 0, "all to know that it failed", PATIENCE)
        leader.signal(signal.SIGKILL)
        second = wait_until(lambda: leader_of(followers), "another leader", PATIENCE)
        (third,) = (bridge for bridge in followers if bridge is not second)
        wait_until(lambda: second.value(DELIVERED) == 1, "the ping", PATIENCE)

        # The other knows of it, and why it does not send is said there and on any other machine.
        wait_until(lambda: holders_of_marks(postgres) == 2, "the other to know of the ping", PATIENCE)
        assert third.value('ff_observe_ping_enabled{rule="another_bridge"}') == 0
        assert "another bridge of this platform was elected" in third.get("/").text.lower()
        monkeypatch.setattr("socket.gethostname", lambda: "another machine")
        assert main(["--home", str(tmp_path / "2" / "home"), "ping", "why", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["rule"] == "another_bridge"
        monkeypatch.undo()
        assert main(["--home", str(tmp_path / "2" / "home"), "ping", "why", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["allowed"] is True

        second.signal(signal.SIGKILL)
        wait_until(lambda: third.value(LEADER) == 1, "the last to lead", PATIENCE)
        assert holders_of_marks(postgres) == 1
        third.signal(signal.SIGTERM)
        assert third.wait() == 0
    assert len(receiving.requests) == 2  # the one that failed, and one


@pytest.mark.parametrize(
    ("sender", "rule"), [("never", "sender_never"), ("always", "licensed"), ("elected", "licensed")]
)
def test_the_file_may_decide(
    sender: str, rule: str, tmp_path: Path, postgres: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres.load("replicas", PLATFORM.home / "dump.sql")
    made = home(tmp_path, postgres, "http://127.0.0.1:9/ping", f"  ping:\n    sender: {sender}\n")
    assert main(["--home", str(made), "ping", "why", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rule"] == rule


def test_a_ping_sent_by_hand_says_that_it_is_one_more(
    tmp_path: Path, postgres: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres.load("replicas", PLATFORM.home / "dump.sql")
    with receiver(answer(200)) as receiving:
        assert main(["--home", str(home(tmp_path, postgres, receiving.url())), "ping", "send"]) == 0
    assert "takes no part in the election" in capsys.readouterr().err
    assert len(receiving.requests) == 1
