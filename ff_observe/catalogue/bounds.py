"""How much one platform adds to a public sum at most: beyond it, its own count is not in the sum.

A sum of which a few platforms own half says more of them than of the fleet. The bounds are decisions, made before any
count was seen: a bound that followed the data would say something of the largest platform.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """`most` is a 1, 2 or 5 with zeros, like the sizes of roll-ups. `source` is what it was derived from."""

    most: int
    source: str


LICENSED = Bound(1_000, "200 times the 5 that FlowFuse allows a platform without a licence (forge/licensing)")
MADE = Bound(10_000, "no limit of FlowFuse's; a decision: 10 for each of 1,000 instances")
SET_UP = Bound(100, "no limit of FlowFuse's; a decision: what people set up one by one, rather than by a program")
CLIENTS = Bound(1_000, "20 clients, which FlowFuse allows a team on an enterprise licence by default, in 50 teams")
