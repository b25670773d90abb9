"""What OTLP costs: one statement for each export, and nothing at all where it is off."""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from ff_observe.catalogue.bridge import OTLP_EXPORTS
from tests.end_to_end import otlp_bridge
from tests.network_guard import guarded_environment
from tests.pace import within
from tests.real_parts.otlp import Sink, sink
from tests.real_parts.postgresql import Cluster
from tests.real_parts.processes import running, wait_until
from tests.unit.otlp import faulty

CASE = "v2.4.0-postgres-dev"
_STATEMENT = re.compile(r"^\d+ ff-observe LOG: +(?:statement|execute ff_observe_[0-9a-f]+): (.*)", re.MULTILINE)


def test_an_export_of_all_counts_is_one_statement(postgres: Cluster, tmp_path: Path) -> None:
    section = otlp_bridge.postgresql(postgres, CASE)
    interval = 5.2  # a snapshot is shared for 5 s: each export has one of its own
    with sink() as receiver:
        settings = otlp_bridge.settings(
            tmp_path, section, {"endpoint": receiver.url, "interval": interval, "traces": "true", "logs": "true"}
        )
        log_begins = postgres.log.stat().st_size
        with otlp_bridge.running(settings) as bridge:
            wait_until(lambda: len(exports(receiver)) >= 1, "the first export, in which the schema is looked at")
            first = len(statements(postgres, log_begins))
            wait_until(lambda: len(exports(receiver)) >= 3, "two more exports")
            assert bridge.self_metrics.readings()[OTLP_EXPORTS.name][("delivered",)] >= 3
            asked = statements(postgres, log_begins)[first:]
        assert len(receiver.metrics()) > 30
    counting = [statement for statement in asked if "SET LOCAL statement_timeout" not in statement]
    assert len(counting) == 2, asked
    assert len(asked) == 4, asked  # and each time one look for new entries of the audit log
    assert counting[0].count("SELECT") > 10  # the one that counts everything


def exports(receiver: Sink) -> list[object]:
    return [body for path, body in list(receiver.received) if path == "/v1/metrics"]


def statements(postgres: Cluster, since: int) -> list[str]:
    """What a bridge asked, by the server's own log."""
    with postgres.log.open("rb") as log:
        log.seek(since)
        return _STATEMENT.findall(log.read().decode())


HEAVY = ("opentelemetry", "grpc", "google.protobuf", "requests", "sentry_sdk")

_LIST_MODULES = (
    "import json, sys\n"
    f"print(json.dumps(sorted(name for name in sys.modules if name.startswith({HEAVY!r}))), file=out, flush=True)\n"
)


def test_importing_the_library_imports_no_opentelemetry() -> None:
    code = f"import ff_observe, sys; ff_observe.load_settings; out = sys.stdout\n{_LIST_MODULES}"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, env=guarded_environment(), check=True)
    assert json.loads(said.stdout) == []


@pytest.mark.parametrize("on", [False, True])
def test_a_running_bridge_imports_opentelemetry_only_where_otlp_is_on(on: bool, tmp_path: Path) -> None:
    ping = otlp_bridge.case("v2.4.0-sqlite-ce").ping
    assert ping is not None
    users = ping["platform"]["counts"]["users"]
    otlp = {"endpoint": "http://127.0.0.1:9"} if on else {}
    otlp_bridge.settings(tmp_path, otlp_bridge.sqlite("v2.4.0-sqlite-ce"), otlp)
    # The command itself, told to list its modules when it is told to stop.
    code = (
        "import pathlib, sys\nfrom ff_observe.cli import main\n"
        f"status = main(['--home', {str(tmp_path)!r}, 'run'])\n"
        f"out = pathlib.Path({str(tmp_path / 'modules.json')!r}).open('w')\n{_LIST_MODULES}sys.exit(status)\n"
    )
    with running([sys.executable, "-c", code], tmp_path / "run", None, environment=guarded_environment()) as process:
        log = tmp_path / "run" / f"{Path(sys.executable).name}.log"
        port = wait_until(lambda: re.search(r"serves http://\S+:(\d+)", log.read_text()), "the bridge")[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
            assert re.search(rf"\nflowfuse_users\{{.*\}} {users}", reply.read().decode())
        process.terminate()
        assert process.wait(10) == 0
    modules = json.loads((tmp_path / "modules.json").read_text())
    assert any(name.startswith("opentelemetry") for name in modules) is on
    assert on or modules == []


def test_a_bridge_whose_receiver_hangs_stops_within_its_deadline(tmp_path: Path) -> None:
    with faulty.faulty() as receiver:
        receiver.behaviour = faulty.hang
        otlp = {"endpoint": receiver.url, "interval": 1, "timeout": 60, "traces": "true", "logs": "true"}
        otlp_bridge.settings(tmp_path, otlp_bridge.sqlite("v2.4.0-sqlite-ce"), otlp)
        command = [sys.executable, "-m", "ff_observe", "--home", str(tmp_path), "run"]
        with running(command, tmp_path / "run", None, environment=guarded_environment()) as process:
            wait_until(lambda: receiver.asked, "an export that hangs")
            with within(5):
                process.terminate()
                assert process.wait(120) == 0
    log = (tmp_path / "run" / f"{Path(sys.executable).name}.log").read_text()
    assert "Traceback" not in log
