"""The methods of a store for public figures, but for the sample: see `sightings`."""

import secrets
from collections.abc import Sequence
from datetime import date, datetime

from ff_observe.collector.store.model import Released
from ff_observe.collector.store.sessions import Connection, Sessions

ROUNDING_KEY_BYTES = 32


class PublicStore(Sessions[Connection]):
    """See `Store` for the methods."""

    def contradicts(self, at: datetime) -> bool:
        with self._session("read its days") as connection:
            return self._present(connection, at).contradicts(at)

    def rounding_key(self) -> bytes:
        drawn = secrets.token_bytes(ROUNDING_KEY_BYTES)
        with self._running("read the fleet's key") as run:
            run("INSERT INTO fleet_rounding (id, key) VALUES (1, ?) ON CONFLICT DO NOTHING", drawn)
            ((key,),) = run("SELECT key FROM fleet_rounding")
        return bytes(key)

    def releases(self, first: int) -> Sequence[Released]:
        query = "SELECT number, CAST(day AS TEXT), document, proof FROM fleet_log WHERE number >= ? ORDER BY number"
        with self._running("read releases") as run:
            rows = run(query, first)
        return [Released(number, date.fromisoformat(day), document, proof) for number, day, document, proof in rows]

    def release(self, released: Released) -> bool:
        """In one statement, so that of two collectors one succeeds."""
        number, day, document, proof = released
        with self._running("release") as run:
            added = run(
                "INSERT INTO fleet_log SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM fleet_log) = ? "
                "ON CONFLICT DO NOTHING RETURNING number",
                *(number, day.isoformat(), document, proof, number),
            )
        return added != []
