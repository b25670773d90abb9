"""The methods of a store for public figures: one session of the store each, over the statements of its database."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from ff_observe.collector.store.model import Count, Released
from ff_observe.collector.store.present import Present

Connection = TypeVar("Connection")
Used = TypeVar("Used", contravariant=True)


class Statements(Protocol[Used]):
    """A module of one database's statements: `postgresql_fleet` or `sqlite_fleet`."""

    def sample(self, connection: Used, at: datetime, days: int, silent_after_days: int, /) -> Count | None: ...
    def rounding_key(self, connection: Used, /) -> bytes: ...
    def releases(self, connection: Used, first: int, /) -> Sequence[Released]: ...
    def release(self, connection: Used, released: Released, /) -> bool: ...


class PublicStore(ABC, Generic[Connection]):
    """See `Store` for the methods."""

    public: Statements[Connection]

    @abstractmethod
    def _session(self, what: str) -> AbstractContextManager[Connection]:
        """A connection until the block ends; `what` names the work in errors."""

    @abstractmethod
    def _present(self, connection: Connection, now: datetime) -> Present:
        """What its witnesses say; `now` is what the clock does."""

    def sample(self, at: datetime, days: int, silent_after_days: int) -> Count | None:
        with self._session("sample the fleet") as connection:
            return self.public.sample(connection, at, days, silent_after_days)

    def contradicts(self, at: datetime) -> bool:
        with self._session("read its days") as connection:
            return self._present(connection, at).contradicts(at)

    def rounding_key(self) -> bytes:
        with self._session("read the fleet's key") as connection:
            return self.public.rounding_key(connection)

    def releases(self, first: int) -> Sequence[Released]:
        with self._session("read releases") as connection:
            return self.public.releases(connection, first)

    def release(self, released: Released) -> bool:
        with self._session("release") as connection:
            return self.public.release(connection, released)
