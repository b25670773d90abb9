"""One key for all collectors of a database: PostgreSQL keeps it, wrapped by a key that is apart from the database."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from ff_observe.collector.key_file import FileKeeping, unusable
from ff_observe.collector.key_wrapping import KeyWrapping
from ff_observe.errors import ConfigurationError

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
        return self._in_file() if wrapped is None else self._unwrapped(wrapped)

    def exchange(self, decide: Callable[[bytes | None], bytes]) -> bytes:
        while True:
            wrapped = self._store.wrapped_key(self._name)
            kept = self._in_file() if wrapped is None else self._unwrapped(wrapped)
            decided = decide(kept)
            if (wrapped is not None and decided == kept) or self._replace(wrapped, decided):
                break
        if self._destroys_file and self._earlier.file.exists():
            self._destroy_file()
        return decided

    def wrong(self, message: str) -> ConfigurationError:
        return self._wrapping.wrong(self._name, message)

    def _in_file(self) -> bytes | None:
        try:
            return self._earlier.read()
        except OSError as error:
            raise unusable(self._earlier, f"cannot be read: {error.strerror}") from None

    def _destroy_file(self) -> None:
        try:
            self._earlier.destroy()
        except OSError as error:
            what = f"cannot be destroyed ({error.strerror}): the database keeps this key now; remove it by hand"
            raise unusable(self._earlier, what) from None
        log.info("the database keeps the key %s for all collectors: %s is destroyed", self._name, self._earlier.file)

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
            unwrapped = self._wrapping.unwrap(self._name, wrapped)
            if unwrapped.by is not self._wrapping.present:
                log.info(
                    "the key %s is still wrapped as %s says: once no collector is without that setting, run "
                    "`ff-observe collector key --rewrap`",
                    self._name,
                    unwrapped.by.setting,
                )
            self._seen = wrapped, unwrapped.key
        return self._seen[1]
