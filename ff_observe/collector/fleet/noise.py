"""Differential privacy: the figures of a release with random noise, drawn once, when they are released.

Two fleets are neighbours if one of them lacks the platform of one sender. Whatever a release shows is at most e^ε times
as likely with one as with the other, but for a probability of `DELTA`: a version that only few platforms have must not
appear by chance. A platform is in each question, so their ε add up (basic composition), as do those of releases.

Noise is OpenDP's discrete Laplace noise (Dwork et al., Calibrating noise to sensitivity in private data analysis; Ghosh
et al., Universally utility-maximizing privacy mechanisms): `opendp`, of the extra `dp`, is imported where it is drawn.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import accumulate, pairwise
from typing import Any, Final

from ff_observe.catalogue.fleet import WINDOWS
from ff_observe.catalogue.ping_contract import Value
from ff_observe.collector.fleet.disclosure import MAX_LABEL_VALUES, Resource, Shares, bounded, labelled
from ff_observe.collector.store import Distribution
from ff_observe.collector.store.rollups import following, size

DELTA: Final = 1e-9
FOR_SHARES, FOR_SIZES, FOR_SUMS = 0.5, 0.25, 0.25
"""How ε is divided. A sum takes much noise, as a platform adds so much to it: its part is no larger for that."""
OFF_BY: Final = 3
"""In 95 of 100 cases noise is at most so many times its scale (e^-3 is 0.05). A figure that is less says nothing."""


class Noise:
    """The rules of `Disclosure` by noise, for one release. `shares` is the number of questions by value, that of
    platforms by window among them, and `resources` that of counts. `spent` is what the questions so far took of
    `epsilon`, by OpenDP's reckoning."""

    def __init__(self, epsilon: float, k: int, silent_after_days: int, *, shares: int, resources: int) -> None:
        self.epsilon = epsilon
        self.k = k
        self.spent = 0.0
        self.scale_of_shares = shares / (epsilon * FOR_SHARES)
        self.scale_of_sizes = resources / (epsilon * FOR_SIZES)
        self.scale_of_sums = resources / (epsilon * FOR_SUMS)
        """In bounds: one platform changes a sum by its bound at most."""
        self._days = {**WINDOWS, "active": silent_after_days}

    def described(self) -> dict[str, Any]:
        """The noise in words of the release. `off_by` says how far figures are from the truth in 95 of 100 cases at
        most: the number of platforms with a value, one of the sizes, and a sum, in bounds of its count."""
        scales = {"platforms": self.scale_of_shares, "sizes": self.scale_of_sizes, "bounds": self.scale_of_sums}
        off_by = {name: math.ceil(OFF_BY * scale) for name, scale in scales.items()}
        return {"epsilon": self.epsilon, "delta": DELTA, "off_by": off_by}

    def nested(self, _name: str, groups: Mapping[str, int]) -> Shares:
        """How many platforms pinged within each time. A platform is in one of the differences, which take the noise."""
        order = sorted(groups, key=lambda key: self._days[key])
        cells = [larger - smaller for smaller, larger in pairwise([0, *(groups[key] for key in order)])]
        drawn = (max(0, number) for number in self._drawn(cells, 1, self.scale_of_shares))
        noisy = dict(zip(order, accumulate(drawn), strict=True))
        return {key: noisy[key] for key in groups if noisy[key] >= self._least(self.scale_of_shares)}

    def shares(
        self, _name: str, distribution: Distribution, label: Callable[[Value | None], str], known: Sequence[str] = ()
    ) -> Shares:
        """The number of platforms for each value, the most frequent first. Of `known` values those without platforms
        take noise too; others appear only beyond a threshold."""
        named = labelled(distribution, label)
        if known:
            drawn = self._drawn([named.get(key, 0) for key in known], 1, self.scale_of_shares)
            noisy = dict(zip(known, drawn, strict=True))
        else:
            noisy = self._beyond_threshold(named)
        least = self._least(self.scale_of_shares)
        enough = sorted(((-n, key) for key, n in noisy.items() if n >= least))[:MAX_LABEL_VALUES]
        return {key: -n for n, key in enough}

    def resource(self, _name: str, distribution: Distribution, bound: int | None = None) -> Resource | None:
        """Sizes and sum of a count; no quantiles, which follow from the sizes."""
        assert bound is not None
        counts = bounded(distribution, bound)
        cells = dict.fromkeys(_groups(bound), 0)
        for count, platforms in counts:
            cells[size(count)] += platforms
        drawn = self._drawn(list(cells.values()), 1, self.scale_of_sizes)
        (total,) = self._drawn([sum(n * platforms for n, platforms in counts)], bound, bound * self.scale_of_sums)
        reporting, least = max(0, sum(drawn)), self._least(self.scale_of_sizes)
        if reporting < least * math.sqrt(len(cells)):
            return None
        sizes = {str(group): n for group, n in zip(cells, drawn, strict=True) if n >= least}
        return Resource(reporting, total if total >= OFF_BY * bound * self.scale_of_sums else None, {}, sizes, bound)

    def _least(self, scale: float) -> float:
        return max(self.k, OFF_BY * scale)

    def _drawn(self, numbers: list[int], sensitivity: int, scale: float) -> list[int]:
        """With noise; one platform changes the numbers by `sensitivity` in all."""
        measurement = _laplace(scale)
        self.spent += measurement.map(sensitivity)
        drawn: list[int] = measurement(numbers)
        return drawn

    def _beyond_threshold(self, named: dict[str, int]) -> dict[str, int]:
        """With noise, those values that a single platform makes appear with a probability of `DELTA` at most."""
        measurement = _laplace_threshold(self.scale_of_shares)
        spent, delta = measurement.map((1, 1, 1))
        assert delta <= DELTA
        self.spent += spent
        drawn: dict[str, int] = measurement(named)
        return drawn


def fits(spent: float, epsilon: float, budget: float) -> bool:
    """Whether a budget has room for one more release."""
    return spent + epsilon <= budget + 1e-9


def _groups(bound: int) -> list[int]:
    """The least of each group of sizes, from 0 to the bound."""
    groups = [0]
    while groups[-1] < bound:
        groups.append(following(groups[-1]))
    return groups


@cache
def _laplace(scale: float) -> Any:
    dp = _opendp()
    return (dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")) >> dp.m.then_laplace(scale)


@cache
def _laplace_threshold(scale: float) -> Any:
    dp = _opendp()
    threshold = 1 + math.ceil(scale * math.log(1 / DELTA))
    domain = dp.map_domain(dp.atom_domain(T=str), dp.atom_domain(T="i64"))
    metric = dp.l01inf_distance(dp.absolute_distance(T="i64"))
    return (domain, metric) >> dp.m.then_laplace_threshold(scale, threshold=threshold)


def _opendp() -> Any:
    import opendp.prelude

    opendp.prelude.enable_features("contrib")  # everything without a published proof of its code, noise included
    return opendp.prelude
