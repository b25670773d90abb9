"""Counts fields outside the contract, by name, without letting a name expose a single sender."""

import re
from collections.abc import Callable
from datetime import date

OTHER = "other"
MAX_NAMES = 100
MAX_CANDIDATES = 1000
MAX_NAMES_PER_SENDER = 32
"""How many new names one address can introduce per day; more could push out other candidates."""
MAX_SENDERS = 100
"""Beyond this, senders of one name are not distinguished: the name already ranks among the most frequent."""

MAX_SENDERS_A_DAY = 100_000

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}(\.[A-Za-z_][A-Za-z0-9_]{0,31}){0,3}")
"""Only text that looks like a field name: no address, no mail address, no sentence."""

_Senders = dict[str, set[int]]
"""Senders of a name, as hashes valid in this process only: those of bytes have a random seed."""


class UnknownFields:
    """In memory only, and bounded. A name is shown while `k` different senders sent it today or yesterday.

    Senders are distinguished by the hash of their address, since instances are easily invented. If more than
    `MAX_NAMES` names qualify, those with more senders stay. `on_hidden` is called for a name that is no longer shown.
    """

    def __init__(self, k: int, on_hidden: Callable[[str], None]) -> None:
        self._k = k
        self._on_hidden = on_hidden
        self._day = date.min
        self._today: _Senders = {}
        self._yesterday: _Senders = {}
        self._names_by_sender: dict[int, int] = {}
        self._shown: set[str] = set()

    def label(self, name: str, sender: bytes | None, day: date) -> str:
        """The label for a field: its own name, or `other`."""
        if day != self._day:
            self._begin(day)
        if name == OTHER or not _FIELD_NAME.fullmatch(name):
            return OTHER
        self._add(name, hash(sender))
        if name not in self._shown and len(self._senders(name)) >= self._k:
            self._show(name)
        return name if name in self._shown else OTHER

    def _begin(self, day: date) -> None:
        follows = (day - self._day).days == 1
        self._yesterday, self._today = (self._today if follows else {}), {}
        self._day = day
        self._names_by_sender = {}
        for name in [name for name in self._shown if len(self._senders(name)) < self._k]:
            self._hide(name)

    def _add(self, name: str, sender: int) -> None:
        senders = self._today.get(name, set())
        if sender in senders or len(senders) >= MAX_SENDERS:
            return
        names = self._names_by_sender.get(sender, 0)
        if names >= MAX_NAMES_PER_SENDER or (names == 0 and len(self._names_by_sender) >= MAX_SENDERS_A_DAY):
            return
        if name not in self._today and len(self._today) >= MAX_CANDIDATES + MAX_NAMES:
            self._drop_weakest()
        self._names_by_sender[sender] = names + 1
        self._today.setdefault(name, set()).add(sender)

    def _drop_weakest(self) -> None:
        """Of the hidden names with the fewest senders, the oldest."""
        hidden = (name for name in self._today if name not in self._shown)
        del self._today[min(hidden, key=lambda name: len(self._today[name]))]

    def _show(self, name: str) -> None:
        if len(self._shown) >= MAX_NAMES:
            weakest = min(self._shown, key=lambda shown: len(self._senders(shown)))
            if len(self._senders(weakest)) >= len(self._senders(name)):
                return
            self._hide(weakest)
        self._shown.add(name)

    def _hide(self, name: str) -> None:
        self._shown.remove(name)
        self._on_hidden(name)

    def _senders(self, name: str) -> set[int]:
        return self._today.get(name, set()) | self._yesterday.get(name, set())
