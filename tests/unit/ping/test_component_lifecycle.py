"""The ping thread as a component: it starts, ends in time whatever hangs, and sends once by hand."""

import threading

from ff_observe.outputs.ping.component import CorePing
from ff_observe.outputs.ping.delivery import Delivery
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.sending import send_once
from ff_observe.snapshots import Snapshot
from tests.unit.ping.bridge import Bridge, Platform
from tests.unit.ping.receivers import silent, tcp_server
from tests.unit.ping.samples import OPERATING_SYSTEM, settings, snapshot


def test_the_thread_has_its_name_and_ends(bridge: Bridge) -> None:
    bridge.start()
    assert [thread.name for thread in threading.enumerate() if thread.name == "core ping"] == ["core ping"]
    bridge.stop()
    assert "core ping" not in [thread.name for thread in threading.enumerate()]


def test_stopping_is_legal_before_the_start_and_twice(bridge: Bridge) -> None:
    ping = CorePing(settings(), bridge.platform, OPERATING_SYSTEM, bridge.metrics, bridge.clock)
    ping.stop(bridge.clock.monotonic() + 5)
    ping.stop(bridge.clock.monotonic() + 5)


def test_a_hanging_delivery_does_not_keep_the_bridge_from_stopping(bridge: Bridge) -> None:
    with tcp_server(silent) as (port, connected):
        ping = bridge.start(told=settings(f"http://127.0.0.1:{port}/ping"))
        advancing = threading.Thread(target=bridge.clock.advance, args=(30,))
        advancing.start()
        assert connected.wait(60)
        ping.stop(bridge.clock.monotonic() + 60)
        assert "core ping" not in [thread.name for thread in threading.enumerate()]  # and the receiver is still silent
        advancing.join(60)
    assert bridge.sample("ff_observe_pings_total") == {("delivered",): 0.0, ("failed",): 0.0, ("rejected",): 0.0}


class Hanging(Platform):
    """A database that does not answer until it is given up."""

    def __init__(self) -> None:
        super().__init__(snapshot())
        self.begun, self.released, self.ended = threading.Event(), threading.Event(), threading.Event()

    def current(self) -> Snapshot:
        self.begun.set()
        self.released.wait(600)
        self.ended.set()
        return super().current()


def test_a_hanging_database_leaves_the_other_parts_time_to_stop(bridge: Bridge) -> None:
    platform = bridge.platform = Hanging()
    ping = bridge.start()
    advancing = threading.Thread(target=bridge.clock.advance, args=(30,))
    advancing.start()
    assert platform.begun.wait(60)
    ping.stop(bridge.clock.monotonic() + 5)  # stopping the snapshots ends the wait: no failure of the ping
    assert not platform.ended.is_set()
    platform.released.set()
    advancing.join(60)
    bridge.stop()
    assert bridge.arrived == []


def test_sending_once_obeys_the_same_rules(bridge: Bridge) -> None:
    told = settings(bridge.server.url())
    sender = Delivery(told.ping.url, bridge.clock)
    refused = send_once(snapshot(telemetry_allowed=False), told, OPERATING_SYSTEM, sender)
    assert (refused.body, refused.outcome) == (None, None)
    assert bridge.arrived == []
    sent = send_once(snapshot(), told, OPERATING_SYSTEM, sender)
    assert isinstance(sent.outcome, Outcome)
    assert sent.outcome.result is Result.DELIVERED
    assert [request.body for request in bridge.server.requests] == [sent.body]
