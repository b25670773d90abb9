"""Two collectors of one PostgreSQL behind a real HAProxy, with the recipe in deploy/haproxy: one key, the same figures,
and a collector that is killed costs no ping."""

import asyncio
import base64
import os
import re
import shutil
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ff_observe.transparency.checkpoints import Checkpoint
from tests.real_parts import postgresql
from tests.real_parts.collector import Running, ask, process, sample, send
from tests.real_parts.install import SEARCH_PATH
from tests.real_parts.load import Load
from tests.real_parts.processes import PATIENCE_SECONDS, accepts, free_port, running, wait_until
from tests.unit.collector.pings import body

RECIPE = Path(__file__).parents[2] / "deploy" / "haproxy" / "collectors.cfg"
PROGRAM = shutil.which("haproxy", path=SEARCH_PATH)
SENDER = "127.0.0.2"
PLATFORMS = "flowfuse_fleet_platforms"

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs HAProxy: apt-get install haproxy")


@pytest.fixture(scope="module")
def database(postgres: postgresql.Cluster) -> str:
    return postgres.url(postgres.create(f"haproxy_{uuid.uuid4().hex}"))


@pytest.fixture(scope="module")
def collectors(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """The last test kills the first of them."""
    tmp_path = tmp_path_factory.mktemp("collectors")
    wrapping = tmp_path / "wrapping.key"
    wrapping.write_text("5a" * 32)
    wrapping.chmod(0o600)
    settings: dict[str, Any] = {
        "database": database,
        "address": {"trusted_proxies": ["127.0.0.1"]},
        "keys": {"wrapping_key_file": str(wrapping)},
        "fleet": {"k": 1, "interval_seconds": 1, "public": True},
    }
    with ExitStack() as stack:
        yield [stack.enter_context(process(tmp_path / name, **settings)) for name in ("one", "other")]


@pytest.fixture(scope="module")
def port(collectors: list[Running], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """HAProxy's, with no more changed of the recipe than addresses."""
    assert PROGRAM is not None
    tmp_path = tmp_path_factory.mktemp("haproxy")
    port, text = free_port(), RECIPE.read_text()
    one, other = collectors
    for named, used in {
        "bind :80\n": f"bind 127.0.0.1:{port}\n",
        " 10.0.0.11:10465": f" 127.0.0.1:{one.port}",
        " 10.0.0.12:10465": f" 127.0.0.1:{other.port}",
    }.items():
        assert text.count(named) == 1
        text = text.replace(named, used)
    (tmp_path / "collectors.cfg").write_text(text)
    with running([PROGRAM, "-db", "-f", "collectors.cfg"], tmp_path, accepts(port)):
        yield port


def fleet(port: int) -> set[str]:
    lines = ask(port, "GET", "/metrics").body.decode().splitlines()
    return {line for line in lines if line.startswith("flowfuse_fleet_") and "timestamp" not in line}


def test_senders_receipts_and_figures_are_the_same_from_each(
    collectors: list[Running], port: int, database: str
) -> None:
    checkpoint = base64.b64encode(str(Checkpoint("ledger.example", 7, b"r" * 32)).encode()).decode()
    asked = {"X-Forwarded-For": SENDER, "FF-Observe-Checkpoint": checkpoint}
    answers = [send(each.port, body(f"direct-{each.port}"), asked) for each in collectors]
    answers += [send(port, body(f"through-{number}"), asked, source=SENDER) for number in range(4)]
    assert [answer.status for answer in answers] == [200] * 6
    assert len({answer.headers["ff-observe-cosignature"].split(" ")[0] for answer in answers}) == 1
    with psycopg.connect(database) as session:
        senders = session.execute("SELECT sender FROM ping").fetchall()
    assert len(senders) == 6
    assert len(set(senders)) == 1
    for each in collectors:
        wait_until(lambda at=each.port: sample(at, PLATFORMS, window="1d") == 6, "the count of all six")  # type: ignore[misc]  # a default that mypy cannot infer
    figures = [fleet(each.port) for each in collectors]
    assert figures[0] == figures[1] != set()
    assert [ask(port, "GET", path).status for path in ("/metrics", "/-/ready", "/releases")] == [404, 404, 404]
    assert ask(port, "GET", "/releases.json").json["days"] != []
    for path in ("/", "/fleet.json", "/history.json", f"/releases/{datetime.now(UTC).date()}.json"):
        assert ask(port, "GET", path).status == 200


def test_what_the_document_promises_of_time_is_in_the_recipe() -> None:
    page = (RECIPE.parents[2] / "docs" / "high-availability.md").read_text()
    (seconds,) = re.findall(r"check inter (\d+)s", RECIPE.read_text())
    assert f"asks each every {seconds} seconds" in " ".join(page.split())


def test_a_collector_that_is_killed_loses_no_ping_and_none_is_stored_twice(
    collectors: list[Running], port: int, database: str
) -> None:
    load = Load()

    async def main() -> None:
        load.arrived = asyncio.Event()
        until = asyncio.Event()
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(port, until))
            await load.until(lambda: len(load.acknowledged) >= 100)
            for number in (signal.SIGSTOP, signal.SIGKILL):  # pings wait for it, unanswered, when it dies
                os.kill(collectors[0].pid, number)
                enough = len(load.acknowledged) + 100
                await load.until(lambda enough=enough: len(load.acknowledged) >= enough)  # type: ignore[misc]  # a default that mypy cannot infer
            until.set()

    asyncio.run(main())
    assert (load.refused, load.cut_off) == ({}, 0), "no sender notices"
    with psycopg.connect(database) as session:
        stored = session.execute(
            "SELECT instance_id, count(*) FROM ping WHERE instance_id = ANY(%s) GROUP BY 1", (list(load.acknowledged),)
        ).fetchall()
    assert Counter(dict(stored)) == Counter(load.acknowledged)
