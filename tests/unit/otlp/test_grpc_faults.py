"""The OTLP output over gRPC, against receivers that fail in every way a gRPC server can."""

import logging
import threading

import pytest

from ff_observe.outputs.otlp import component
from ff_observe.self_metrics import SelfMetrics
from tests.pace import within
from tests.real_parts.processes import free_port, wait_until
from tests.unit.otlp import faulty_grpc
from tests.unit.otlp.faulty_grpc import Behaviour
from tests.unit.otlp.watching import (
    CLOCK,
    Heard,
    assert_said_once,
    exports,
    fail_and_recover,
    output,
    timeout_that_fails,
)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faulty_grpc.hang, "did not answer in time"),
        (faulty_grpc.busy, "UNAVAILABLE, too much to do"),
        (faulty_grpc.refuse, "UNAUTHENTICATED, who are you"),
        (faulty_grpc.answer_nonsense, "its answer is malformed"),
        (faulty_grpc.take_a_part, "rejected 3 of what was sent: too many labels"),
    ],
)
def test_counts_arrive_again_after_a_receiver_recovered_and_the_log_says_so_once(
    fault: Behaviour, reason: str, heard: Heard
) -> None:
    metrics = SelfMetrics()
    with faulty_grpc.faulty_grpc() as receiver:
        receiver.behaviour = fault
        otlp = output(receiver.port, metrics, protocol="grpc", timeout=timeout_that_fails(reason))
        is_taken = fail_and_recover(otlp, metrics, receiver.recover)
        assert receiver.arrived >= 2
    assert is_taken is (fault in (faulty_grpc.answer_nonsense, faulty_grpc.take_a_part))
    assert_said_once(heard, reason)


def test_counts_arrive_again_after_connections_were_dropped_in_the_middle(heard: Heard) -> None:
    metrics = SelfMetrics()
    with faulty_grpc.faulty_grpc() as receiver:
        receiver.hangs_up = True
        fail_and_recover(
            output(receiver.port, metrics, protocol="grpc", timeout=timeout_that_fails("")), metrics, receiver.recover
        )
    assert_said_once(heard, "could not be reached")


def test_counts_arrive_once_a_receiver_is_started_that_was_down(heard: Heard) -> None:
    metrics, port = SelfMetrics(), free_port()
    otlp = output(port, metrics, protocol="grpc")
    otlp.start()
    wait_until(lambda: exports(metrics, "failed") >= 2, "failed exports")
    with faulty_grpc.faulty_grpc(port):
        wait_until(lambda: exports(metrics, "delivered") >= 2, "delivered exports")
        otlp.stop(CLOCK.monotonic() + 5)
    [warning] = heard.from_level(logging.WARNING)
    assert "could not be reached" in warning
    assert "Connection refused" in warning


def test_a_receiver_that_asks_for_a_moment_is_given_it_within_the_same_export() -> None:
    metrics = SelfMetrics()
    with faulty_grpc.faulty_grpc() as receiver:
        receiver.behaviour = faulty_grpc.busy_for_a_moment
        otlp = output(receiver.port, metrics, interval=60, timeout=5, protocol="grpc")
        otlp.start()
        wait_until(lambda: exports(metrics, "delivered") == 1, "the second try")
        otlp.stop(CLOCK.monotonic() + 5)
        assert (receiver.asked, receiver.arrived) == (2, 1)
    assert exports(metrics, "failed") == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(faulty_grpc.hang, "had not answered when the bridge stopped"), (faulty_grpc.busy, "too much")],
)
def test_an_export_that_does_not_end_is_cut_off_at_the_stop_and_no_thread_stays(
    fault: Behaviour, reason: str, heard: Heard
) -> None:
    with faulty_grpc.faulty_grpc() as receiver:
        receiver.behaviour = fault
        otlp = output(receiver.port, SelfMetrics(), timeout=60, protocol="grpc")
        otlp.start()
        wait_until(lambda: receiver.asked, "an export under way")
        with within(component.GRACE_SECONDS + 1):
            otlp.stop(CLOCK.monotonic() + 5)
        assert otlp.name not in {thread.name for thread in threading.enumerate()}
    [warning] = heard.from_level(logging.WARNING)
    assert reason in warning
