"""The OTLP output against receivers that fail in every way: it counts, says so once, recovers, and stops in time."""

import logging
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ff_observe.catalogue import process
from ff_observe.catalogue.audit import SIGN_INS
from ff_observe.catalogue.bridge import PINGS, SNAPSHOT_TIMESTAMP
from ff_observe.catalogue.model import Reading
from ff_observe.catalogue.names import otlp_name
from ff_observe.outputs.otlp import component
from ff_observe.platform.snapshot import Snapshot
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.pace import within
from tests.real_parts.otlp import points, sink
from tests.real_parts.processes import free_port, wait_until
from tests.unit.otlp import faulty, faulty_grpc
from tests.unit.otlp.faulty import Still
from tests.unit.otlp.watching import (
    CLOCK,
    Heard,
    assert_said_once,
    exports,
    fail_and_recover,
    output,
    timeout_that_fails,
)

HTTP, GRPC = "http/protobuf", "grpc"
RECEIVERS: dict[str, Callable[..., AbstractContextManager[Any]]] = {HTTP: faulty.faulty, GRPC: faulty_grpc.faulty_grpc}
BOTH = pytest.mark.parametrize("protocol", RECEIVERS)


@pytest.mark.parametrize(
    ("protocol", "fault", "reason", "is_taken"),
    [
        (HTTP, faulty.hang, "did not answer in time", False),
        (HTTP, faulty.drip, "did not answer in time", False),
        (HTTP, faulty.busy, "HTTP 503", False),
        (HTTP, faulty.drop, "the connection was closed|could not be reached: Connection reset", False),
        (HTTP, faulty.garble, "not HTTP", False),
        (HTTP, faulty.answer_nonsense, "its answer is malformed", True),
        (HTTP, faulty.answer_a_page, "no OTLP receiver", True),
        (HTTP, faulty.answer_at_length, "too long", True),
        (HTTP, faulty.redirect, "redirect", False),
        (HTTP, faulty.reject, "HTTP 400", False),
        (HTTP, faulty.take_a_part, "rejected 3 of what was sent: too many labels", True),
        (GRPC, faulty_grpc.hang, "did not answer in time", False),
        (GRPC, faulty_grpc.busy, "UNAVAILABLE, too much to do", False),
        (GRPC, faulty_grpc.refuse, "UNAUTHENTICATED, who are you", False),
        (GRPC, faulty_grpc.answer_nonsense, "its answer is malformed", True),
        (GRPC, faulty_grpc.take_a_part, "rejected 3 of what was sent: too many labels", True),
    ],
)
def test_counts_arrive_again_after_a_receiver_recovered_and_the_log_says_so_once(
    protocol: str, fault: Any, reason: str, is_taken: bool, heard: Heard
) -> None:
    """What an answer of success leaves in doubt is taken: where counters are differences, it is not sent again."""
    metrics = SelfMetrics()
    with RECEIVERS[protocol]() as receiver:
        receiver.behaviour = fault
        otlp = output(receiver.port, metrics, protocol=protocol, timeout=timeout_that_fails(reason))
        assert fail_and_recover(otlp, metrics, receiver.recover) is is_taken
        assert receiver.arrived >= 2
    assert_said_once(heard, reason)


def test_counts_arrive_again_after_connections_were_dropped_in_the_middle(heard: Heard) -> None:
    metrics = SelfMetrics()
    with faulty_grpc.faulty_grpc() as receiver:
        receiver.hangs_up = True
        otlp = output(receiver.port, metrics, protocol=GRPC, timeout=timeout_that_fails(""))
        fail_and_recover(otlp, metrics, receiver.recover)
    assert_said_once(heard, "could not be reached")


@BOTH
def test_a_receiver_that_asks_for_a_moment_is_given_it_within_the_same_export(protocol: str) -> None:
    metrics = SelfMetrics()
    with RECEIVERS[protocol]() as receiver:
        receiver.behaviour = faulty.busy_for_a_moment if protocol == HTTP else faulty_grpc.busy_for_a_moment
        otlp = output(receiver.port, metrics, interval=60, timeout=5, protocol=protocol)
        otlp.start()
        wait_until(lambda: exports(metrics, "delivered") == 1, "the second try")
        otlp.stop(CLOCK.monotonic() + 5)
        assert (receiver.asked, receiver.arrived) == (2, 1)
    assert exports(metrics, "failed") == 0


@BOTH
def test_counts_arrive_once_a_receiver_is_started_that_was_down(protocol: str, heard: Heard) -> None:
    metrics, port = SelfMetrics(), free_port()
    otlp = output(port, metrics, protocol=protocol)
    otlp.start()
    wait_until(lambda: exports(metrics, "failed") >= 2, "failed exports")
    with RECEIVERS[protocol](port) as receiver:
        wait_until(lambda: exports(metrics, "delivered") >= 2, "delivered exports")
        otlp.stop(CLOCK.monotonic() + 5)
        assert receiver.arrived >= 2
    [warning] = heard.from_level(logging.WARNING)
    assert re.search("could not be reached: .*Connection refused", warning)


@pytest.mark.parametrize(
    ("protocol", "fault", "reason"),
    [
        (HTTP, faulty.hang, "had not answered when the bridge stopped"),
        (HTTP, faulty.drip, "had not answered when the bridge stopped"),
        (HTTP, faulty.busy, "HTTP 503"),
        (GRPC, faulty_grpc.hang, "had not answered when the bridge stopped"),
        (GRPC, faulty_grpc.busy, "too much"),
    ],
)
def test_an_export_that_does_not_end_is_cut_off_at_the_stop_and_no_thread_stays(
    protocol: str, fault: Any, reason: str, heard: Heard
) -> None:
    with RECEIVERS[protocol]() as receiver:
        receiver.behaviour = fault
        otlp = output(receiver.port, SelfMetrics(), timeout=60, protocol=protocol)
        otlp.start()
        wait_until(lambda: receiver.asked, "an export under way")
        with within(component.GRACE_SECONDS + 1):
            otlp.stop(CLOCK.monotonic() + 5)
        assert otlp.name not in {thread.name for thread in threading.enumerate()}
    [warning] = heard.from_level(logging.WARNING)
    assert reason in warning


def test_an_export_under_way_may_end_when_the_bridge_stops() -> None:
    metrics = SelfMetrics()
    with faulty.faulty() as receiver:

        def slowly(request: faulty.Request) -> None:
            receiver.let_go.wait(0.3)
            faulty.take(request)

        receiver.behaviour = slowly
        otlp = output(receiver.port, metrics, timeout=60)
        otlp.start()
        wait_until(lambda: receiver.asked, "an export under way")
        otlp.stop(CLOCK.monotonic() + 5)
    assert exports(metrics, "delivered") == 1


def test_a_database_that_hangs_is_left_to_the_snapshots_which_stop_later(heard: Heard) -> None:
    asked, let_go = threading.Event(), threading.Event()

    class Hanging(Still):
        def current(self) -> Snapshot:
            asked.set()
            let_go.wait(600)
            return super().current()

    metrics = SelfMetrics()
    with faulty.faulty() as receiver:
        otlp = output(receiver.port, metrics, platform=Hanging())
        otlp.start()
        assert asked.wait(60)
        with within(component.GRACE_SECONDS + 1):
            otlp.stop(CLOCK.monotonic() + 5)
        let_go.set()
        wait_until(lambda: otlp.name not in {thread.name for thread in threading.enumerate()}, "the thread to end")
        assert receiver.asked == 0
    assert exports(metrics, "failed") == 0
    assert heard.from_level(logging.INFO) == []


def test_stop_is_legal_before_start_and_twice() -> None:
    otlp = output(free_port(), SelfMetrics())
    otlp.stop(0)
    otlp.start()
    otlp.stop(CLOCK.monotonic() + 5)
    otlp.stop(CLOCK.monotonic() + 5)


def test_the_sdk_is_quiet_about_our_exports_and_no_others_while_one_output_takes_over_from_another(
    heard: Heard,
) -> None:
    first, second = output(free_port(), SelfMetrics()), output(free_port(), SelfMetrics())
    sdk = logging.getLogger("opentelemetry.sdk")
    first.start()
    second.start()
    first.stop(CLOCK.monotonic() + 5)
    sdk.error("about an export of the program")
    second.stop(CLOCK.monotonic() + 5)
    others = [line for line in heard.from_level(logging.INFO) if not line.startswith("OTLP metrics")]
    assert others == ["about an export of the program"]
    sdk.error("of somebody else")
    assert "of somebody else" in heard.from_level(logging.INFO)


def test_an_export_tells_of_its_own_snapshot_even_if_another_output_has_taken_a_newer_one() -> None:
    metrics = SelfMetrics()
    metrics.set(SNAPSHOT_TIMESTAMP, 2_000_000_000.0)
    with sink() as receiver:
        otlp = output(receiver.port, metrics)
        otlp.start()
        arrived = wait_until(receiver.metrics, "an export")
        otlp.stop(CLOCK.monotonic() + 5)
    assert points(arrived[otlp_name(SNAPSHOT_TIMESTAMP)]) == {(): Still().current().taken_at.timestamp()}


@pytest.mark.parametrize(("preference", "sent"), [("cumulative", (70, 3)), ("delta", (0, 0))])
def test_counters_begin_before_their_export_does(
    preference: str, sent: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    since = datetime(2024, 2, 3, tzinfo=UTC)

    class WithAuditLog(Still):
        def current(self) -> Snapshot:
            sign_ins: dict[str, Reading] = {SIGN_INS.name: {("failure",): 70.0}}
            return replace(super().current(), readings=sign_ins, counted_since=since)

    metrics = SelfMetrics()
    metrics.process_started()
    metrics.add(PINGS, "delivered", amount=3)
    (began,) = metrics.readings()[process.START.name].values()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
    with sink() as receiver:
        otlp = output(receiver.port, metrics, interval=600, platform=WithAuditLog())
        otlp.start()
        arrived = wait_until(receiver.metrics, "an export")
        otlp.stop(CLOCK.monotonic() + 5)
    of_audit, own = arrived[otlp_name(SIGN_INS)], arrived[otlp_name(PINGS)]
    assert points(of_audit)[("outcome", "failure"),] == sent[0]
    assert points(own)[("outcome", "delivered"),] == sent[1]
    if preference == "cumulative":
        starts = [int(each["sum"]["dataPoints"][0]["startTimeUnixNano"]) / 1e9 for each in (of_audit, own)]
        assert starts == [since.timestamp(), pytest.approx(began, abs=1e-3)]
