"""A name server that does not answer holds up neither a delivery beyond its limit nor the end of the bridge."""

import socket
import threading
from typing import Any

import pytest

from ff_observe.outputs.ping.delivery import Timeouts
from ff_observe.outputs.ping.outcome import Result
from tests.unit.ping.bridge import Bridge
from tests.unit.ping.samples import settings
from tests.unit.ping.test_delivery import aborted, send


def hanging_lookups(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """A name server that does not answer: set once a name is looked up, and to let the look-up go."""
    begun, released = threading.Event(), threading.Event()
    look_up = socket.getaddrinfo

    def hang(*arguments: Any, **options: Any) -> Any:
        if arguments[0] != "ping.localhost":
            return look_up(*arguments, **options)
        begun.set()
        released.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    return begun, released


def test_looking_up_a_name_can_be_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, released = hanging_lookups(monkeypatch)
    try:
        outcome = aborted("http://ping.localhost/ping", begun)
        assert not released.is_set()
    finally:
        released.set()
    assert outcome.result is Result.FAILED
    assert "stopping" in outcome.explanation


def test_looking_up_a_name_ends_with_the_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    _, released = hanging_lookups(monkeypatch)
    try:
        outcome = send("http://ping.localhost/ping", Timeouts(connect=0.2, read=60, total=60))
        assert not released.is_set()
    finally:
        released.set()
    assert outcome.result is Result.FAILED
    assert "did not answer in time" in outcome.explanation


def test_a_name_server_that_does_not_answer_is_no_reason_to_stop_uncleanly(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, released = hanging_lookups(monkeypatch)
    ping = bridge.start(told=settings("http://ping.localhost/ping"))
    advancing = threading.Thread(target=bridge.clock.advance, args=(30,))
    advancing.start()
    try:
        assert begun.wait(30)
        ping.stop(bridge.clock.monotonic() + 5)
        assert not released.is_set()
    finally:
        released.set()
        advancing.join(30)
