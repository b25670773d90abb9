"""What the collector is told: a `collector.yml`, and the command line, which wins."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from ff_observe.config.secret import Secret
from ff_observe.http.limits import Limits
from ff_observe.ping_collector.sender_address import ForwardedHeader, Network


@dataclass(frozen=True, slots=True)
class SqliteDatabase:
    """A file; None is `pings/pings.sqlite3` in the data directory."""

    path: Path | None = None


@dataclass(frozen=True, slots=True)
class PostgresqlDatabase:
    """A connection URL, with its password."""

    url: Secret


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """`named_in` is where these settings come from, for messages about them.

    `allowed_hosts` are names in a `Host` header to which it answers besides loopback ones.
    The key that hashes addresses is in a directory of its own, so that a copy of the data is no copy of the key.
    """

    host: str = "127.0.0.1"
    port: int = 10465
    allowed_hosts: tuple[str, ...] = ()
    data_dir: Path = Path("ff-observe-collector")
    database: SqliteDatabase | PostgresqlDatabase = SqliteDatabase()
    key_file: Path | None = None
    key_lifetime: timedelta = timedelta(days=30)
    trusted_proxies: tuple[Network, ...] = ()
    forwarded_header: ForwardedHeader = ForwardedHeader.X_FORWARDED_FOR
    duplicate_window: timedelta = timedelta(hours=1)
    retention: timedelta = timedelta(days=400)
    k: int = 5
    public_k: int = 10
    public_days: int = 3
    silent_after_days: int = 2
    public: bool = False
    fleet_interval_seconds: float = 15.0
    limits: Limits = field(default_factory=Limits)
    max_waiting: int = 10_000
    max_batch: int = 1_000
    named_in: str = "collector"

    @property
    def database_file(self) -> Path | None:
        """The SQLite file; None with PostgreSQL."""
        if isinstance(self.database, PostgresqlDatabase):
            return None
        return self.database.path or self.data_dir / "pings" / "pings.sqlite3"

    @property
    def sender_key_file(self) -> Path:
        """Where the key is."""
        return self.key_file or self.data_dir / "key" / "sender.key"
