"""What belongs to the whole process and is ours for a while, such as the client of an SDK or a hook."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Borrowed(Generic[T]):
    """One such thing. Several parts of ours may hold it at a time: when the settings change, the new one begins before
    the old one ends. Whatever the order they give it back in, what was there before the first is there after the last.
    """

    def __init__(self, look: Callable[[], T], put: Callable[[T], None]) -> None:
        self._look = look
        self._put = put
        self._holders: list[T] = []
        self._original: T | None = None

    def take(self, make: Callable[[], T]) -> tuple[T, T]:
        """Put what `make` makes in place; returns it, and what belongs there when none of ours does."""
        before = self._look()
        own = make()
        if not self._holders:
            self._original = before
        self._holders.append(own)
        self._put(own)
        assert self._original is not None
        return own, self._original

    def give_back(self, own: T) -> None:
        """Legal once for each `take`. Somebody else's that is in place by now stays."""
        self._holders.remove(own)
        if self._look() == own:
            assert self._original is not None
            self._put(self._holders[-1] if self._holders else self._original)
        if not self._holders:
            self._original = None
