"""The settings of the collector: every key of `collector.yml`, declared once, and the fields that they fill."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from ff_observe.collector import settings_kinds
from ff_observe.collector.sender_address import ForwardedHeader, Network
from ff_observe.collector.settings_kinds import ClickHouse, PostgreSQLServer, SQLiteFile
from ff_observe.config import kinds
from ff_observe.config.key import FileKeys, Key, declared, filled_by
from ff_observe.http.limits import Limits

__all__ = ["CollectorSettings", "PostgreSQLServer", "SQLiteFile"]

_days = partial(kinds.lasting, timedelta(days=1))

LISTEN = Key("listen", settings_kinds.LISTEN, "Where to listen.", default=("127.0.0.1", 10465))
ALLOWED_HOSTS = Key(
    "allowed_hosts",
    kinds.HOST_NAMES,
    "Names in the `Host` header that are answered besides loopback ones: see [Names](#names).",
    default=(),
)
DATA_DIR = Key("data_dir", kinds.PATH, "Where data and key are kept.", default=Path("ff-observe-collector"))
DATABASE = Key(
    "database",
    settings_kinds.DATABASE,
    "The database. A URL with a password is better kept in a file of its own.",
    default=settings_kinds.SQLiteFile(),
    otherwise="SQLite in `data_dir`",
    secret=True,
    file=True,
)
KEY_FILE = Key(
    "address.key_file",
    kinds.PATH,
    "The key that hashes addresses, apart from the data; mode 0600.",
    otherwise="`data_dir/key/sender.key`",
)
KEY_DAYS = Key(
    "address.key_days",
    _days(1, 366),
    "Days after which that key is replaced, and the old one destroyed.",
    default=timedelta(days=30),
)
RECEIPTS_KEY_FILE = Key(
    "receipts.key_file",
    kinds.PATH,
    "The key that signs [receipts](ledger.md#receipts), made once; mode 0600.",
    otherwise="`data_dir/key/receipts.key`",
)
WRAPPING_KEY_FILE = Key(
    "keys.wrapping_key_file",
    kinds.PATH,
    "Wraps both keys, which PostgreSQL then keeps: see [here](high-availability.md#several-collectors); mode 0600.",
    otherwise="each collector has files of its own",
)
WRAPPING_COMMAND = Key(
    "keys.wrapping_command", settings_kinds.COMMAND, "The same, wrapped by a command, as of a KMS.", default=()
)
PREVIOUS_WRAPPING_KEY_FILE = Key(
    "keys.previous_wrapping_key_file",
    kinds.PATH,
    "What wrapped them before, for a [rotation](high-availability.md#rotating-the-wrapping-key); mode 0600.",
)
PREVIOUS_WRAPPING_COMMAND = Key(
    "keys.previous_wrapping_command",
    settings_kinds.COMMAND,
    "The same, where a command wrapped them before.",
    default=(),
)
TRUSTED_PROXIES = Key(
    "address.trusted_proxies", settings_kinds.NETWORKS, "Proxies whose forwarding header is believed.", default=()
)
HEADER = Key(
    "address.header",
    settings_kinds.HEADER,
    "The header that these proxies set.",
    default=ForwardedHeader.X_FORWARDED_FOR,
)
WINDOW_MINUTES = Key(
    "duplicates.window_minutes",
    kinds.lasting(timedelta(minutes=1), 0, 1440),
    "Minutes within which the same ping of the same instance counts once.",
    default=timedelta(hours=1),
)
RETENTION_DAYS = Key(
    "retention_days",
    _days(1, 36_500),
    "Days after which pings are deleted: see [What is deleted](#what-is-deleted).",
    default=timedelta(days=400),
)
ROLLUP_DAYS = Key(
    "rollup_days",
    _days(1, 36_500),
    "Days after which roll-ups are deleted: see [The fleet](#the-fleet).",
    default=timedelta(days=1100),
)
K = Key("fleet.k", kinds.whole(1, 1000), "No figure of `/metrics` rests on fewer platforms.", default=5)
PUBLIC_K = Key(
    "fleet.public_k",
    kinds.whole(1, 1000),
    "No figure of the page and `fleet.json` rests on fewer senders; at least `fleet.k`.",
    default=10,
)
PUBLIC_DAYS = Key(
    "fleet.public_days", kinds.whole(1, 30), "A platform counts there after pings on so many days.", default=3
)
RELEASE_DAYS = Key("fleet.release_days", kinds.whole(1, 366), "Days between releases of the page.", default=1)
EPSILON = Key(
    "fleet.epsilon",
    kinds.number(0.001, 100),
    "The ε of a release: its figures get [noise](#noise).",
    otherwise="no noise",
)
EPSILON_BUDGET = Key(
    "fleet.epsilon_budget", kinds.number(0.001, 10_000), "The ε of all releases together.", default=10.0
)
SILENT_AFTER_DAYS = Key(
    "fleet.silent_after_days", kinds.whole(1, 30), "Days without a ping after which a platform is silent.", default=2
)
INTERVAL_SECONDS = Key(
    "fleet.interval_seconds",
    kinds.whole(1, 86_400),
    "Seconds between counts of the fleet for `/metrics`, at least.",
    default=60,
)
FLEET_DATABASE = Key(
    "fleet.database",
    settings_kinds.REPLICA,
    "What `ff-observe fleet` reads: [a replica](high-availability.md#reading-on-a-standby).",
    otherwise="`database`",
    secret=True,
    file=True,
)
FLEET_ANALYTICS = Key(
    "fleet.analytics",
    settings_kinds.ANALYTICS,
    "A copy of the pings, which `ff-observe fleet` then asks: see [ClickHouse](#clickhouse).",
    otherwise="no copy",
    secret=True,
    file=True,
)
PUBLIC = Key("fleet.public", kinds.BOOLEAN, "Serve the page and `fleet.json`.", default=False)
CONNECTIONS = Key(
    "limits.connections",
    kinds.whole(10, 1_000_000),
    "Connections read at once; each more closes one of the address with the most, or waits for one to leave.",
    default=Limits().connections,
)
REQUEST_SECONDS = Key(
    "limits.request_seconds",
    kinds.whole(1, 300),
    "Seconds in which a request must have arrived in full, and some of its answer been taken.",
    default=int(Limits().request_seconds),
)
IDLE_SECONDS = Key(
    "limits.idle_seconds",
    kinds.whole(1, 300),
    "Seconds for which a connection may wait for the next request.",
    default=int(Limits().idle_seconds),
)

COLLECTOR: Final = FileKeys(declared(globals()))


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """`named_in` is where these settings come from, for messages. `allowed_hosts` are the names in a `Host` header that
    are answered besides loopback ones. The key that hashes addresses has a directory of its own, so that a copy of the
    data does not include it."""

    host: str = LISTEN.fallback[0]
    port: int = LISTEN.fallback[1]
    allowed_hosts: tuple[str, ...] = filled_by(ALLOWED_HOSTS)
    data_dir: Path = filled_by(DATA_DIR)
    database: SQLiteFile | PostgreSQLServer = filled_by(DATABASE)
    key_file: Path | None = filled_by(KEY_FILE)
    key_lifetime: timedelta = filled_by(KEY_DAYS)
    receipts_key_file: Path | None = filled_by(RECEIPTS_KEY_FILE)
    wrapping_key_file: Path | None = filled_by(WRAPPING_KEY_FILE)
    wrapping_command: tuple[str, ...] = filled_by(WRAPPING_COMMAND)
    previous_wrapping_key_file: Path | None = filled_by(PREVIOUS_WRAPPING_KEY_FILE)
    previous_wrapping_command: tuple[str, ...] = filled_by(PREVIOUS_WRAPPING_COMMAND)
    trusted_proxies: tuple[Network, ...] = filled_by(TRUSTED_PROXIES)
    forwarded_header: ForwardedHeader = filled_by(HEADER)
    duplicate_window: timedelta = filled_by(WINDOW_MINUTES)
    retention: timedelta = filled_by(RETENTION_DAYS)
    rollup_retention: timedelta = filled_by(ROLLUP_DAYS)
    k: int = filled_by(K)
    public_k: int = filled_by(PUBLIC_K)
    public_days: int = filled_by(PUBLIC_DAYS)
    release_days: int = filled_by(RELEASE_DAYS)
    epsilon: float | None = filled_by(EPSILON)
    epsilon_budget: float = filled_by(EPSILON_BUDGET)
    silent_after_days: int = filled_by(SILENT_AFTER_DAYS)
    public: bool = filled_by(PUBLIC)
    fleet_database: PostgreSQLServer | None = filled_by(FLEET_DATABASE)
    fleet_analytics: ClickHouse | None = filled_by(FLEET_ANALYTICS)
    fleet_interval_seconds: float = filled_by(INTERVAL_SECONDS)
    limits: Limits = field(default_factory=Limits)
    max_batch: int = 1_000
    named_in: str = "collector"

    @property
    def database_file(self) -> Path | None:
        """The SQLite file; None with PostgreSQL."""
        if isinstance(self.database, PostgreSQLServer):
            return None
        return self.database.path or self.data_dir / "pings" / "pings.sqlite3"

    @property
    def sender_key_file(self) -> Path:
        """Where the key that hashes addresses is, if it is in a file."""
        return self.key_file or self.data_dir / "key" / "sender.key"
