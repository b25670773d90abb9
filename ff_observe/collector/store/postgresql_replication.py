"""Whether a commit is safe from a fail-over: a standby has to confirm it before it is acknowledged."""

import logging
from typing import Any

from psycopg.errors import Diagnostic

from ff_observe.collector.store.model import StoreError
from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

SETTINGS = (
    "SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names') <> '', "
    "EXISTS (SELECT FROM pg_stat_replication WHERE pid NOT IN (SELECT pid FROM pg_stat_progress_basebackup"
    " UNION ALL SELECT active_pid FROM pg_replication_slots WHERE active_pid IS NOT NULL"
    " AND (slot_type = 'logical' OR temporary AND slot_name LIKE 'pg_basebackup_%')))"
)
"""What to ask a session of: its commits, whether a standby confirms them, whether there is one. A backup or a
subscriber of logical replication is none."""

_ON_DISK = {"on", "remote_apply"}


def what_could_be_lost(several_hosts: bool, commit: str, is_confirmed: bool, has_standbys: bool) -> str | None:
    """How a ping that was acknowledged could be lost, and what to change. None if it could not, as far as PostgreSQL's
    own settings go."""
    if commit not in _ON_DISK:
        return (
            f"acknowledged pings can be lost: synchronous_commit is {commit} in the collector's sessions; set it for "
            "its role (ALTER ROLE … SET synchronous_commit = on)"
        )
    if not is_confirmed and (several_hosts or has_standbys):
        return (
            "a fail-over can lose acknowledged pings: synchronous_standby_names is empty, no standby confirms commits; "
            "set synchronous_mode: true in Patroni, or name standbys there"
        )
    return None


class Confirmation:
    """What the writer's connection says of commits: `is_safe` is None before the first answer. Logs when they begin,
    and cease, to be unsafe."""

    def __init__(self) -> None:
        self.is_safe: bool | None = None
        self._safety = StateLog(log)
        self._gave_up = False

    def check(self, answer: tuple[Any, ...] | None, several_hosts: bool) -> None:
        """Take the answer to `SETTINGS`."""
        lost = None if answer is None else what_could_be_lost(several_hosts, *answer)
        self.is_safe = lost is None
        if lost is None:
            self._safety.working("acknowledged pings can no longer be lost at a fail-over")
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
