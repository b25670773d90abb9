"""One key for all collectors of a database: PostgreSQL keeps it, wrapped by a key that is apart from the database."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from ff_observe.collector.keys.keeping import FileKeeping, KeyKeeping
from ff_observe.collector.keys.wrapping import KeyWrapping, key_wrapping
from ff_observe.collector.settings import CollectorSettings, PostgreSQLServer
from ff_observe.collector.store import Store, StoreError
from ff_observe.collector.store.opening import open_store
from ff_observe.errors import ConfigurationError, Problem

log = logging.getLogger(__name__)


@runtime_checkable
class WrappedKeys(Protocol):
    """A store that keeps wrapped keys. Every method raises `StoreError`."""

    def wrapped_key(self, name: str) -> bytes | None:
        """The key of that name; None if there is none."""

    def wrapped_key_names(self) -> Sequence[str]:
        """The names of all keys, in order."""

    def replace_wrapped_key(self, name: str, old: bytes | None, new: bytes) -> bool:
        """Put `new` durably in the place of `old` (None if there is none), and destroy `old` in the database's files;
        False, with nothing changed, if another collector was faster."""


class SharedKeeping:
    """A key in the database, and at first, until the database has one, in a file of this collector.

    A key is wrapped before it is committed in one statement, which changes nothing unless the present key is the one
    that was read: of several collectors one replaces it, and no lock is held while a command runs.
    """

    seconds_between_looks = 30.0

    def __init__(
        self, name: str, store: WrappedKeys, wrapping: KeyWrapping, earlier: FileKeeping, *, destroys_file: bool
    ) -> None:
        self._name = name
        self._store = store
        self._wrapping = wrapping
        self._earlier = earlier
        self._destroys_file = destroys_file
        self._seen: tuple[bytes, bytes] | None = None  # wrapped and unwrapped: a command is run once for each key

    def read(self) -> bytes | None:
        wrapped = self._store.wrapped_key(self._name)
        return self._earlier.read() if wrapped is None else self._unwrapped(wrapped)

    def exchange(self, decide: Callable[[bytes | None], bytes]) -> bytes:
        while True:
            wrapped = self._store.wrapped_key(self._name)
            kept = self._earlier.read() if wrapped is None else self._unwrapped(wrapped)
            decided = decide(kept)
            if (wrapped is not None and decided == kept) or self._replace(wrapped, decided):
                break
        if self._destroys_file and self._earlier.destroy():
            file = self._earlier.file
            log.info("the database keeps the key %s for all collectors: %s is destroyed", self._name, file)
        return decided

    def wrong(self, message: str) -> ConfigurationError:
        return self._wrapping.wrong(self._name, message)

    def _replace(self, wrapped: bytes | None, key: bytes) -> bool:
        fresh = self._wrapping.wrap(self._name, key)
        if not self._store.replace_wrapped_key(self._name, wrapped, fresh):
            return False
        self._seen = fresh, key
        if wrapped is not None:
            log.info(
                "the database keeps a new key %s. Its write-ahead log, standbys' files and backups hold the old one, "
                "wrapped, until they are written over or deleted",
                self._name,
            )
        return True

    def _unwrapped(self, wrapped: bytes) -> bytes:
        if self._seen is None or self._seen[0] != wrapped:
            key, by = self._wrapping.unwrap(self._name, wrapped)
            if by is not self._wrapping.present:
                log.info(
                    "the key %s is still wrapped as %s says: once no collector is without that setting, run "
                    "`ff-observe collector key --rewrap`",
                    self._name,
                    by.setting,
                )
            self._seen = wrapped, key
        return self._seen[1]


def keeping(
    settings: CollectorSettings, store: Store | None, name: str, in_file: FileKeeping, *, destroys_file: bool
) -> KeyKeeping:
    """Where the settings have the key `name` kept: in `in_file`, or in the database, which takes over what is in that
    file. The file is then destroyed if `destroys_file`. Raises `ConfigurationError`."""
    if settings.wrapping_key_file is None and not settings.wrapping_command:
        return in_file
    keys, found = keys_in_database(settings, store)
    return SharedKeeping(name, keys, found, in_file, destroys_file=destroys_file)


def keys_in_database(settings: CollectorSettings, store: Store | None = None) -> tuple[WrappedKeys, KeyWrapping]:
    """The database that the settings have keys kept in, and what wraps them. Raises `ConfigurationError`."""
    found = key_wrapping(settings)
    if not isinstance(settings.database, PostgreSQLServer):  # before a store is opened, which would make a file
        raise found.present.wrong("keeps keys in PostgreSQL; name one in database, or remove this key")
    store = store or open_store(settings)
    assert isinstance(store, WrappedKeys)
    return store, found


class Rewrapped(NamedTuple):
    """A key, and the setting by which it is wrapped now; `was_before` if it was so already."""

    name: str
    setting: str
    was_before: bool


def rewrap(store: WrappedKeys, wrapping: KeyWrapping) -> Iterator[Rewrapped]:
    """Wrap every key that the database keeps by the present wrapping instead of the previous one.

    All are unwrapped and wrapped anew before the first is replaced, so that a wrong wrapping changes nothing.
    Each is replaced only if it still is what was unwrapped; one that a collector has replaced meanwhile is done again.
    If the process ends in between, repeat it: what is done stays. Raises `ConfigurationError`, or `StoreError` for what
    may pass.
    """
    try:
        prepared = {name: _rewrapped(store, wrapping, name) for name in store.wrapped_key_names()}
    except ConfigurationError as error:
        unchanged = Problem(error.problems[0].file, 0, 0, "", "no key is changed")
        raise ConfigurationError((*error.problems, unchanged)) from None
    except StoreError as error:
        raise StoreError(f"{error}; no key is changed") from None
    for name, found in prepared.items():
        step = found
        while step is not None:
            wrapped, fresh = step
            if fresh == wrapped or store.replace_wrapped_key(name, wrapped, fresh):
                yield Rewrapped(name, wrapping.present.setting, was_before=fresh == wrapped)
                break
            step = _rewrapped(store, wrapping, name)


def _rewrapped(store: WrappedKeys, wrapping: KeyWrapping, name: str) -> tuple[bytes, bytes] | None:
    """A key as it is wrapped, and by the present wrapping: the same if that opens it. None if it has been deleted."""
    wrapped = store.wrapped_key(name)
    if wrapped is None:
        return None
    key, by = wrapping.unwrap(name, wrapped)
    return wrapped, wrapped if by is wrapping.present else wrapping.wrap(name, key)
