"""Data reviews: who looked at a value that leaves the platform in its ping, what it is for, and for how long."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Review:
    """One review. `reference` is a link or text to the source of the decision; without `expires` it is permanent, else
    the value leaves for the last time on the day before."""

    purpose: str
    by: str
    on: date
    reference: str
    expires: date | None = None

    def holds(self, day: date) -> bool:
        """Whether a value with this review may leave on `day` (UTC)."""
        return self.expires is None or day < self.expires


def reviewed(purpose: str) -> Review:
    """The review of a value that FlowFuse's own ping holds: the bridge sends nothing that FlowFuse does not."""
    return Review(
        purpose,
        by="the maintainers of ff-observe",
        on=date(2026, 11, 28),
        reference="FlowFuse sends it in its own ping (forge/monitor)",
    )


SIZE = reviewed("to see how large platforms are")
USE = reviewed("to see which features are used")
SUPPORT = reviewed("to see which software platforms run on")
IDENTITY = reviewed("to tell the pings of platforms apart")
LICENCE = reviewed("to tell licensed platforms from others")
