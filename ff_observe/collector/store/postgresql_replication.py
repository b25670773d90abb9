"""Whether a commit is safe from a fail-over: a standby has to confirm it before it is acknowledged."""

import logging

from psycopg.errors import Diagnostic

from ff_observe.collector.store.model import StoreError
from ff_observe.collector.store.postgresql_connections import Connection
from ff_observe.log import StateLog

log = logging.getLogger(__name__)

_ON_DISK = {"on", "remote_apply"}
_SETTINGS = (
    "SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names') <> '', "
    "EXISTS (SELECT FROM pg_stat_replication)"
)


def what_could_be_lost(connection: Connection, several_hosts: bool) -> str | None:
    """How a ping that was acknowledged could be lost, and what to change. None if it could not, as far as PostgreSQL's
    own settings go."""
    commit, is_confirmed, has_standbys = connection.execute(_SETTINGS).fetchone() or ("", False, False)
    if commit not in _ON_DISK:
        return (
            f"acknowledged pings can be lost: synchronous_commit is {commit} in the collector's sessions; set it for its "
            "role (ALTER ROLE … SET synchronous_commit = on)"
        )
    if not is_confirmed and (several_hosts or has_standbys):
        return (
            "a fail-over can lose acknowledged pings: no standby confirms commits (synchronous_standby_names is empty); "
            "set synchronous_mode: true in Patroni, or name standbys there"
        )
    return None


class Confirmation:
    """What the writer's connection says of commits. Logs when they begin, and cease, to be unsafe."""

    def __init__(self) -> None:
        self._safety = StateLog(log)
        self._gave_up = False

    def check(self, connection: Connection, several_hosts: bool) -> None:
        lost = what_could_be_lost(connection, several_hosts)
        if lost is None:
            self._safety.working(
                "commits are safe again: they are on the disk, and confirmed by a standby if there is one"
            )
        else:
            self._safety.failing(lost)

    def notice(self, diagnostic: Diagnostic) -> None:
        """A commit that stops waiting for its standby, as for `pg_cancel_backend`, succeeds with a warning."""
        self._gave_up = self._gave_up or diagnostic.severity_nonlocalized == "WARNING"

    def require(self) -> None:
        """Raises `StoreError` if the last commit, though done, was not confirmed."""
        gave_up, self._gave_up = self._gave_up, False
        if gave_up:
            raise StoreError("PostgreSQL no longer waited for a standby to confirm a commit")
