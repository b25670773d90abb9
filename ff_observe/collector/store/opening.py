"""Opens the store that the settings name. SQLite and psycopg are imported only where they are used."""

from ff_observe.collector.settings import DATA_DIR, DATABASE, CollectorSettings, PostgreSQLServer
from ff_observe.collector.store.store import Store


def open_store(settings: CollectorSettings) -> Store:
    """The store that the settings name. Raises `FFObserveError`."""
    if isinstance(settings.database, PostgreSQLServer):
        from ff_observe.collector.store.postgresql import PostgreSQLStore

        return PostgreSQLStore(settings.database.url, settings.duplicate_window)
    from ff_observe.collector.store.sqlite import open_sqlite

    assert settings.database_file is not None
    key = (DATA_DIR if settings.database.path is None else DATABASE).path
    return open_sqlite(settings.database_file, settings.duplicate_window, settings.named_in, key)
