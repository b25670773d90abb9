"""The guarantees of starting and stopping, held for every output of the list within a whole bridge."""

import contextlib
import shutil
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ff_observe.catalogue.bridge import OUTPUT_DELIVERED, OUTPUT_ENABLED, SENTRY_EVENTS
from ff_observe.config.secret import Secret
from ff_observe.config.settings import BackendSentrySettings, OtlpSettings
from ff_observe.outputs import OUTPUTS
from ff_observe.outputs.model import Output
from ff_observe.running.bridge import Bridge
from tests.platforms import case_named
from tests.real_parts import envelopes
from tests.real_parts.otlp import sink
from tests.real_parts.processes import free_port, wait_until
from tests.unit.outputs.examples import settings_with

PATIENCE_SECONDS = 60.0  # far beyond what is needed, also on a busy machine: outcomes are asserted, not times
EACH = pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)


class Receiver:
    """Accepts connections and never answers them."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.reached = threading.Event()
        self._accepted: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, name="receiver that hangs", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._accepted.append(self._listening.accept()[0])
                self.reached.set()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(PATIENCE_SECONDS)
        for connection in self._accepted:
            connection.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def others() -> Iterator[None]:
    """Fails where a thread outlives the test."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(PATIENCE_SECONDS)
    assert [thread.name for thread in left if thread.is_alive()] == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "var").mkdir()
    shutil.copyfile(case_named("v2.4.0-sqlite-dev").home / "var" / "forge.db", tmp_path / "var" / "forge.db")
    return tmp_path


def bridge_with(home: Path, output: Output, port: int) -> Bridge:
    settings = settings_with(home, output, port)
    return Bridge(settings, serve=True, stop_seconds=PATIENCE_SECONDS, first_ping_seconds=0.0)


def use(bridge: Bridge) -> None:
    """Make every output do what it is there for."""
    bridge.snapshots.current()
    bridge.capture(RuntimeError("for outputs that report errors"), "test")
    with urllib.request.urlopen(f"{bridge.url}/", timeout=PATIENCE_SECONDS) as reply:
        assert reply.status == 200


@EACH
def test_it_may_be_stopped_before_it_starts(output: Output, home: Path, others: None) -> None:
    bridge_with(home, output, 9).stop()


@EACH
def test_it_may_be_stopped_twice(output: Output, home: Path, others: None) -> None:
    bridge = bridge_with(home, output, 9)
    bridge.start()
    bridge.stop()
    bridge.stop()


@EACH
def test_it_starts_works_and_stops(output: Output, home: Path, others: None) -> None:
    bridge = bridge_with(home, output, 9)
    bridge.start()
    use(bridge)
    enabled = bridge.self_metrics.readings()["ff_observe_output_enabled"]
    assert enabled[output.name,] == 1.0
    assert {name for (name,) in enabled} == {one.name for one in OUTPUTS}
    bridge.stop()


@EACH
def test_it_stops_while_its_receiver_and_a_client_hang(
    output: Output, home: Path, receiver: Receiver, others: None
) -> None:
    bridge = bridge_with(home, output, receiver.port)
    bridge.start()
    assert bridge.url is not None
    host, port = bridge.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        use(bridge)
        if output.build is not None or output.build_lasting is not None:
            assert receiver.reached.wait(PATIENCE_SECONDS), f"{output.name} sent nothing"
        bridge.stop()


@EACH
def test_a_reload_switches_it_on_and_off(output: Output, home: Path, others: None) -> None:
    bridge = Bridge(settings_with(home, None), stop_seconds=PATIENCE_SECONDS)
    bridge.start()
    for on in (output, None, output):
        bridge.reload(settings_with(home, on))
        bridge.snapshots.take()
        assert bridge.self_metrics.readings()["ff_observe_output_enabled"][output.name,] == float(on is not None)
    bridge.stop()


def test_nothing_is_left_of_deliveries_that_were_switched_off(home: Path) -> None:
    off = settings_with(home, None)
    failing = OtlpSettings(endpoint=Secret(f"http://127.0.0.1:{free_port()}"), traces=True, timeout_seconds=0.3)
    with sink() as taking, Bridge(replace(off, otlp=failing)) as bridge:
        wait_until(bridge.self_metrics.failures, "a failed export")
        bridge.reload(replace(off, otlp=OtlpSettings(endpoint=Secret(taking.url))))  # the traces leave now, in vain
        wait_until(lambda: not bridge.self_metrics.failures(), "a delivered export")
        assert set(bridge.self_metrics.deliveries()) <= {("otlp", "metrics")}
        bridge.reload(off)
        assert bridge.self_metrics.deliveries() == {}
        assert OUTPUT_DELIVERED.name not in bridge.self_metrics.readings()


def test_a_delivery_that_failed_is_forgotten_once_deliveries_go_elsewhere_and_not_before(home: Path) -> None:
    off = settings_with(home, None)
    with envelopes.receiver(status=403) as refusing, envelopes.receiver() as other:
        wrong, right = (replace(off, backend_sentry=BackendSentrySettings(Secret(it.dsn))) for it in (refusing, other))
        with Bridge(wrong) as bridge:
            bridge.capture(RuntimeError("for Sentry"), "test")
            wait_until(bridge.self_metrics.failures, "a refused event")
            bridge.reload(replace(wrong, platform=replace(wrong.platform, driver="docker")))
            assert bridge.self_metrics.failures() == {"backend_sentry": "it answered HTTP 403"}
            bridge.reload(right)
            assert bridge.self_metrics.failures() == {}
            assert OUTPUT_DELIVERED.name not in bridge.self_metrics.readings()


def test_a_delivery_with_the_new_settings_counts_although_the_old_ones_have_not_stopped_yet(home: Path) -> None:
    off = settings_with(home, None)
    with envelopes.receiver() as before, envelopes.receiver() as after:
        old, new = (replace(off, backend_sentry=BackendSentrySettings(Secret(it.dsn))) for it in (before, after))
        with Bridge(old) as bridge:
            platform = bridge._platforms.only
            undo = platform.reload(new)
            platform.capture(RuntimeError("for Sentry"), "test")
            wait_until(bridge.self_metrics.deliveries, "an event")
            undo()
            assert set(bridge.self_metrics.deliveries()) == {("backend_sentry", "")}
            assert bridge.self_metrics.readings()[OUTPUT_DELIVERED.name] == {("backend_sentry",): 1.0}
            bridge.reload(off)
            assert bridge.self_metrics.deliveries() == {}


def test_nothing_is_left_of_a_delivery_that_ends_after_it_was_switched_off(home: Path) -> None:
    off = settings_with(home, None)
    with envelopes.receiver() as sentry:
        sentry.hangs, sentry.status = True, 500
        on = replace(off, backend_sentry=BackendSentrySettings(Secret(sentry.dsn)))
        with Bridge(on, stop_seconds=PATIENCE_SECONDS) as bridge:
            enabled = bridge.self_metrics.readings()[OUTPUT_ENABLED.name]
            assert enabled[("backend_sentry",)] == 1

            def is_off() -> bool:
                return bridge.self_metrics.readings()[OUTPUT_ENABLED.name][("backend_sentry",)] == 0

            def refuse() -> None:
                wait_until(is_off, "other settings", PATIENCE_SECONDS)
                sentry.released.set()

            bridge.capture(RuntimeError("for Sentry"), "test")
            assert sentry.asked.wait(PATIENCE_SECONDS)
            refusing = threading.Thread(target=refuse)
            refusing.start()
            bridge.reload(off)
            refusing.join(PATIENCE_SECONDS)
            assert bridge.self_metrics.readings()[SENTRY_EVENTS.name][("dropped",)] == 1
            assert bridge.self_metrics.deliveries() == {}
