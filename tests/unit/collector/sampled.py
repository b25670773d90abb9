"""A store of which nothing is needed but the sample of platforms that a public release is made of."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from ff_observe.catalogue.ping_contract import Value
from ff_observe.collector.fleet.figures import as_json, take_release
from ff_observe.collector.store import Count, Seen, Store
from ff_observe.collector.store.rollups import ROLLED_UP, ascending
from tests.unit.collector.pings import NOON

Platform = Mapping[int, Value]
"""What a platform says, by the index of the field."""


class _Sampled:
    def __init__(self, platforms: Sequence[Platform], key: bytes) -> None:
        self._platforms = platforms
        self._key = key

    def rounding_key(self) -> bytes:
        return self._key

    def sample(self, at: datetime, _days: int, _silent_after_days: int) -> Count:
        number = len(self._platforms)
        said = {index: ascending(Counter(each[index] for each in self._platforms).items()) for index in ROLLED_UP}
        return Count(at, Seen({"1d": number, "7d": number, "30d": number}, 0), said)


def release_of(platforms: Sequence[Platform], key: bytes, k: int = 10) -> dict[str, Any]:
    """The release of a fleet that pings every day, with figures rounded under a key."""
    return as_json(take_release(cast("Store", _Sampled(platforms, key)), NOON, k, 3, 2), k, 3)
