"""What systemd's watchdog is told, and when not."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from ff_observe.cli import systemd


class ScriptedSignals:
    """Signals as they come, None for a pause that ended without one; notes how long each pause may be."""

    def __init__(self, *coming: int | None) -> None:
        self._coming = iter(coming)
        self.pauses: list[float | None] = []

    def wait(self, seconds: float | None = None) -> int | None:
        self.pauses.append(seconds)
        return next(self._coming)


@pytest.fixture(params=["/{}/user@1000", "@{}/user@1000"])
def manager(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """systemd's socket: a path, or an abstract name. Neither may have more than 107 bytes."""
    address = request.param.format(str(tmp_path_factory.mktemp("s")).strip("/"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield listening


def heard(manager: socket.socket) -> list[bytes]:
    messages = []
    while True:
        try:
            messages.append(manager.recv(100))
        except BlockingIOError:
            return messages


def test_the_watchdog_hears_of_a_service_that_responds_and_not_of_one_that_does_not(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    signals, answers, asked = ScriptedSignals(None, None, None, signal.SIGTERM), iter((True, False, True)), []

    def responds(within_seconds: float) -> bool:
        asked.append(within_seconds)
        return next(answers)

    assert systemd.next_signal(signals.wait, responds) == signal.SIGTERM
    assert heard(manager) == [b"WATCHDOG=1"] * 2
    assert signals.pauses == [20.0] * 4
    assert asked == [10.0] * 3


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid() + 1)},
    ],
    ids=["unset", "empty", "no number", "zero", "negative", "of another process"],
)
def test_without_a_watchdog_only_signals_are_waited_for(variables: dict[str, str]) -> None:
    assert systemd.watchdog_seconds(variables) is None


def test_a_tiny_interval_does_not_keep_the_process_busy() -> None:
    assert systemd.watchdog_seconds({"WATCHDOG_USEC": "1"}) == systemd.SHORTEST_WATCHDOG_SECONDS
