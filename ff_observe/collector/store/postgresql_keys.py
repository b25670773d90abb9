"""The statements of the collectors' shared keys in PostgreSQL, which holds them wrapped."""

from ff_observe.collector.store.postgresql_connections import Connection
from ff_observe.collector.store.postgresql_erasure import note

TABLES = {"collector_key": "CREATE TABLE collector_key (name text PRIMARY KEY, wrapped bytea NOT NULL)"}
_INSERT = "INSERT INTO collector_key (name, wrapped) VALUES (%(name)s, %(new)s) ON CONFLICT DO NOTHING"
_UPDATE = "UPDATE collector_key SET wrapped = %(new)s WHERE name = %(name)s AND wrapped = %(old)s"


def select(connection: Connection, name: str) -> bytes | None:
    """The wrapped key; None if there is none."""
    row = connection.execute("SELECT wrapped FROM collector_key WHERE name = %s", (name,)).fetchone()
    return None if row is None else bytes(row[0])


def names(connection: Connection) -> list[str]:
    """The names of all keys, in order."""
    return [str(name) for (name,) in connection.execute("SELECT name FROM collector_key ORDER BY name").fetchall()]


def replace(connection: Connection, name: str, old: bytes | None, new: bytes) -> bool:
    """Whether `old` was still there, and is replaced; its table is then noted for rewriting."""
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        values = {"name": name, "old": old, "new": new}
        is_replaced = connection.execute(_INSERT if old is None else _UPDATE, values).rowcount == 1
        if is_replaced and old is not None:
            note(connection, ["collector_key"])
        return is_replaced
