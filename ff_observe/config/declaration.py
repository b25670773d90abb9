"""Every key of `flowforge.yml` that ff-observe reads, declared once. Parsing, defaults, the search for misspelt keys
and the reference documentation are derived from here.

A new key is one entry here and one field in `settings`, which the reader fills.
"""

from typing import Final

from ff_observe.config import kinds
from ff_observe.config.key import FileKeys, Key, declared

_OTEL: Final = "the `OTEL_*` variables"

ENABLED = Key(
    "telemetry.enabled",
    kinds.BOOLEAN,
    "`false` stops the core ping, and nothing else. A licensed platform sends it nevertheless.",
    default=True,
)
URL = Key(
    "telemetry.url",
    kinds.URL,
    "Where the core ping is sent.",
    default="https://ping.flowforge.com/ping",
    secret=True,
    file=True,
)
LEDGER = Key(
    "telemetry.ledger",
    kinds.FILE_OR_OFF,
    "Keeps what was sent, for `ff-observe ping log`; relative to `HOME/var`. `off` keeps nothing.",
    otherwise="`HOME/var/ff-observe/pings.jsonl`",
)
LEDGER_REQUIRED = Key(
    "telemetry.ledger_required",
    kinds.BOOLEAN,
    "`true` sends no ping that was not written into the ledger before. Otherwise a ledger that fails stops none.",
    default=False,
)
PING_RECEIPTS = Key(
    "telemetry.ping.receipts",
    kinds.VERIFIER_KEY,
    "Public key of an ff-observe collector, which then signs what the ledger holds ([Receipts](ledger.md#receipts)).",
)
DATABASE_CA_FILE = Key(
    "telemetry.database.ca_file",
    kinds.AUTHORITY,
    "PEM file with the authority of PostgreSQL's certificate, trusted alone; relative to `HOME/etc`.",
    otherwise="`PGSSLROOTCERT`, else the system's authorities and `NODE_EXTRA_CA_CERTS`",
)
DATABASE_ACCEPT_ANY_CERTIFICATE = Key(
    "telemetry.database.accept_any_certificate",
    kinds.BOOLEAN,
    "`true` does not verify PostgreSQL's certificate: a man in the middle can then read along.",
    default=False,
)
PING_SENDER = Key(
    "telemetry.ping.sender",
    kinds.choice("elected", "always", "never"),
    "Which of a platform's bridges sends its ping: one they elect, this one or another ([Replicas](replicas.md)).",
    default="elected",
)
PLATFORM_VERSION = Key(
    "telemetry.platform.version",
    kinds.TEXT,
    "FlowFuse's version, where it cannot be found (containers).",
    otherwise="`FF_OBSERVE_FLOWFUSE_VERSION`, else found",
)
PLATFORM_NODEJS_VERSION = Key(
    "telemetry.platform.nodejs_version",
    kinds.TEXT,
    "Version of the Node.js that runs FlowFuse.",
    otherwise="`FF_OBSERVE_NODEJS_VERSION`, else found",
)
BACKEND_SENTRY_DSN = Key(
    "telemetry.backend.sentry.dsn",
    kinds.DSN,
    "Backend errors are reported to this Sentry project.",
    secret=True,
    file=True,
)
BACKEND_SENTRY_PER_MINUTE = Key(
    "telemetry.backend.sentry.budget.per_minute",
    kinds.whole(1, 10_000),
    "Events that are sent to Sentry in a minute at most; what is suppressed is counted.",
    default=10,
)
BACKEND_SENTRY_PER_DAY = Key(
    "telemetry.backend.sentry.budget.per_day",
    kinds.whole(1, 100_000),
    "Events that are sent to Sentry in 24 hours at most; what is suppressed is counted.",
    default=200,
)
BACKEND_SENTRY_MONITOR = Key(
    "telemetry.backend.sentry.monitor",
    kinds.MONITOR,
    "Sentry's cron monitor that hears of each day's ping, and is made if it does not exist.",
)
PROMETHEUS_ENABLED = Key(
    "telemetry.backend.prometheus.enabled",
    kinds.BOOLEAN,
    "Serve the metrics. FlowFuse reads it too, and opens a `/metrics` of its own to everybody.",
    default=False,
)
PROMETHEUS_BRIDGE_ENABLED = Key(
    "telemetry.backend.prometheus.bridge_enabled",
    kinds.BOOLEAN,
    "Serve the metrics, whatever `enabled` says to FlowFuse, which does not read this key.",
    otherwise="the value of `enabled`",
)
PROMETHEUS_PROBE_URL = Key(
    "telemetry.backend.prometheus.probe_url",
    kinds.URL_OR_OFF,
    "Where FlowFuse is asked whether it answers, with each snapshot; `false` asks nothing.",
    otherwise="`base_url`",
)
PROMETHEUS_HOST = Key(
    "telemetry.backend.prometheus.host",
    kinds.HOST,
    "Address the bridge listens on. Others than loopback need TLS, authentication or `allow_public`.",
    default="127.0.0.1",
)
PROMETHEUS_PORT = Key(
    "telemetry.backend.prometheus.port",
    kinds.PORT,
    "Port the bridge listens on; `0` lets the system choose.",
    default=10464,
)
PROMETHEUS_PATH = Key("telemetry.backend.prometheus.path", kinds.HTTP_PATH, "Path of the metrics.", default="/metrics")
PROMETHEUS_ALLOWED_HOSTS = Key(
    "telemetry.backend.prometheus.allowed_hosts",
    kinds.HOST_NAMES,
    "Names in the `Host` header that are answered besides loopback ones: see [Names](securing-metrics.md#names).",
    default=(),
)
PROMETHEUS_WEB_CONFIG_FILE = Key(
    "telemetry.backend.prometheus.web_config_file",
    kinds.FILE,
    "TLS and users ([format](securing-metrics.md) of Prometheus' exporter-toolkit); relative to `HOME/etc`.",
)
PROMETHEUS_BEARER_TOKEN_FILE = Key(
    "telemetry.backend.prometheus.bearer_token_file",
    kinds.FILE,
    "File with a token that opens what the bridge serves; relative to `HOME/etc`.",
)
PROMETHEUS_ALLOW_PUBLIC = Key(
    "telemetry.backend.prometheus.allow_public",
    kinds.BOOLEAN,
    "Serve other machines without TLS and without authentication.",
    default=False,
)
OTLP_ENABLED = Key(
    "telemetry.backend.otlp.enabled",
    kinds.BOOLEAN,
    "Push the counts over OTLP.",
    otherwise="whether an endpoint is named",
)
OTLP_ENDPOINT = Key(
    "telemetry.backend.otlp.endpoint", kinds.URL, "Where to push to.", otherwise=_OTEL, secret=True, file=True
)
OTLP_PROTOCOL = Key(
    "telemetry.backend.otlp.protocol",
    kinds.choice("http/protobuf", "grpc"),
    "`grpc` needs `ff-observe[grpc]`.",
    otherwise=_OTEL,
)
OTLP_HEADERS = Key(
    "telemetry.backend.otlp.headers",
    kinds.HEADERS,
    "Headers sent along. The file holds one `Name: value` per line.",
    default=(),
    otherwise=_OTEL,
    secret=True,
    file=True,
)
OTLP_COMPRESSION = Key(
    "telemetry.backend.otlp.compression",
    kinds.choice("gzip", "none"),
    "Compression of what is pushed.",
    otherwise=_OTEL,
)
OTLP_CERTIFICATE = Key(
    "telemetry.backend.otlp.certificate",
    kinds.AUTHORITY,
    "PEM file with the authority that signed the endpoint's certificate; relative to `HOME/etc`.",
    otherwise=_OTEL,
)
OTLP_INTERVAL = Key("telemetry.backend.otlp.interval", kinds.SECONDS, "Seconds between two pushes.", otherwise=_OTEL)
OTLP_TIMEOUT = Key("telemetry.backend.otlp.timeout", kinds.SECONDS, "Seconds a push may take.", otherwise=_OTEL)
OTLP_TRACES = Key(
    "telemetry.backend.otlp.traces", kinds.BOOLEAN, "Push traces of the bridge's own work.", default=False
)
OTLP_LOGS = Key("telemetry.backend.otlp.logs", kinds.BOOLEAN, "Push the bridge's own logs.", default=False)
CONSENT = Key(
    "telemetry.frontend.consent",
    kinds.choice("required", "not-required"),
    "`required` holds every snippet until the page calls the consent hook.",
    default="not-required",
)
POSTHOG_APIKEY = Key("telemetry.frontend.posthog.apikey", kinds.TEXT, "PostHog's project key.")
POSTHOG_APIURL = Key(
    "telemetry.frontend.posthog.apiurl", kinds.URL, "Address of PostHog.", default="https://app.posthog.com"
)
POSTHOG_CAPTURE_PAGEVIEW = Key(
    "telemetry.frontend.posthog.capture_pageview", kinds.BOOLEAN, "Send a `$pageview` for each page.", default=True
)
POSTHOG_COOKIELESS_MODE = Key(
    "telemetry.frontend.posthog.cookieless_mode",
    kinds.choice("always", "on_reject"),
    "Handed on to PostHog; with `on_reject` nothing is captured before the page opts in or out.",
    otherwise="PostHog's own",
)
FRONTEND_SENTRY_DSN = Key(
    "telemetry.frontend.sentry.dsn", kinds.DSN, "Errors in the browser are reported to this Sentry project."
)
FRONTEND_SENTRY_PRODUCTION_MODE = Key(
    "telemetry.frontend.sentry.production_mode", kinds.BOOLEAN, "Handed on to the page.", default=False
)
PLAUSIBLE_DOMAIN = Key("telemetry.frontend.plausible.domain", kinds.TEXT, "Deprecated. The site in Plausible.")
OLD_PLAUSIBLE_DOMAIN = Key(
    "telemetry.plausible.domain", kinds.TEXT, "Deprecated old place of `telemetry.frontend.plausible.domain`."
)
# The rest of the file belongs to FlowFuse: its keys are read as FlowFuse reads them; all others are ignored.

DATABASE_TYPE = Key("db.type", kinds.one_of("sqlite", "postgres"), "Kind of the database.", default="sqlite")
DATABASE_STORAGE = Key("db.storage", kinds.WRITTEN, "The SQLite file, relative to `HOME/var`.", default="forge.db")
DATABASE_HOST = Key("db.host", kinds.WRITTEN, "Host of PostgreSQL.", default="postgres")
DATABASE_PORT = Key("db.port", kinds.LOOSE_PORT, "Port of PostgreSQL.", default=5432)
DATABASE_USER = Key("db.user", kinds.WRITTEN, "User of PostgreSQL.")
DATABASE_PASSWORD = Key("db.password", kinds.WRITTEN, "Password of that user.", secret=True, file=True)
DATABASE_NAME = Key("db.database", kinds.WRITTEN, "Name of the database.", default="flowforge")
DATABASE_SSL = Key("db.ssl", kinds.TRUTH, "Connect to PostgreSQL with TLS, and verify its certificate.", default=False)
DRIVER_TYPE = Key("driver.type", kinds.WRITTEN, "What runs the instances; reported as it is.", default="localfs")
NODE_PATH = Key("driver.options.node_path", kinds.WRITTEN, "The Node.js that runs FlowFuse, for its version.")
BROKER = Key("broker", kinds.TRUTH, "Whether a broker is configured; an empty map counts.", default=False)
FILE_STORE = Key("fileStore", kinds.TRUTH, "Whether a file store is configured; any map counts.", default=False)
EMAIL = Key("email.enabled", kinds.TRUTH, "Whether e-mail is on.", default=False)
BILLING = Key("billing", kinds.TRUTH, "Whether the platform bills: its billing states are counted then.", default=False)
HOUSEKEEPER = Key(
    "housekeeper", kinds.NOT_FALSE, "`false` stops FlowFuse's scheduled tasks, the core ping among them.", default=True
)
LICENSE = Key("license", kinds.WRITTEN, "The licence, where the database holds none.", secret=True, file=True)
BASE_URL = Key(
    "base_url",
    kinds.WRITTEN,
    "Address of the platform, which is asked there whether it answers, and for Node.js' version if need be.",
)

TELEMETRY: Final = "telemetry"
EVERY_KEY: Final = declared(globals())
TELEMETRY_KEYS: Final = tuple(key for key in EVERY_KEY if key.path.startswith(f"{TELEMETRY}."))
PLATFORM_KEYS: Final = tuple(key for key in EVERY_KEY if key not in TELEMETRY_KEYS)

IGNORED_KEYS: Final = (
    "telemetry.frontend.google",
    "telemetry.frontend.hubspot",
    "telemetry.frontend.plausible.extension",
    "telemetry.plausible.extension",
)
"""Keys of FlowFuse's own inside `telemetry` (forge/routes/ui/index.js): accepted with everything below them, and not
used."""


_SWITCH_OFF: Final = "write 'enabled: false' below it"

FLOWFORGE: Final = FileKeys(
    EVERY_KEY,
    section=TELEMETRY,
    ignored=IGNORED_KEYS,
    switched_off={
        TELEMETRY: f"{_SWITCH_OFF}: FlowFuse takes 'telemetry: false' for the default, which is on",
        "telemetry.backend.prometheus": _SWITCH_OFF,
        "telemetry.backend.otlp": _SWITCH_OFF,
    },
)
"""A key inside `telemetry` that is neither declared nor ignored is unknown."""

OVERLAY: Final = FileKeys(
    tuple(key for key in EVERY_KEY if key.path.startswith((f"{TELEMETRY}.", "db."))),
    ignored=IGNORED_KEYS,
    refused={
        key.path.partition(".")[0]: "this says what FlowFuse is: it belongs in flowforge.yml"
        for key in PLATFORM_KEYS
        if not key.path.startswith("db.")
    },
    switched_off=FLOWFORGE.switched_off,
)
"""The keys that can be set outside `flowforge.yml`: `telemetry`, and how the bridge reaches the database."""
