"""The choice of where a collector's keys are kept."""

from ff_observe.collector.key_file import FileKeeping, KeyKeeping
from ff_observe.collector.key_wrapping import KeyWrapping, key_wrapping
from ff_observe.collector.settings import CollectorSettings, PostgreSQLServer
from ff_observe.collector.shared_keys import SharedKeeping, WrappedKeys
from ff_observe.collector.store import Store
from ff_observe.collector.store.opening import open_store


def keeping(
    settings: CollectorSettings, store: Store | None, name: str, in_file: FileKeeping, *, destroys_file: bool
) -> KeyKeeping:
    """Where the settings have the key `name` kept: in `in_file`, or in the database, which takes over what is in that
    file. The file is then destroyed if `destroys_file`. Raises `ConfigurationError`."""
    if settings.wrapping_key_file is None and not settings.wrapping_command:
        return in_file
    keys, found = shared(settings, store)
    return SharedKeeping(name, keys, found, in_file, destroys_file=destroys_file)


def shared(settings: CollectorSettings, store: Store | None = None) -> tuple[WrappedKeys, KeyWrapping]:
    """The database that the settings have keys kept in, and what wraps them. Raises `ConfigurationError`."""
    found = key_wrapping(settings)
    if not isinstance(settings.database, PostgreSQLServer):  # before a store is opened, which would make a file
        raise found.present.wrong("keeps keys in PostgreSQL; name one in database, or remove this key")
    store = store or open_store(settings)
    assert isinstance(store, WrappedKeys)
    return store, found
