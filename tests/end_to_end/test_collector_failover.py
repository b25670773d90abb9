"""The leader of a replicated PostgreSQL dies, is cut off or stops under load: no acknowledged ping is lost, none is
stored twice, and pings are taken again once Patroni has replaced it."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.pace import in_full, pace
from tests.real_parts.collector import process
from tests.real_parts.load import Load, settle_in_the_end
from tests.real_parts.patroni import Node, PatroniCluster, patroni_cluster
from tests.real_parts.processes import PATIENCE_SECONDS

ROUNDS = in_full(100, 1)
NODES = in_full(3, 2)
GAP_SECONDS = 30.0

Failure = tuple[Callable[[PatroniCluster, Node], None], Callable[[PatroniCluster, Node], None]]
"""What happens to the leader, and how it comes back."""

FAILURES: dict[str, Failure] = {
    "killed": (PatroniCluster.kill, PatroniCluster.start),
    "cut off": (PatroniCluster.cut_off, PatroniCluster.mend),
    "cut off from its standbys": (PatroniCluster.cut_off_from_standbys, PatroniCluster.mend),
    "paused": (lambda _, node: node.send(signal.SIGSTOP), lambda _, node: node.send(signal.SIGCONT)),
}


def failed_over_under_load(load: Load, port: int, fail: Callable[[], Node]) -> tuple[Node, float]:
    """Send until pings are acknowledged again after the failure. Returns what failed, and the longest time without."""

    async def main() -> Node:
        load.arrived = asyncio.Event()
        load.measure()
        until = asyncio.Event()
        before = len(load.acknowledged)
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(port, until))
            await load.until(lambda: len(load.acknowledged) >= before + 50)
            leader = await asyncio.to_thread(fail)
            failed, refused = len(load.acknowledged), load.refused[503]
            await load.until(lambda: load.refused[503] > refused)
            refused_at = len(load.acknowledged)
            await load.until(lambda: len(load.acknowledged) >= max(failed, refused_at) + 50)
            until.set()
        return leader

    leader = asyncio.run(main())
    return leader, load.longest_gap


def failed_leader(cluster: PatroniCluster, fail: Callable[[PatroniCluster, Node], None]) -> Node:
    """Let the node fail that leads at this moment: on a busy machine Patroni replaces one that is late by itself."""
    leader = cluster.leader()
    fail(cluster, leader)
    return leader


@pytest.mark.timeout(120 + 120 * ROUNDS)
def test_no_acknowledged_ping_is_lost_at_a_failover_and_none_is_stored_twice(
    tmp_path: Path, open_directory: Path
) -> None:
    load = Load(pause_seconds=0.2)
    with patroni_cluster(open_directory, NODES) as cluster, process(tmp_path, database=cluster.url()) as collector:
        gaps: list[tuple[str, float]] = []
        slowest = 1.0
        for done in range(ROUNDS):
            kind, (fail, mend) = list(FAILURES.items())[done % len(FAILURES)]
            leader, gap = failed_over_under_load(load, collector.port, partial(failed_leader, cluster, fail))
            gaps.append((kind, gap))
            if figures := os.environ.get("FF_OBSERVE_FIGURES"):
                Path(figures).write_text("".join(f"{kind} {gap:.1f}\n" for kind, gap in gaps))
            slowest = max(slowest, pace().slowness)
            if done == ROUNDS - 1:
                break  # the last is read without it
            mend(cluster, leader)
        for name in load.unsettled:
            settle_in_the_end(collector.port, name)
            load.acknowledged.add(name)
        with psycopg.connect(cluster.url(), target_session_attrs="read-write") as session:
            rows = session.execute("SELECT instance_id, count(*) FROM ping GROUP BY 1").fetchall()
        cluster.mend(leader)
    assert Counter(dict(rows)) == Counter(load.acknowledged)
    assert set(load.refused) == {503}
    assert max(gap for _, gap in gaps) < GAP_SECONDS * slowest, gaps
