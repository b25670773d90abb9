"""Counts fields that the contract does not name, by name, without letting a name tell of a single sender."""

import re

OTHER = "other"
MAX_NAMES = 100
MAX_CANDIDATES = 1000

_TELLABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}(\.[A-Za-z_][A-Za-z0-9_]{0,31}){0,3}")
"""Only what looks like the name of a field: an address, a mail address or a sentence is none."""


class UnknownFields:
    """In memory only, and bounded. A name is told once `k` different instances have sent it."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._told: set[str] = set()
        self._candidates: dict[str, set[int]] = {}

    def label(self, name: str, instance_id: str) -> str:
        """The name to count a field under: its own, or `other`."""
        if name in self._told:
            return name
        if len(self._told) >= MAX_NAMES or not _TELLABLE.fullmatch(name):
            return OTHER
        if name not in self._candidates and len(self._candidates) >= MAX_CANDIDATES:
            self._candidates.pop(next(iter(self._candidates)))  # the oldest
        senders = self._candidates.setdefault(name, set())
        senders.add(hash(instance_id))  # of this process only: strings are hashed with a random seed
        if len(senders) < self._k:
            return OTHER
        del self._candidates[name]
        self._told.add(name)
        return name
