"""The gate of the ping: the thread and `ping send` both send through `send_once`, and nothing else sends."""

from dataclasses import dataclass
from typing import Protocol

from ff_observe.config.settings import Settings
from ff_observe.outputs.ping.consent import Decision, decide
from ff_observe.outputs.ping.outcome import Outcome
from ff_observe.outputs.ping.payload import build_payload, encode
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import OperatingSystem


class Sender(Protocol):
    """Delivers a body: `Delivery`, except in tests."""

    def send(self, body: bytes) -> Outcome:
        """Try once. Does not raise."""

    def abort(self) -> None:
        """Abort a delivery in progress, from any thread, and send nothing more."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of `send_once`. Without consent it has neither body nor outcome."""

    decision: Decision
    body: bytes | None = None
    outcome: Outcome | None = None


def preview(snapshot: Snapshot, settings: Settings, operating_system: OperatingSystem) -> bytes:
    """The exact bytes that `send_once` would send, whether allowed or not. Raises `DeliveryError` if there are none."""
    return encode(build_payload(snapshot, settings.platform, operating_system))


def send_once(snapshot: Snapshot, settings: Settings, operating_system: OperatingSystem, sender: Sender) -> Sent:
    """Send one ping if that is allowed. Raises `DeliveryError` if the platform has no instance id."""
    decision = decide(snapshot, settings)
    if not decision.allowed:
        return Sent(decision)
    body = preview(snapshot, settings, operating_system)
    return Sent(decision, body, sender.send(body))
