"""What the methods that both stores share need of a store: its sessions, and what its witnesses say."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Generic, TypeVar

from ff_observe.collector.store.present import Present

Run = Callable[..., Sequence[tuple[Any, ...]]]
"""Runs a statement that both databases read alike, with `?` for each value, and returns its rows."""
Connection = TypeVar("Connection")


class Sessions(ABC, Generic[Connection]):
    """A store, by the connections to its database."""

    @abstractmethod
    def _session(self, what: str) -> AbstractContextManager[Connection]:
        """A connection until the block ends; `what` names the work in errors."""

    @abstractmethod
    def _run_by(self, connection: Connection) -> Run:
        """What runs statements, each in a transaction of its own unless one is open."""

    @abstractmethod
    def _present(self, connection: Connection, now: datetime) -> Present:
        """What its witnesses say; `now` is what the clock does."""

    @contextlib.contextmanager
    def _running(self, what: str) -> Iterator[Run]:
        with self._session(what) as connection:
            yield self._run_by(connection)
