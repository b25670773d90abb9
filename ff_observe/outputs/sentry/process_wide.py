"""A process-wide hook that we replace for a while and restore, in whatever order its holders release it."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class ProcessWide(Generic[T]):
    """Several of our components may hold it at a time: on a reload the new one begins before the old one ends. When
    the last one restores it, the original is in place again."""

    def __init__(self, get: Callable[[], T], put: Callable[[T], None]) -> None:
        self._get = get
        self._put = put
        self._holders: list[T] = []
        self._original: T | None = None

    def replace(self, make: Callable[[], T]) -> tuple[T, T]:
        """Install the result of `make`; returns it, and what is in place when none of ours is."""
        before = self._get()
        own = make()
        if not self._holders:
            self._original = before
        self._holders.append(own)
        self._put(own)
        assert self._original is not None
        return own, self._original

    def restore(self, own: T) -> None:
        """Legal once for each `replace`. A later replacement by another library stays."""
        self._holders.remove(own)
        if self._get() == own:
            assert self._original is not None
            self._put(self._holders[-1] if self._holders else self._original)
        if not self._holders:
            self._original = None
