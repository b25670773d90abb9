"""Every key of `flowforge.yml` that ff-observe reads, declared once.

Parsing, the search for misspelt keys and the reference documentation come from here. A new key is one entry here, one
field in `settings` and one line in `build`.
"""

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ff_observe.config import kinds
from ff_observe.config.kinds import Kind
from ff_observe.config.settings import DEFAULT_METRICS_PORT, DEFAULT_PING_URL, DEFAULT_POSTHOG_URL

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key(Generic[T]):
    """One key. `default` and `help` are for people; the default itself stands in `settings`.

    `secret` values are never shown. A key with `file` has a sibling, its name followed by `_file`, that names a file
    holding the value (relative to `HOME/etc`; line breaks at its end are dropped).
    """

    path: str
    kind: Kind[T]
    default: str
    help: str
    secret: bool = False
    file: bool = False

    @property
    def file_path(self) -> str:
        """The dotted path of the sibling that names a file."""
        return f"{self.path}_file"


_OTEL: Final = "the `OTEL_*` variables"

ENABLED = Key(
    "telemetry.enabled",
    kinds.BOOLEAN,
    "true",
    "`false` stops the core ping, and nothing else. A licensed platform sends it nevertheless.",
)
URL = Key("telemetry.url", kinds.URL, DEFAULT_PING_URL, "Where the core ping is sent.", secret=True, file=True)
LEDGER = Key(
    "telemetry.ledger",
    kinds.FILE_PATH_OR_OFF,
    "`HOME/var/ff-observe/pings.jsonl`",
    "Keeps what was sent, for `ff-observe ping log`; relative to `HOME/var`. `off` keeps nothing.",
)

DATABASE_CA_FILE = Key(
    "telemetry.database.ca_file",
    kinds.FILE_PATH,
    "`PGSSLROOTCERT`, else the system's authorities and `NODE_EXTRA_CA_CERTS`",
    "PEM file with the authority of PostgreSQL's certificate, trusted alone; relative to `HOME/etc`.",
)
DATABASE_ACCEPT_ANY_CERTIFICATE = Key(
    "telemetry.database.accept_any_certificate",
    kinds.BOOLEAN,
    "false",
    "`true` does not verify PostgreSQL's certificate: a man in the middle can then read along.",
)

PLATFORM_VERSION = Key(
    "telemetry.platform.version", kinds.TEXT, "found", "FlowFuse's version, where it cannot be found (containers)."
)
PLATFORM_NODEJS_VERSION = Key(
    "telemetry.platform.nodejs_version", kinds.TEXT, "found", "Version of the Node.js that runs FlowFuse."
)

BACKEND_SENTRY_DSN = Key(
    "telemetry.backend.sentry.dsn",
    kinds.DSN,
    "off",
    "Backend errors are reported to this Sentry project.",
    secret=True,
    file=True,
)
PROMETHEUS_ENABLED = Key(
    "telemetry.backend.prometheus.enabled",
    kinds.BOOLEAN,
    "false",
    "Serve the metrics. FlowFuse reads it too, and opens a `/metrics` of its own to everybody.",
)
PROMETHEUS_BRIDGE_ENABLED = Key(
    "telemetry.backend.prometheus.bridge_enabled",
    kinds.BOOLEAN,
    "value of `enabled`",
    "Serve the metrics, whatever `enabled` says to FlowFuse, which does not read this key.",
)
PROMETHEUS_PROBE_URL = Key(
    "telemetry.backend.prometheus.probe_url",
    kinds.URL_OR_OFF,
    "`base_url`",
    "Where FlowFuse is asked whether it answers, with each snapshot; `false` asks nothing.",
)
PROMETHEUS_HOST = Key(
    "telemetry.backend.prometheus.host",
    kinds.HOST,
    "127.0.0.1",
    "Address the bridge listens on. Others than loopback need TLS, authentication or `allow_public`.",
)
PROMETHEUS_PORT = Key(
    "telemetry.backend.prometheus.port",
    kinds.PORT,
    str(DEFAULT_METRICS_PORT),
    "Port the bridge listens on; `0` lets the system choose.",
)
PROMETHEUS_PATH = Key("telemetry.backend.prometheus.path", kinds.HTTP_PATH, "/metrics", "Path of the metrics.")
PROMETHEUS_ALLOWED_HOSTS = Key(
    "telemetry.backend.prometheus.allowed_hosts",
    kinds.HOST_NAMES,
    "none",
    "Names in the `Host` header that are answered besides loopback ones: see [Names](securing-metrics.md#names).",
)
PROMETHEUS_WEB_CONFIG_FILE = Key(
    "telemetry.backend.prometheus.web_config_file",
    kinds.FILE_PATH,
    "none",
    "TLS and users ([format](securing-metrics.md) of Prometheus' exporter-toolkit); relative to `HOME/etc`.",
)
PROMETHEUS_BEARER_TOKEN_FILE = Key(
    "telemetry.backend.prometheus.bearer_token_file",
    kinds.FILE_PATH,
    "none",
    "File with a token that opens what the bridge serves; relative to `HOME/etc`.",
)
PROMETHEUS_ALLOW_PUBLIC = Key(
    "telemetry.backend.prometheus.allow_public",
    kinds.BOOLEAN,
    "false",
    "Serve other machines without TLS and without authentication.",
)

OTLP_ENABLED = Key(
    "telemetry.backend.otlp.enabled", kinds.BOOLEAN, "whether an endpoint is named", "Push the counts over OTLP."
)
OTLP_ENDPOINT = Key("telemetry.backend.otlp.endpoint", kinds.URL, _OTEL, "Where to push to.", secret=True, file=True)
OTLP_PROTOCOL = Key(
    "telemetry.backend.otlp.protocol", kinds.choice("http/protobuf", "grpc"), _OTEL, "`grpc` needs `ff-observe[grpc]`."
)
OTLP_HEADERS = Key(
    "telemetry.backend.otlp.headers",
    kinds.HEADERS,
    _OTEL,
    "Headers sent along. The file holds one `Name: value` per line.",
    secret=True,
    file=True,
)
OTLP_COMPRESSION = Key(
    "telemetry.backend.otlp.compression", kinds.choice("gzip", "none"), _OTEL, "Compression of what is pushed."
)
OTLP_CERTIFICATE = Key(
    "telemetry.backend.otlp.certificate",
    kinds.FILE_PATH,
    _OTEL,
    "PEM file with the authority that signed the endpoint's certificate; relative to `HOME/etc`.",
)
OTLP_INTERVAL = Key("telemetry.backend.otlp.interval", kinds.SECONDS, _OTEL, "Seconds between two pushes.")
OTLP_TIMEOUT = Key("telemetry.backend.otlp.timeout", kinds.SECONDS, _OTEL, "Seconds a push may take.")
OTLP_TRACES = Key("telemetry.backend.otlp.traces", kinds.BOOLEAN, "false", "Push traces of the bridge's own work.")
OTLP_LOGS = Key("telemetry.backend.otlp.logs", kinds.BOOLEAN, "false", "Push the bridge's own logs.")

CONSENT = Key(
    "telemetry.frontend.consent",
    kinds.choice("required", "not-required"),
    "not-required",
    "`required` holds every snippet until the page calls the consent hook.",
)
POSTHOG_APIKEY = Key("telemetry.frontend.posthog.apikey", kinds.TEXT, "off", "PostHog's project key.")
POSTHOG_APIURL = Key("telemetry.frontend.posthog.apiurl", kinds.URL, DEFAULT_POSTHOG_URL, "Address of PostHog.")
POSTHOG_CAPTURE_PAGEVIEW = Key(
    "telemetry.frontend.posthog.capture_pageview", kinds.BOOLEAN, "true", "Send a `$pageview` for each page."
)
POSTHOG_COOKIELESS_MODE = Key(
    "telemetry.frontend.posthog.cookieless_mode",
    kinds.choice("always", "on_reject"),
    "PostHog's own",
    "Handed on to PostHog: count without cookies, always or until the visitor accepts them.",
)
FRONTEND_SENTRY_DSN = Key(
    "telemetry.frontend.sentry.dsn", kinds.DSN, "off", "Errors in the browser are reported to this Sentry project."
)
FRONTEND_SENTRY_PRODUCTION_MODE = Key(
    "telemetry.frontend.sentry.production_mode", kinds.BOOLEAN, "false", "Handed on to the page."
)
PLAUSIBLE_DOMAIN = Key("telemetry.frontend.plausible.domain", kinds.TEXT, "off", "Deprecated. The site in Plausible.")
OLD_PLAUSIBLE_DOMAIN = Key(
    "telemetry.plausible.domain", kinds.TEXT, "off", "Deprecated old place of `telemetry.frontend.plausible.domain`."
)

TELEMETRY_KEYS: Final[tuple[Key[Any], ...]] = (
    ENABLED,
    URL,
    LEDGER,
    DATABASE_CA_FILE,
    DATABASE_ACCEPT_ANY_CERTIFICATE,
    PLATFORM_VERSION,
    PLATFORM_NODEJS_VERSION,
    BACKEND_SENTRY_DSN,
    PROMETHEUS_ENABLED,
    PROMETHEUS_BRIDGE_ENABLED,
    PROMETHEUS_PROBE_URL,
    PROMETHEUS_HOST,
    PROMETHEUS_PORT,
    PROMETHEUS_PATH,
    PROMETHEUS_ALLOWED_HOSTS,
    PROMETHEUS_WEB_CONFIG_FILE,
    PROMETHEUS_BEARER_TOKEN_FILE,
    PROMETHEUS_ALLOW_PUBLIC,
    OTLP_ENABLED,
    OTLP_ENDPOINT,
    OTLP_PROTOCOL,
    OTLP_HEADERS,
    OTLP_COMPRESSION,
    OTLP_CERTIFICATE,
    OTLP_INTERVAL,
    OTLP_TIMEOUT,
    OTLP_TRACES,
    OTLP_LOGS,
    CONSENT,
    POSTHOG_APIKEY,
    POSTHOG_APIURL,
    POSTHOG_CAPTURE_PAGEVIEW,
    POSTHOG_COOKIELESS_MODE,
    FRONTEND_SENTRY_DSN,
    FRONTEND_SENTRY_PRODUCTION_MODE,
    PLAUSIBLE_DOMAIN,
    OLD_PLAUSIBLE_DOMAIN,
)
"""Inside `telemetry`. A key that is neither here nor in `IGNORED_KEYS` is unknown."""

IGNORED_KEYS: Final = (
    "telemetry.frontend.google",
    "telemetry.frontend.hubspot",
    "telemetry.frontend.plausible.extension",
    "telemetry.plausible.extension",
)
"""Inside `telemetry`, FlowFuse's own (forge/routes/ui/index.js): accepted with all below them, and not used."""

DATABASE_TYPE = Key("db.type", kinds.WRITTEN, "sqlite", "`sqlite` or `postgres`.")
DATABASE_STORAGE = Key("db.storage", kinds.WRITTEN, "forge.db", "The SQLite file, relative to `HOME/var`.")
DATABASE_HOST = Key("db.host", kinds.WRITTEN, "postgres", "Host of PostgreSQL.")
DATABASE_PORT = Key("db.port", kinds.LOOSE_PORT, "5432", "Port of PostgreSQL.")
DATABASE_USER = Key("db.user", kinds.WRITTEN, "none", "User of PostgreSQL.")
DATABASE_PASSWORD = Key("db.password", kinds.WRITTEN, "none", "Password of that user.", secret=True, file=True)
DATABASE_NAME = Key("db.database", kinds.WRITTEN, "flowforge", "Name of the database.")
DATABASE_SSL = Key("db.ssl", kinds.TRUTH, "false", "Connect to PostgreSQL with TLS, and verify its certificate.")
DRIVER_TYPE = Key("driver.type", kinds.WRITTEN, "localfs", "What runs the instances; reported as it is.")
NODE_PATH = Key("driver.options.node_path", kinds.WRITTEN, "none", "The Node.js that runs FlowFuse, for its version.")
BROKER = Key("broker", kinds.TRUTH, "false", "Whether a broker is configured; an empty map counts.")
FILE_STORE = Key("fileStore", kinds.TRUTH, "false", "Whether a file store is configured; any map counts.")
EMAIL = Key("email.enabled", kinds.TRUTH, "false", "Whether e-mail is on.")
BILLING = Key("billing", kinds.TRUTH, "false", "Whether the platform bills: its billing states are counted then.")
HOUSEKEEPER = Key(
    "housekeeper", kinds.NOT_FALSE, "true", "`false` stops FlowFuse's scheduled tasks, the core ping among them."
)
LICENSE = Key(
    "license",
    kinds.WRITTEN,
    "none",
    "The licence, where the database holds none.",
    secret=True,
    file=True,
)
BASE_URL = Key(
    "base_url",
    kinds.WRITTEN,
    "none",
    "Address of the platform, which is asked there whether it answers, and for Node.js' version if need be.",
)

PLATFORM_KEYS: Final[tuple[Key[Any], ...]] = (
    DATABASE_TYPE,
    DATABASE_STORAGE,
    DATABASE_HOST,
    DATABASE_PORT,
    DATABASE_USER,
    DATABASE_PASSWORD,
    DATABASE_NAME,
    DATABASE_SSL,
    DRIVER_TYPE,
    NODE_PATH,
    BROKER,
    FILE_STORE,
    EMAIL,
    BILLING,
    HOUSEKEEPER,
    LICENSE,
    BASE_URL,
)
"""Outside `telemetry`, where the file belongs to FlowFuse: read as FlowFuse reads them, all other keys are ignored."""
