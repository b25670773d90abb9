"""What of a count leaves the platform in its ping: where it stands there, who reviewed that, for what and for how long,
and how much of it is in a public sum at most.

A sum of which a few platforms own half says more of them than of the fleet. The bounds are decisions, made before any
count was seen: a bound that followed the data would say something of the largest platform.
"""

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


@dataclass(frozen=True, slots=True)
class Bound:
    """`most` is a 1, 2 or 5 with zeros, like the sizes of roll-ups. `source` is what it was derived from."""

    most: int
    source: str


@dataclass(frozen=True, slots=True)
class PingField:
    """Where (part of) a count stands in the ping, below `platform.counts`.

    `path` has one or two keys. `label_value` picks one value of a labelled count (0 where the platform has none), and
    `title` describes it; None takes the count itself. Without a valid `review` it is neither sent nor stored. `bound`
    is what one platform adds to a public sum at most.
    """

    path: tuple[str, ...]
    label_value: str | None = None
    title: str = ""
    review: Review | None = None
    bound: Bound | None = None


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

LICENSED = Bound(1_000, "200 times the 5 that FlowFuse allows a platform without a licence (forge/licensing)")
MADE = Bound(10_000, "no limit of FlowFuse's; a decision: 10 for each of 1,000 instances")
SET_UP = Bound(100, "no limit of FlowFuse's; a decision: what people set up one by one, rather than by a program")
CLIENTS = Bound(1_000, "20 clients, which FlowFuse allows a team on an enterprise licence by default, in 50 teams")
