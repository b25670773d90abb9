"""The settings as typed, frozen values. After parsing only these exist: no code outside `config` sees a raw map."""

from dataclasses import dataclass, field
from pathlib import Path

from ff_observe.config.environment import Environment
from ff_observe.config.secret import Secret
from ff_observe.errors import Problem

DEFAULT_PING_URL = "https://ping.flowforge.com/ping"
DEFAULT_POSTHOG_URL = "https://app.posthog.com"
PLAUSIBLE_DEPRECATION = "Plausible is deprecated and will be removed; use PostHog instead: telemetry.frontend.posthog"
DEFAULT_METRICS_PORT = 10464
DEFAULT_COLLECTOR_PORT = 10465


@dataclass(frozen=True, slots=True)
class SQLiteDatabase:
    """`db.type: sqlite`. `path` is absolute: `db.storage` is taken relative to `HOME/var`."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgreSQLDatabase:
    """`db.type: postgres`, with FlowFuse's defaults. `ssl` is on for any value that is true in JavaScript.

    `ca_file` alone is trusted where it is set, by the key or variable `ca_file_from`; else the system's authorities and
    those in `extra_ca_file` (`NODE_EXTRA_CA_CERTS`).
    """

    host: str = "postgres"
    port: int = 5432
    user: str | None = None
    password: Secret | None = None
    database: str = "flowforge"
    ssl: bool = False
    accept_any_certificate: bool = False
    ca_file: Path | None = None
    ca_file_from: str = "telemetry.database.ca_file"
    extra_ca_file: Path | None = None

    @property
    def tls_mode(self) -> str:
        """How the connection is encrypted and whom it trusts, in words."""
        if not self.ssl:
            return "TLS is not asked for (db.ssl is not true)"
        if self.accept_any_certificate:
            return "TLS with any certificate: whoever answers in the server's place can read along"
        extra = f" and {self.extra_ca_file} (NODE_EXTRA_CA_CERTS)" if self.extra_ca_file is not None else ""
        trusted = f"{self.ca_file} ({self.ca_file_from})" if self.ca_file is not None else f"the system's{extra}"
        return f"TLS, certificate and host name verified; authorities: {trusted}"


Database = SQLiteDatabase | PostgreSQLDatabase


@dataclass(frozen=True, slots=True)
class PingSettings:
    """`telemetry.enabled`, `.url` and `.ledger`. `enabled` is None where the file does not say.

    `ledger` is the file that keeps what was sent, None for none; `build` gives it its default. `ledger_is_named`: the
    file names it.
    """

    enabled: bool | None = None
    url: Secret = field(default_factory=lambda: Secret(DEFAULT_PING_URL))  # may hold credentials
    ledger: Path | None = None
    ledger_is_named: bool = False


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """`telemetry.backend.prometheus`. `host` and `port` are where the bridge listens, metrics on or off; the two files
    secure all that it serves there, under its own names and `allowed_hosts`.

    `enabled` is whether the bridge serves its metrics: `bridge_enabled` where the file has it, else FlowFuse's own
    switch, `flowfuse_enabled`. `probe_url` is where FlowFuse itself is asked whether it lives, None for nowhere.
    """

    enabled: bool = False
    bridge_enabled: bool | None = None
    flowfuse_enabled: bool = False
    probe_url: str | None = None
    host: str = "127.0.0.1"
    port: int = DEFAULT_METRICS_PORT
    path: str = "/metrics"
    allowed_hosts: tuple[str, ...] = ()
    web_config_file: Path | None = None
    bearer_token_file: Path | None = None
    allow_public: bool = False


@dataclass(frozen=True, slots=True)
class BackendSentrySettings:
    """`telemetry.backend.sentry`. Off without a DSN."""

    dsn: Secret | None = None


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """`telemetry.backend.otlp`. A None leaves the choice to the standard `OTEL_*` variables, then their defaults."""

    enabled: bool | None = None
    endpoint: Secret | None = None  # may hold credentials
    protocol: str | None = None  # "http/protobuf" | "grpc"
    headers: tuple[tuple[str, Secret], ...] = ()
    compression: str | None = None  # "gzip" | "none"
    certificate: Path | None = None
    interval_seconds: float | None = None
    timeout_seconds: float | None = None
    traces: bool = False
    logs: bool = False


@dataclass(frozen=True, slots=True)
class PostHogSettings:
    """`telemetry.frontend.posthog`. Off without an `apikey`. `cookieless_mode` None leaves it to PostHog's default."""

    apikey: str
    apiurl: str = DEFAULT_POSTHOG_URL
    capture_pageview: bool = True
    cookieless_mode: str | None = None  # "always" | "on_reject"


@dataclass(frozen=True, slots=True)
class FrontendSentrySettings:
    """`telemetry.frontend.sentry`. Off without a `dsn`. The DSN of a browser SDK is public by nature."""

    dsn: str
    production_mode: bool = False


@dataclass(frozen=True, slots=True)
class PlausibleSettings:
    """`telemetry.frontend.plausible`, or the old place `telemetry.plausible`. Deprecated."""

    domain: str


@dataclass(frozen=True, slots=True)
class FrontendSettings:
    """`telemetry.frontend`. `consent_required` holds every snippet until the page calls the consent hook."""

    posthog: PostHogSettings | None = None
    sentry: FrontendSentrySettings | None = None
    plausible: PlausibleSettings | None = None
    consent_required: bool = False


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """What the bridge needs of the rest of the file, already decided as FlowFuse decides it (JavaScript truth)."""

    driver: str = "localfs"
    node_path: str | None = None
    broker: bool = False
    file_store: bool = False
    email: bool = False
    billing: bool = False
    housekeeper: bool = True
    license: Secret | None = None
    base_url: str | None = None
    flowfuse_version: str | None = None
    nodejs_version: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the bridge was told: by the file, and by the environment."""

    home: Path
    file: Path
    database: Database
    platform: PlatformSettings = PlatformSettings()
    ping: PingSettings = field(default_factory=PingSettings)
    prometheus: PrometheusSettings = PrometheusSettings()
    backend_sentry: BackendSentrySettings = BackendSentrySettings()
    otlp: OtlpSettings = OtlpSettings()
    frontend: FrontendSettings = FrontendSettings()
    environment: Environment = field(default_factory=Environment)
    warnings: tuple[Problem, ...] = ()  # unknown keys inside `telemetry`: logged by `run`, errors in `check`
    notes: tuple[Problem, ...] = ()  # worth a thought: logged by `run`, printed by `check` and `frontend`
