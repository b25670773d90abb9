"""Numbers and moments as the page shows them."""

import math
from datetime import UTC, datetime
from typing import Final

from ff_observe.catalogue import COUNTS
from ff_observe.web.status.document import Figure
from ff_observe.web.status.markup import Content, Markup, element

_UNITS: Final = {count.name: count.unit for count in COUNTS}
_MULTIPLES: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def shown(figure: Figure) -> Content:
    """What it is now, in the unit of its metric: a number, a size or a day."""
    if figure.value is None or _UNITS.get(figure.name) not in ("s", "By"):
        return number(figure.value)
    if not is_moment(figure):
        return _size(figure.value)
    try:
        at = datetime.fromtimestamp(figure.value, UTC)
    except (ValueError, OverflowError):  # users choose when their tokens expire
        return "after 9999"
    return element("time", f"{at:%Y-%m-%d}", datetime=rfc3339(at))


def is_moment(figure: Figure) -> bool:
    """Whether its value is a time since 1970."""
    return _UNITS.get(figure.name) == "s"


def number(value: float | None) -> str:
    """With thin spaces between thousands."""
    return "\N{EN DASH}" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def moment(at: datetime | None) -> Markup | None:
    if at is None:
        return None
    return element("time", f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", datetime=rfc3339(at))


def rfc3339(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _size(size: float) -> str:
    power = min(int(math.log2(max(size, 1)) // 10), len(_MULTIPLES) - 1)
    in_multiples = f"{size / 1024**power:,.{1 if power else 0}f}".replace(",", "\u202f")
    return f"{in_multiples} {_MULTIPLES[power]}"
