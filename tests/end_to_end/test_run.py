"""`ff-observe run` as a process: it serves, reloads, outlives its database, and stops in time whatever hangs."""

import contextlib
import http.server
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ff_observe.cli import main
from tests.network_guard import guarded_environment
from tests.pace import within
from tests.platforms import case_named, licence_of
from tests.real_parts import postgresql
from tests.real_parts.bridge import command, home_with, running_bridge, write_file
from tests.real_parts.processes import answers, free_port, running, wait_until
from tests.recordings import Case

SQLITE_PLATFORM = case_named("v2.4.0-sqlite-dev")
POSTGRESQL_PLATFORM = case_named("v2.4.0-postgres-dev")
SQLITE = "  type: sqlite\n"
PROMETHEUS = "  backend:\n    prometheus:\n      enabled: true\n      port: 0\n"


def users(case: Case) -> float:
    """What FlowFuse itself counted."""
    assert case.stats is not None
    return float(case.stats["userCount"])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A recorded SQLite platform with metrics on, and a ping that goes to nobody."""
    made = home_with(tmp_path / "home", SQLITE, f"  url: http://127.0.0.1:{free_port()}/ping\n{PROMETHEUS}")
    shutil.copyfile(SQLITE_PLATFORM.home / "var" / "forge.db", made / "var" / "forge.db")
    return made


@contextlib.contextmanager
def silent_listener() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    with running_bridge(home, tmp_path) as bridge:
        assert bridge.value("flowfuse_users") == users(SQLITE_PLATFORM)
        with within(5):
            bridge.signal(number)
            assert bridge.wait() == 0
        assert "Traceback" not in bridge.log


def test_it_stops_in_time_while_the_database_and_a_client_hang(tmp_path: Path) -> None:
    with silent_listener() as port:
        database = f"  type: postgres\n  host: 127.0.0.1\n  port: {port}\n  user: forge\n  password: planted\n"
        home = home_with(tmp_path / "home", database, PROMETHEUS)
        with running_bridge(home, tmp_path) as bridge, ThreadPoolExecutor(1) as pool:
            address = bridge.url.removeprefix("http://").split(":")
            idle = socket.create_connection((address[0], int(address[1])))
            scrape = pool.submit(bridge.get, "/metrics", 30)
            wait_until(lambda: not scrape.done(), "a scrape under way")
            with within(5):
                bridge.signal(signal.SIGTERM)
                bridge.wait()
            scrape.exception(10)
            idle.close()
        assert "planted" not in bridge.log
        assert "Traceback" not in bridge.log


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_it_stops_in_time_while_otlp_and_sentry_hang(home: Path, tmp_path: Path, protocol: str) -> None:
    with silent_listener() as port:
        otlp = {"endpoint": f"http://127.0.0.1:{port}", "protocol": protocol, "traces": "true", "logs": "true"}
        backend = (
            f"    sentry:\n      dsn: http://planted@127.0.0.1:{port}/1\n"
            f"    otlp: {{{', '.join(f'{name}: {value}' for name, value in otlp.items())}}}\n"
        )
        write_file(home, SQLITE, PROMETHEUS + backend)
        with running_bridge(home, tmp_path) as bridge:
            assert bridge.value("flowfuse_users") == users(SQLITE_PLATFORM)
            with within(5):
                bridge.signal(signal.SIGTERM)
                bridge.wait()
            assert "planted" not in bridge.log
            assert not re.search("left behind:.*(otlp|Otel)", bridge.log)


def test_a_reload_takes_the_new_file(home: Path, tmp_path: Path) -> None:
    with running_bridge(home, tmp_path) as bridge:
        write_file(home, SQLITE, "  backend:\n    prometheus:\n      enabled: true\n      port: 0\n      path: /m\n")
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.get("/m").status == 200, "metrics at their new place")
        assert bridge.get("/metrics").status == 404
        write_file(home, SQLITE, "  enabled: true\n  backend:\n    prometheus:\n      port: 0\n")
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.get("/m").status == 404, "metrics to be off")
        assert "telemetry.backend.prometheus.bridge_enabled: true" in bridge.get("/metrics").text


def test_a_reload_reads_the_overlay_and_secret_files_again(home: Path, tmp_path: Path) -> None:
    """The options and variables of the process stay as they were."""
    overlay, path = tmp_path / "over.yml", tmp_path / "path"
    overlay.write_text("telemetry: {backend: {prometheus: {path: /over, port: 1}}}")
    options = ("--overlay", str(overlay), "--set", "telemetry.backend.prometheus.port=0")
    with running_bridge(home, tmp_path, options=options) as bridge:
        assert bridge.get("/over").status == 200
        overlay.write_text("telemetry: {backend: {prometheus: {path: /again, port: 1}}}")
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.get("/again").status == 200, "metrics where the changed overlay has them")
        overlay.write_text("telemetry: {backend: {prometheus: {path: again}}}")
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: f"{overlay}:1:42: telemetry.backend.prometheus.path" in bridge.log, "the complaint")
        assert bridge.get("/again").status == 200
    path.write_text("/from-a-file\n")
    with running_bridge(home, home, FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PATH_FILE=str(path)) as bridge:
        assert bridge.get("/from-a-file").status == 200
        path.write_text("/from-another\n")
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.get("/from-another").status == 200, "metrics where the changed file has them")


def test_the_runbook_ends_the_alert_on_a_licence_in_the_file(home: Path, tmp_path: Path) -> None:
    """Its steps are a new licence in the file and, for the bridge, a reload."""
    runbooks = (Path(__file__).parents[2] / "docs" / "runbooks.md").read_text("utf-8")
    steps = runbooks.partition("### FlowFuseLicenceExpiring\n")[2].partition("\n### ")[0]
    assert "reload (SIGHUP)" in " ".join(steps.split())
    with running_bridge(home, tmp_path) as bridge:
        assert bridge.value("flowfuse_license_active") == 0
        with (home / "etc" / "flowforge.yml").open("a", encoding="utf-8") as file:
            file.write(f"{licence_of(SQLITE_PLATFORM)}\n")
        assert bridge.value("flowfuse_license_active") == 0
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.value("flowfuse_license_expiry_timestamp_seconds") is not None, "the new licence")


def test_a_wrong_file_is_told_of_and_the_old_settings_stay(home: Path, tmp_path: Path) -> None:
    with running_bridge(home, tmp_path) as bridge:
        assert bridge.value("ff_observe_config_last_reload_successful") == 1
        good = (home / "etc" / "flowforge.yml").read_text()
        write_file(home, SQLITE, "  enabled: no\n")
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: "the old settings stay in use" in bridge.log, "the complaint")
        assert "telemetry.enabled" in bridge.log
        assert bridge.value("ff_observe_config_last_reload_successful") == 0
        assert bridge.value("flowfuse_users") == users(SQLITE_PLATFORM)
        (home / "etc" / "flowforge.yml").write_text(good)
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.value("ff_observe_config_last_reload_successful") == 1, "the reload")


def test_a_new_address_is_listened_on_before_the_old_one_is_left(home: Path, tmp_path: Path) -> None:
    old, new = free_port(), free_port()
    write_file(home, SQLITE, PROMETHEUS.replace("port: 0", f"port: {old}"))
    with running_bridge(home, tmp_path) as bridge:
        assert bridge.url.endswith(f":{old}")
        with socket.create_server(("127.0.0.1", new)):
            write_file(home, SQLITE, PROMETHEUS.replace("port: 0", f"port: {new}"))
            bridge.signal(signal.SIGHUP)
            wait_until(lambda: f"cannot listen on 127.0.0.1:{new}" in bridge.log, "the complaint")
            assert bridge.value("flowfuse_users") == users(SQLITE_PLATFORM)
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.url.endswith(f":{new}"), "the new address to be told")
        assert bridge.value("flowfuse_users") == users(SQLITE_PLATFORM)


def test_a_platform_with_a_wrong_file_does_not_start(tmp_path: Path) -> None:
    home = home_with(tmp_path / "home", SQLITE, "  enabled: off\n  url: ftp://127.0.0.1/\n")
    with pytest.raises(AssertionError) as caught, running_bridge(home, tmp_path):
        pass
    assert "telemetry.enabled" in str(caught.value)
    assert "telemetry.url" in str(caught.value)  # every problem at once
    assert "Traceback" not in str(caught.value)


def test_scrapes_outlive_a_stopped_database_and_recover_with_it(tmp_path: Path, open_directory: Path) -> None:
    directory = open_directory / "cluster"
    postgresql.initialise(directory)
    port = free_port()
    database = (
        f"  type: postgres\n  host: 127.0.0.1\n  port: {port}\n  user: postgres\n"
        f"  password: {postgresql.PASSWORD}\n  database: flowforge\n"
    )
    home = home_with(tmp_path / "home", database, PROMETHEUS)
    with contextlib.ExitStack() as stack:
        with postgresql.server(directory, port):
            cluster = postgresql.Cluster(directory, port)
            cluster.load("flowforge", POSTGRESQL_PLATFORM.home / "dump.sql")
            bridge = stack.enter_context(running_bridge(home, tmp_path))
            assert bridge.value("flowfuse_users") == users(POSTGRESQL_PLATFORM)
            assert bridge.get("/-/ready").status == 200
        down = wait_until(lambda: _down(bridge.get("/metrics", 10).text), "the failure to be noticed")
        platform = [line for line in down.splitlines() if line.startswith("flowfuse_")]
        known = ("flowfuse_up", "flowfuse_database_up", "flowfuse_platform_info", "flowfuse_feature_enabled")
        assert all(line.startswith(known) for line in platform), platform
        assert bridge.get("/-/ready").status == 503
        assert bridge.get("/-/healthy").status == 200
        assert bridge.get("/").status == 200
        with postgresql.server(directory, port):
            wait_until(lambda: bridge.value("flowfuse_users") == users(POSTGRESQL_PLATFORM), "the counts to return")
        lines = bridge.log.splitlines()
        failures = [line for line in lines if " WARNING " in line and "snapshots" in line]
        recoveries = [line for line in lines if " INFO " in line and "answers again" in line]
        assert (len(failures), len(recoveries)) == (1, 1), bridge.log
        assert postgresql.PASSWORD not in bridge.log


def _down(text: str) -> str | None:
    return text if re.search(r"\nflowfuse_up(\{.*\})? 0.0\n", text) else None


def test_a_snapshot_is_one_statement_however_many_scrape(tmp_path: Path, postgres: postgresql.Cluster) -> None:
    postgres.load("one_statement", POSTGRESQL_PLATFORM.home / "dump.sql")
    database = (
        f"  type: postgres\n  host: 127.0.0.1\n  port: {postgres.port}\n  user: postgres\n"
        f"  password: {postgresql.PASSWORD}\n  database: one_statement\n"
    )
    home = home_with(tmp_path / "home", database, PROMETHEUS)
    with running_bridge(home, tmp_path) as bridge:
        bridge.get("/metrics")  # the first learns what is there

        def snapshots() -> float:
            return bridge.value('ff_observe_snapshots_total{outcome="ok"}') or 0

        begun = wait_until(lambda: snapshots() >= 2 and snapshots(), "the next snapshot", 30)
        offset = postgres.log.stat().st_size
        with ThreadPoolExecutor(16) as pool:
            while snapshots() < begun + 1:
                list(pool.map(lambda _: bridge.get("/metrics"), range(32)))
        taken = snapshots() - begun
        with postgres.log.open() as log:
            log.seek(offset)
            statements = [line for line in log if "ff-observe" in line and "count(" in line.lower()]
        assert len(statements) == taken


@pytest.fixture
def pings() -> Iterator[tuple[str, list[bytes]]]:
    """A URL that takes pings, and those it took."""
    received: list[bytes] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/ping", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_systemd_is_told_of_ready_reloading_and_stopping(home: Path, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(10)
        with running_bridge(home, tmp_path, NOTIFY_SOCKET=address) as bridge:
            assert manager.recv(100) == b"READY=1"
            begun = time.monotonic()
            bridge.signal(signal.SIGHUP)
            state, moment = manager.recv(100).split(b"\nMONOTONIC_USEC=")  # systemd.service(5), Type=notify-reload
            assert state == b"RELOADING=1"
            assert begun * 1e6 <= int(moment) <= time.monotonic() * 1e6
            assert manager.recv(100) == b"READY=1"
            bridge.signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert bridge.wait() == 0


def test_systemd_hears_of_a_bridge_that_lives(home: Path, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(60)
        with running_bridge(home, tmp_path, NOTIFY_SOCKET=address, WATCHDOG_USEC="1000000") as bridge:
            assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            bridge.signal(signal.SIGTERM)
            assert bridge.wait() == 0


def test_an_unlicensed_platform_that_opted_out_sends_nothing_by_hand_either(
    tmp_path: Path, pings: tuple[str, list[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    url, received = pings
    home = home_with(tmp_path / "home", SQLITE, f"  url: {url}\n  enabled: false\n")
    shutil.copyfile(case_named("v2.4.0-sqlite-ce").home / "var" / "forge.db", home / "var" / "forge.db")
    assert main(["--home", str(home), "ping", "send"]) == 1
    assert "telemetry.enabled: false" in capsys.readouterr().err
    assert received == []


def test_a_ping_sent_by_hand_is_the_one_that_was_shown(
    home: Path, pings: tuple[str, list[bytes]], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    url, received = pings
    write_file(home, SQLITE, f"  url: {url}\n")
    assert main(["--home", str(home), "ping", "show"]) == 0
    shown = capsysbinary.readouterr().out
    assert main(["--home", str(home), "ping", "send"]) == 0
    assert received == [shown]
    assert json.loads(shown)["platform"]["counts"]["users"] == users(SQLITE_PLATFORM)


def test_the_library_example_serves_the_bridge(home: Path, tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "embed.py"
    port = free_port()
    source = example.read_text().replace("port=10464", f"port={port}")
    assert str(port) in source
    program = tmp_path / "embed.py"
    program.write_text(source)
    environment = guarded_environment()
    page = f"http://127.0.0.1:{port}/metrics"
    with (
        running([sys.executable, program, home], tmp_path, answers(page), environment=environment),
        urllib.request.urlopen(page) as response,
    ):
        assert re.search(rf"\nflowfuse_users\{{.*\}} {users(SQLITE_PLATFORM)}\n", response.read().decode())


def test_an_address_open_to_all_is_logged_as_such(home: Path, tmp_path: Path) -> None:
    write_file(home, SQLITE, f"  enabled: false\n{PROMETHEUS}      host: 0.0.0.0\n      allow_public: true\n")
    with running_bridge(home, tmp_path, serves=r"serves (http on all IPv4 addresses, port \d+)") as bridge:
        assert re.search(r"serves http on all IPv4 addresses, port [1-9]\d*$", bridge.log, re.MULTILINE)
        assert "127.0.0.1" not in bridge.log


def test_an_address_open_to_all_is_refused_without_consent(home: Path, tmp_path: Path) -> None:
    write_file(home, SQLITE, "  backend:\n    prometheus:\n      host: 0.0.0.0\n")
    done = subprocess.run(
        command("--home", home, "run"), env=guarded_environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 78
    for way in ("web_config_file", "127.0.0.1 only", "allow_public: true"):
        assert way in done.stderr


def test_the_metric_of_a_licensed_platform_says_that_its_ping_is_sent_whatever_the_file_says(tmp_path: Path) -> None:
    made = home_with(tmp_path / "licensed", SQLITE, f"  enabled: false\n  url: http://127.0.0.1:9/\n{PROMETHEUS}")
    file = made / "etc" / "flowforge.yml"
    file.write_text(f"{file.read_text()}{licence_of(SQLITE_PLATFORM)}\n")
    shutil.copyfile(SQLITE_PLATFORM.home / "var" / "forge.db", made / "var" / "forge.db")
    with running_bridge(made, tmp_path) as bridge:
        assert bridge.value('ff_observe_output_enabled{output="ping"}') == 1
        assert bridge.value('ff_observe_output_enabled{output="otlp"}') == 0


def test_the_page_shows_a_rejected_reload_and_an_output_that_does_not_deliver(home: Path, tmp_path: Path) -> None:
    telemetry = (home / "etc" / "flowforge.yml").read_text().partition("telemetry:\n")[2]
    otlp = f"    otlp:\n      endpoint: http://127.0.0.1:{free_port()}\n"
    write_file(home, SQLITE, telemetry + otlp)
    with running_bridge(home, tmp_path) as bridge:
        delivered = 'ff_observe_output_last_delivery_successful{output="otlp"}'
        wait_until(lambda: bridge.value(delivered) == 0, "the first export to fail")
        page = bridge.get("/").text
        assert "OTLP is on, and its last delivery failed" in page
        assert "configuration was rejected" not in page
        write_file(home, SQLITE, telemetry + otlp + "  enabled: no\n")
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: "the old settings stay in use" in bridge.log, "the file to be refused")
        assert "The changed configuration was rejected" in bridge.get("/").text
        write_file(home, SQLITE, telemetry)
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.value('ff_observe_output_enabled{output="otlp"}') == 0, "OTLP to be off")
        assert bridge.value(delivered) is None
        page = bridge.get("/").text
        assert '<h3><span class="unseen">Problem: ' not in page
        assert "OTLP is on, and its last delivery failed</h3>" not in page
