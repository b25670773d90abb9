"""The settings as typed, frozen values. After parsing only these exist: no code outside `config` sees a raw map.

A field that is `filled_by` a key has that key's default, and the reader fills it.
"""

from dataclasses import dataclass, field
from pathlib import Path

from ff_observe.config import declaration as key
from ff_observe.config.environment import Environment
from ff_observe.config.flowfuse_file import FlowFuseFile
from ff_observe.config.key import EffectiveValue, filled_by
from ff_observe.config.public import is_loopback
from ff_observe.config.secret import Secret
from ff_observe.errors import Problem
from ff_observe.transparency.notes import VerifierKey

PLAUSIBLE_DEPRECATION = "Plausible is deprecated and will be removed; use PostHog instead: telemetry.frontend.posthog"


@dataclass(frozen=True, slots=True)
class SQLiteDatabase:
    """`db.type: sqlite`. `path` is absolute: `db.storage` is taken relative to `HOME/var`."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgreSQLDatabase:
    """`db.type: postgres`, with FlowFuse's defaults.

    `ssl` is on for any value that is truthy in JavaScript. If `ca_file` is set, by the key or variable `ca_file_from`,
    it alone is trusted; else the system's authorities and those in `extra_ca_file` (`NODE_EXTRA_CA_CERTS`).
    """

    host: str = filled_by(key.DATABASE_HOST)
    port: int = filled_by(key.DATABASE_PORT)
    user: str | None = filled_by(key.DATABASE_USER)
    password: Secret | None = filled_by(key.DATABASE_PASSWORD)
    database: str = filled_by(key.DATABASE_NAME)
    ssl: bool = filled_by(key.DATABASE_SSL)
    accept_any_certificate: bool = filled_by(key.DATABASE_ACCEPT_ANY_CERTIFICATE)
    ca_file: Path | None = filled_by(key.DATABASE_CA_FILE)
    ca_file_from: str = "telemetry.database.ca_file"
    extra_ca_file: Path | None = None

    @property
    def tls_mode(self) -> str:
        """How the connection is encrypted and which authorities are trusted, in words."""
        if not self.ssl:
            return "TLS is not asked for (db.ssl is not true)"
        if self.accept_any_certificate:
            return "TLS with any certificate: an attacker in the server's place can read along"
        extra = f" and {self.extra_ca_file} (NODE_EXTRA_CA_CERTS)" if self.extra_ca_file is not None else ""
        trusted = f"{self.ca_file} ({self.ca_file_from})" if self.ca_file is not None else f"the system's{extra}"
        return f"TLS, certificate and host name verified; authorities: {trusted}"


Database = SQLiteDatabase | PostgreSQLDatabase


@dataclass(frozen=True, slots=True)
class PingSettings:
    """`telemetry.enabled`, `.url`, `.ledger`, `.ledger_required` and `.ping`.

    `ledger` is the file that records what was sent, None for none; `ledger_named_in` is the file that names it, if one
    does.
    `state_directory` holds when the last ping left. `build` sets the defaults of both.
    """

    enabled: bool = filled_by(key.ENABLED)
    url: Secret = filled_by(key.URL)  # may hold credentials
    ledger: Path | None = None
    ledger_named_in: Path | None = field(default=None, compare=False)
    state_directory: Path | None = None
    ledger_required: bool = filled_by(key.LEDGER_REQUIRED)
    receipts: VerifierKey | None = filled_by(key.PING_RECEIPTS)
    sender: str = filled_by(key.PING_SENDER)


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """`telemetry.backend.prometheus`.

    `host` and `port` are where the bridge listens, with or without metrics; the two files secure everything that it
    serves there, under its own names and `allowed_hosts`. `enabled` is whether the bridge serves its metrics:
    `bridge_enabled` if the file has it, else FlowFuse's own switch, `flowfuse_enabled`. `probe_url` is where FlowFuse
    itself is probed, None for nowhere.
    """

    enabled: bool = False
    bridge_enabled: bool | None = filled_by(key.PROMETHEUS_BRIDGE_ENABLED)
    flowfuse_enabled: bool = filled_by(key.PROMETHEUS_ENABLED)
    probe_url: str | None = None
    host: str = filled_by(key.PROMETHEUS_HOST)
    port: int = filled_by(key.PROMETHEUS_PORT)
    path: str = filled_by(key.PROMETHEUS_PATH)
    allowed_hosts: tuple[str, ...] = filled_by(key.PROMETHEUS_ALLOWED_HOSTS)
    web_config_file: Path | None = filled_by(key.PROMETHEUS_WEB_CONFIG_FILE)
    bearer_token_file: Path | None = filled_by(key.PROMETHEUS_BEARER_TOKEN_FILE)
    allow_public: bool = filled_by(key.PROMETHEUS_ALLOW_PUBLIC)

    @property
    def is_open_to_all(self) -> bool:
        """Whether other machines are served without TLS and authentication, and no key allows it."""
        return not (is_loopback(self.host) or self.web_config_file or self.bearer_token_file or self.allow_public)


@dataclass(frozen=True, slots=True)
class BackendSentrySettings:
    """`telemetry.backend.sentry`. Off without a DSN."""

    dsn: Secret | None = filled_by(key.BACKEND_SENTRY_DSN)
    per_minute: int = filled_by(key.BACKEND_SENTRY_PER_MINUTE)
    per_day: int = filled_by(key.BACKEND_SENTRY_PER_DAY)
    monitor: str | None = filled_by(key.BACKEND_SENTRY_MONITOR)


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """`telemetry.backend.otlp`. None leaves the choice to the standard `OTEL_*` variables, then their defaults."""

    enabled: bool | None = filled_by(key.OTLP_ENABLED)
    endpoint: Secret | None = filled_by(key.OTLP_ENDPOINT)  # may hold credentials
    protocol: str | None = filled_by(key.OTLP_PROTOCOL)  # "http/protobuf" | "grpc"
    headers: tuple[tuple[str, Secret], ...] = filled_by(key.OTLP_HEADERS)
    compression: str | None = filled_by(key.OTLP_COMPRESSION)  # "gzip" | "none"
    certificate: Path | None = filled_by(key.OTLP_CERTIFICATE)
    interval_seconds: float | None = filled_by(key.OTLP_INTERVAL)
    timeout_seconds: float | None = filled_by(key.OTLP_TIMEOUT)
    traces: bool = filled_by(key.OTLP_TRACES)
    logs: bool = filled_by(key.OTLP_LOGS)


@dataclass(frozen=True, slots=True)
class PostHogSettings:
    """`telemetry.frontend.posthog`. Off without an `apikey`. `cookieless_mode` None leaves it to PostHog's default."""

    apikey: str = filled_by(key.POSTHOG_APIKEY, required=True)
    apiurl: str = filled_by(key.POSTHOG_APIURL)
    capture_pageview: bool = filled_by(key.POSTHOG_CAPTURE_PAGEVIEW)
    cookieless_mode: str | None = filled_by(key.POSTHOG_COOKIELESS_MODE)  # "always" | "on_reject"


@dataclass(frozen=True, slots=True)
class FrontendSentrySettings:
    """`telemetry.frontend.sentry`. Off without a `dsn`. The DSN of a browser SDK is public by nature."""

    dsn: str = filled_by(key.FRONTEND_SENTRY_DSN, required=True)
    production_mode: bool = filled_by(key.FRONTEND_SENTRY_PRODUCTION_MODE)


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
    """The bridge's needs from the rest of the file, already decided as FlowFuse decides them (JavaScript truth)."""

    driver: str = filled_by(key.DRIVER_TYPE)
    node_path: str | None = filled_by(key.NODE_PATH)
    broker: bool = filled_by(key.BROKER)
    file_store: bool = filled_by(key.FILE_STORE)
    email: bool = filled_by(key.EMAIL)
    billing: bool = filled_by(key.BILLING)
    housekeeper: bool = filled_by(key.HOUSEKEEPER)
    license: Secret | None = filled_by(key.LICENSE)
    base_url: str | None = filled_by(key.BASE_URL)
    flowfuse_version: str | None = filled_by(key.PLATFORM_VERSION)
    nodejs_version: str | None = filled_by(key.PLATFORM_NODEJS_VERSION)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings: from the file, and from the environment."""

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
    flowfuse_file: FlowFuseFile = field(default_factory=FlowFuseFile, repr=False, compare=False)
    warnings: tuple[Problem, ...] = ()  # unknown keys inside `telemetry`: logged by `run`, errors in `check`
    notes: tuple[Problem, ...] = ()  # advice: logged by `run`, printed by `check` and `frontend`
    effective: tuple[EffectiveValue, ...] = field(default=(), compare=False)  # every value in use and its origin
