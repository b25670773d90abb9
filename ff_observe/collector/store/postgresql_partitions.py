"""The partitions of pings in PostgreSQL: one for each day (UTC), named after it."""

import re
from datetime import UTC, date, datetime

from ff_observe.collector.store.postgresql_connections import Connection

PARENT_FIRST = b"LOCK TABLE ONLY ping IN ACCESS SHARE MODE"
"""Begins a transaction that names a partition. What stores pings, or alters `ping`, locks it before its partitions: in
the other order the two deadlock."""
_NAME = re.compile("ping_([0-9]{8})")


def partition(day: date) -> str:
    """The name of a day's partition."""
    return f"ping_{day:%Y%m%d}"


def partitions(connection: Connection) -> dict[date, str]:
    """The existing partitions, by day."""
    rows = connection.execute(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'ping'::regclass"
    )
    names = [str(name) for (name,) in rows]
    found = [(name, _NAME.fullmatch(name)) for name in names]
    return {datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC).date(): name for name, match in found if match}
