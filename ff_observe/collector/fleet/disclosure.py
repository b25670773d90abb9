"""Statistical disclosure control: which figures about a group of platforms may be shown without exposing one of them.

The rules are those of official statistics (Hundepool et al., Statistical Disclosure Control, chapters 4 and 5): a
minimum frequency, dominance and p% rules for sums, and rounding with an offset that is secret and stays the same.
"""

import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ff_observe.catalogue.ping_contract import Value
from ff_observe.collector.store import Distribution
from ff_observe.collector.store.rollups import following, size

OTHER = "other"
QUANTILES = (0.5, 0.9, 0.99)
MAX_LABEL_VALUES = 50
"""The number of values of a field that are shown: the most frequent."""

LARGEST_SHARE = 0.5
"""Dominance rule: no platform contributes more than this share of a sum."""
P_PERCENT = 20
"""p% rule: the second largest contributor cannot estimate the largest more closely than this from the sum."""
SIGNIFICANT_DIGITS = 2  # of a rounded quantile

Shares = Mapping[str, int]
"""How many platforms have each value."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One count over the fleet: how many platforms report it, how many have how many (by the least of each group), its
    quantiles, and its sum, None where it may not be shown. In sizes and sum a platform has `bound` at most."""

    platforms: int
    total: int | None
    quantiles: Mapping[float, float]
    sizes: Shares = field(default_factory=lambda: MappingProxyType({}))
    bound: int | None = None


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The rules for one audience. No figure depends on fewer than `k` platforms; with `k` 1 nothing is protected.

    With a `rounding_key` figures are also rounded down, counts to multiples of `k`, after subtracting an offset that is
    secret and fixed for each figure: adding platforms until a figure changes then reveals as much about the offset as
    about the other platforms. Figures that are one number have one offset: the mean of many would be that number.
    """

    k: int
    rounding_key: bytes | None = None
    whole: tuple[int, int] | None = None
    """Of the group that all figures are about: how many platforms it has, and what is shown of that."""

    def within(self, name: str, platforms: int) -> "Disclosure":
        """The rules for figures about a group of platforms, which itself is shown under that name."""
        return replace(self, whole=(platforms, self._group(name, platforms)))

    def shares(
        self, name: str, distribution: Distribution, label: Callable[[Value | None], str], known: Sequence[str] = ()
    ) -> Shares:
        """The number of platforms for each value, the most frequent first; the values that are not shown are summed as
        `other`.

        If `other` holds fewer than `k` platforms, it takes in the rarest shown values too: where all values are known,
        as with a flag, the difference from the total would expose those few.
        """
        named = labelled(distribution, label)
        enough = [
            (platforms, key)
            for key, platforms in named.items()
            if key != OTHER and self._part(f"{name}={key}", platforms) >= self.k
        ]
        shown = {key: n for n, key in sorted(enough, key=lambda each: (-each[0], each[1]))[:MAX_LABEL_VALUES]}
        rest = sum(named.values()) - sum(shown.values())
        while shown and 0 < rest < self.k:
            rest += shown.popitem()[1]
        shares = {key: self._part(f"{name}={key}", n) for key, n in shown.items()}
        rest = self._part(f"{name}={OTHER}", rest)
        return {**shares, OTHER: rest} if rest >= self.k else shares

    def nested(self, name: str, groups: Mapping[str, int]) -> Shares:
        """Which of several nested groups, given from the largest to the smallest, may be shown: none with fewer than
        `k` platforms, and no two that differ by fewer. 0 means no platform, and may be shown."""
        shown: dict[str, int] = {}
        for key, platforms in groups.items():
            differences = [abs(larger - platforms) for larger in shown.values()]
            if all(n == 0 or n >= self.k for n in (platforms, *differences)):
                shown[key] = platforms
        # with one offset, so that they stay nested
        return {key: self._rounded(name, n, self.k) for key, n in shown.items()}

    def changes(self, groups: Mapping[str, Sequence[int]]) -> Shares:
        """Which of several groups that joined or left may be shown, given as their number and those of the groups that
        hold them: none where it or what it leaves of another is of fewer than `k` platforms, though 0 is shown.

        The platforms before and after tell what all changes come to: one that is withheld would follow from the others.
        So one more is withheld with it, the first.
        """
        shown = {
            key: number
            for key, (number, *holders) in groups.items()
            if all(n == 0 or n >= self.k for n in (number, *(holder - number for holder in holders)))
        }
        if len(shown) == len(groups) - 1:
            shown.pop(next(iter(shown)))
        return shown

    def resource(self, name: str, distribution: Distribution, bound: int | None = None) -> Resource | None:
        """Sum and quantiles of a count, given in ascending order; with a `bound`, of what it leaves of each platform,
        and sizes too. None where neither sum nor sizes may be shown.

        A quantile is the mean over the `k` platforms around its rank, under the same rules as a sum; it is absent where
        fewer than `k` platforms lie at or beyond it.
        """
        counts = bounded(distribution, bound)
        there = sum(platforms for _, platforms in counts)
        reporting = self._group(f"{name} platforms", there)
        sizes = {} if bound is None else replace(self, whole=(there, reporting))._sizes(name, counts)
        if reporting < self.k or not (self._may_sum(counts) or sizes):
            return None
        if not self._may_sum(counts):
            return Resource(reporting, None, {}, sizes, bound)
        total = sum(value * platforms for value, platforms in counts)
        # The step is as large as the largest platform: when that joins, the sum changes by one step at most. It is also
        # as large as for a number of platforms, which the sum is where none has more than one.
        total = self._rounded(f"{name} sum", total, _one_two_five(max(counts[-1][0], self.k)))
        quantiles = {quantile: self._quantile(counts, quantile) for quantile in QUANTILES}
        shown = {quantile: value for quantile, value in quantiles.items() if value is not None}
        return Resource(reporting, total, shown, sizes, bound)

    def _sizes(self, name: str, counts: Distribution) -> Shares:
        """Empty if no group may be shown but that of all others."""
        shares = self.shares(f"{name} size", counts, lambda value: str(size(int(value or 0))))
        named = {key: shares[key] for key in sorted(shares.keys() - {OTHER}, key=int)}
        return named | {OTHER: shares[OTHER]} if named and OTHER in shares else named

    def _quantile(self, counts: Sequence[tuple[int, int]], quantile: float) -> float | None:
        reporting = sum(platforms for _, platforms in counts)
        rank = min(int(quantile * reporting), reporting - 1)
        if min(rank + 1, reporting - rank) < self.k:
            return None
        first = rank - (self.k - 1) // 2
        around = list(_ranks(counts, first, first + self.k))
        total = sum(value * platforms for value, platforms in around)
        if total and not self._may_sum(around):
            return None
        mean = total / self.k
        return mean if self.rounding_key is None else float(f"{mean:.{SIGNIFICANT_DIGITS}g}")

    def _may_sum(self, counts: Sequence[tuple[int, int]]) -> bool:
        """Whether the sum of these values, in ascending order, may be shown: `k` platforms contribute, and none
        dominates. Platforms with 0 contribute nothing, and hide none."""
        contributing = [(value, platforms) for value, platforms in counts if value > 0]
        number = sum(platforms for _, platforms in contributing)
        if self.k == 1:
            return bool(counts)
        if number < max(self.k, 3):  # of two contributors, each can compute the other's value
            return False
        total = sum(value * platforms for value, platforms in contributing)
        largest, last = contributing[-1]
        second = largest if last > 1 else contributing[-2][0]
        return largest <= LARGEST_SHARE * total and 100 * (total - largest - second) >= P_PERCENT * largest

    def _group(self, name: str, platforms: int) -> int:
        """What is shown of a group: if it lacks few of a larger group, as much as of that. Where few end is as secret
        as an offset, and stays the same."""
        if self.whole is not None and self._rounded(f"{name} missing", self.whole[0] - platforms, self.k) < self.k:
            return self.whole[1]
        return self._rounded(name, platforms, self.k)

    def _part(self, name: str, platforms: int) -> int:
        """What is shown of some of the platforms of a group, or of all."""
        if self.whole is not None and platforms == self.whole[0]:
            return self.whole[1]
        return self._rounded(name, platforms, self.k)

    def _rounded(self, name: str, number: int, step: int) -> int:
        if self.rounding_key is None or step <= 1:
            return number
        # One number for every step: the multiples of one that follows another are among those before, as far as can be.
        digest = hmac.digest(self.rounding_key, name.encode(), "sha256")
        offset = int.from_bytes(digest[:16], "big") % step
        return max(0, (number - offset) // step * step)


def labelled(distribution: Distribution, label: Callable[[Value | None], str]) -> dict[str, int]:
    """The number of platforms for each label."""
    named: dict[str, int] = {}
    for value, platforms in distribution:
        key = label(value)
        named[key] = named.get(key, 0) + platforms
    return named


def bounded(distribution: Distribution, bound: int | None) -> Sequence[tuple[int, int]]:
    """The counts of the platforms that report it, none above the bound, in the order given."""
    found: dict[int, int] = {}
    for value, platforms in distribution:
        if value is not None:
            count = int(value) if bound is None else min(int(value), bound)
            found[count] = found.get(count, 0) + platforms
    return list(found.items())


def _ranks(counts: Iterable[tuple[int, int]], first: int, end: int) -> Iterable[tuple[int, int]]:
    """The values at the ranks from `first` up to, not including, `end`, and how many of these have each."""
    rank = 0
    for value, platforms in counts:
        if (inside := min(end, rank + platforms) - max(first, rank)) > 0:
            yield value, inside
        rank += platforms


def _one_two_five(number: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, … that is not below `number`."""
    least = size(number)
    return least if least == number else following(least)
