"""Whatever real FlowFuse ever sent, and what ff-observe sends: POSTed byte for byte, it comes back byte for byte."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.cli import main
from ff_observe.collector.receiving.acceptance import Accepted, accept
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings, PostgreSQLServer, SQLiteFile
from ff_observe.config.secret import Secret
from ff_observe.outputs.ping.delivery import USER_AGENT
from tests.real_parts import postgresql
from tests.real_parts.collector import ask, collecting, send
from tests.recordings import COMMITTED, Case, cases, probes

PINGS = {(case.home / "ping.json").read_bytes(): case for case in (*probes(), *cases()) if case.ping is not None}
"""Of several that are the same, one."""
HOMES = sorted(path.parent for path in COMMITTED.rglob("ping.json") if (path.parent / "var" / "forge.db").exists())


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def collector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    database: SQLiteFile | PostgreSQLServer = SQLiteFile()
    if request.param == "postgresql":
        cluster: postgresql.Cluster = request.getfixturevalue("postgres")
        database = PostgreSQLServer(Secret(cluster.url(cluster.create(f"recorded_{uuid.uuid4().hex}"))))
    settings = CollectorSettings(port=0, data_dir=tmp_path_factory.mktemp("collector"), database=database)
    with collecting(settings) as running:
        ask(running.port, "GET", "/-/ready")  # its threads run from here on, not from some test on
        yield running


def comes_back(collector: Collector, sent: bytes, user_agent: str, expected: bytes) -> bool:
    """Whether the collector takes these bytes and its store gives back what is expected: every field, type and value,
    in order. Platforms were recorded more than once, so that an instance can have several pings."""
    answer = send(collector.port, sent, {"User-Agent": user_agent})
    assert (answer.status, answer.json) == (200, {"status": "success"})
    stored = collector.store.export(json.loads(sent)["instanceId"])
    return expected in [
        json.dumps(ping.document(), separators=(",", ":"), ensure_ascii=False).encode() for ping in stored
    ]


@pytest.mark.parametrize("case", PINGS.values(), ids=lambda case: case.id)
def test_a_recorded_ping_comes_back_with_templates_and_stacks_put_right(collector: Collector, case: Case) -> None:
    sent = (case.home / "ping.json").read_bytes()
    swapped = {b"projectTemplates": b"projectStacks", b"projectStacks": b"projectTemplates"}
    counts = json.loads(sent)["platform"]["counts"]
    expected = sent
    for name, other in swapped.items():
        expected = expected.replace(
            b'"%b":%d' % (name, counts[name.decode()]), b'"%b":%d' % (name, counts[other.decode()])
        )
    assert comes_back(collector, sent, "axios/1.19.0", expected)


@pytest.mark.parametrize("home", HOMES, ids=lambda home: home.name)
def test_a_ping_of_ff_observe_comes_back_as_it_was_sent(
    collector: Collector, home: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["--home", str(home), "ping", "show"]) == 0
    sent = capsysbinary.readouterr().out.strip()
    found = accept(sent)
    assert isinstance(found, Accepted)
    assert found.unknown == ()
    assert comes_back(collector, sent, USER_AGENT, sent)
