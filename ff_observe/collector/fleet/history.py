"""What the public releases say over time, made from nothing but the releases: it reveals no more than they do, costs no
ε, and everybody can make the same from `/releases/DAY.json`."""

from array import array
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from math import isnan, nan
from typing import Any, Final

DAILY: Final = timedelta(days=400)
"""Of what is older than this, only the last release of each week is kept."""
MOST_VERSIONS: Final = 100
"""Of the versions, those that most platforms had in one of the releases. All other values are of closed lists."""
_VERSIONS: Final = "platforms_by_version"
_LEFT_OUT: Final = frozenset({"sizes", "bound"})

Path = tuple[str, ...]


class History:
    """Every figure of the releases as a column. It grows by a release at a time: none is read again."""

    def __init__(self) -> None:
        self._first: str | None = None
        self._count = 0
        self._days: list[date] = []
        self._columns: dict[Path, array[float]] = {}
        self._thinned = 0

    def add(self, document: Mapping[str, Any]) -> None:
        """Take in the next release, in the form of `fleet.as_json`."""
        figures = dict(_figures((), document))
        for path in figures.keys() - self._columns.keys():
            self._columns[path] = array("d", [nan]) * len(self._days)
        for path, column in self._columns.items():
            column.append(figures.get(path, nan))
        self._days.append(date.fromisoformat(document["day"]))
        self._first = self._first or document["day"]
        self._count += 1
        self._thin_out()

    def as_json(self) -> dict[str, Any]:
        """The days of the releases, and for each figure, under the keys that it has in a release, a list of its numbers
        on these days: None where a release left it out."""
        last = str(self._days[-1]) if self._days else None
        history: dict[str, Any] = {
            "releases": {"first": self._first, "last": last, "count": self._count},
            "day": [str(day) for day in self._days],
        }
        for path, column in sorted(self._shown().items()):
            *parents, name = path
            place = history
            for key in parents:
                place = place.setdefault(key, {})
            place[name] = [None if isnan(number) else _plain(number) for number in column]
        return history

    def _shown(self) -> Mapping[Path, "array[float]"]:
        """The columns without those that lost all their numbers with the days, and without the rarest versions."""
        self._columns = {path: column for path, column in self._columns.items() if not all(map(isnan, column))}
        versions = [path for path in self._columns if path[0] == _VERSIONS]
        most = {path: max(number for number in self._columns[path] if not isnan(number)) for path in versions}
        rare = set(sorted(versions, key=lambda path: (-most[path], path))[MOST_VERSIONS:])
        return {path: column for path, column in self._columns.items() if path not in rare}

    def _thin_out(self) -> None:
        edge = self._days[-1] - DAILY
        while (day := self._days[self._thinned]) < edge:
            if _week(day) == _week(self._days[self._thinned + 1]):
                del self._days[self._thinned]
                for column in self._columns.values():
                    del column[self._thinned]
            else:
                self._thinned += 1


def _figures(path: Path, value: object) -> Iterator[tuple[Path, float]]:
    """The numbers of a release by where they stand in it."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            if key not in _LEFT_OUT:
                yield from _figures((*path, key), below)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


def _week(day: date) -> tuple[int, int]:
    return day.isocalendar()[:2]


def _plain(number: float) -> float:
    return int(number) if number.is_integer() else number
