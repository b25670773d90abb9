"""The rules of data quality: what of a day of the fleet is doubtful. Declared as data; nothing here counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """What is found on a day is a finding if it is more than is usual (the median of the days with pings of the week
    before) by over `share` of the platforms that usually ping, and by over `least`. With `fewer`, if it is less.

    `says` is what a finding means, with the threshold in its place; `remedy` is what an operator does about it.
    """

    name: str
    title: str
    says: str
    remedy: str
    share: float = 0.0
    least: int = 0
    fewer: bool = False

    @property
    def meaning(self) -> str:
        """What a finding means, in a sentence."""
        return self.says.format(share=f"{self.share:.0%}".replace("%", " %"), least=self.least)

    def is_broken(self, found: int, usual: int, platforms: int) -> bool:
        """Whether that is a finding; `platforms` usually ping. A share of none says nothing."""
        if self.share and not platforms:
            return False
        difference = usual - found if self.fewer else found - usual
        return difference > max(self.share * platforms, self.least)


NO_PINGS = Rule(
    "no_pings",
    "Days without pings",
    "No platform pinged.",
    "See in the collector's log whether it ran, and at its proxy whether requests came. What comes later counts for "
    "the day on which it comes.",
    fewer=True,
)
MISSING = Rule(
    "missing",
    "Platforms missing",
    "Fewer platforms pinged than usual, by over {share}.",
    "See in `flowfuse_fleet_silent_platforms` whether they come back, and in "
    "`ff_observe_collector_pings_refused_total` whether the collector turned them away.",
    share=0.5,
    fewer=True,
)
LATE = Rule(
    "late",
    "Platforms late",
    "More platforms than usual pinged after a pause of 2 to 7 days, by over {share} of those that usually ping, "
    "and by over {least}.",
    "The days before lack these platforms: read 7 or 30 days, which have them.",
    share=0.2,
    least=5,
)
CROWD = Rule(
    "crowd",
    "Crowds of new platforms",
    "More platforms than usual pinged for the first time, by over {share} of those that usually ping, "
    "and by over {least}.",
    "Find what they share with `ff-observe fleet adoption`. If nothing was rolled out on that day, doubt them.",
    share=0.5,
    least=5,
)
CROWD_OF_FEW_SENDERS = Rule(
    "crowd_of_few_senders",
    "Crowds of few senders",
    "One sender had more new platforms than usual, by over {least}.",
    "If they come through a proxy, add it to `address.trusted_proxies`; otherwise take them for tests, or for "
    "invented. Public figures leave them out.",
    least=10,
)
UNKNOWN_VALUE = Rule(
    "unknown_value",
    "Unknown values",
    "More platforms than usual sent a value that FlowFuse does not have, a count beyond its bound, or what no platform "
    "sent in the 30 days before.",
    "See all values with `ff-observe fleet adoption --of FIELD`, or `ff-observe fleet histogram COUNT`. Public figures "
    "show such a value as `other`, or not at all, and of a count no more than its bound.",
)

RULES = (NO_PINGS, MISSING, LATE, CROWD, CROWD_OF_FEW_SENDERS, UNKNOWN_VALUE)
