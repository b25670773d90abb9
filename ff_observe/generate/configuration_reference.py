"""`docs/configuration.md`: every key that is read, from which places, and every environment variable."""

from ff_observe.config.declaration import IGNORED_KEYS, OVERLAY, PLATFORM_KEYS, TELEMETRY_KEYS
from ff_observe.generate.markdown import document, keys, table

ENVIRONMENT_VARIABLES: tuple[tuple[str, str], ...] = (
    ("FF_OBSERVE_SETTINGS", "The overlay file, where `--overlay` does not name it."),
    ("FF_OBSERVE_TELEMETRY_*, FF_OBSERVE_DB_*", "One key each: see the tables above."),
    ("FLOWFORGE_HOME", "FlowFuse's home, where `--home` does not name it."),
    ("SENTRY_ENV", "Environment that backend Sentry and OTLP report."),
    ("NODE_ENV", "That environment where `SENTRY_ENV` is not set; without both it is `unknown`."),
    ("FF_TELEMETRY_DISABLED", "Any value, `0` and `false` among them, stops the ping, on licensed platforms too."),
    ("DO_NOT_TRACK", "Stops the ping of an unlicensed platform, unless it is `0` or `false`."),
    ("FF_OBSERVE_FLOWFUSE_VERSION", "FlowFuse's version, where it cannot be found (containers)."),
    ("FF_OBSERVE_NODEJS_VERSION", "Version of the Node.js that runs FlowFuse, where it cannot be found."),
    ("SENTRY_AUTH_TOKEN", "Token for `ff-observe sentry sourcemaps`, also from `.env`."),
    ("SENTRY_AUTH_TOKEN_FILE", "A file that holds that token."),
    ("SENTRY_ORG, SENTRY_PROJECT, SENTRY_URL", "Where source maps go; organisation and URL may be in the token."),
    ("NOTIFY_SOCKET", "Set by systemd: where `run` reports that it is ready, reloads or stops."),
    ("WATCHDOG_USEC, WATCHDOG_PID", "Set by systemd: how often `run` has to report that it answers."),
    ("LISTEN_FDS, LISTEN_PID", "Set by systemd: `run` serves on a socket that systemd opened."),
    ("NO_COLOR, TERM", "Terminal output is without colours if `NO_COLOR` is set or `TERM` is `dumb`."),
    ("STATE_DIRECTORY", "Set by systemd's `StateDirectory=`: the ledger of pings is kept there by default."),
    (
        "PGSSLROOTCERT",
        "Authorities of PostgreSQL's certificate, trusted alone; `telemetry.database.ca_file` comes before it.",
    ),
    (
        "NODE_EXTRA_CA_CERTS",
        "Authorities of PostgreSQL's certificate besides the system's, as FlowFuse's Node.js reads them.",
    ),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "Authorities instead of the system's, for every connection."),
    ("REQUESTS_CA_BUNDLE", "Authorities besides them."),
    ("FF_OBSERVE_COLLECTOR_DATABASE", "The ping collector's database, where no option names one."),
    ("FF_OBSERVE_COLLECTOR_DATABASE_FILE", "A file that holds that instead."),
    ("OTEL_*", "As OpenTelemetry's specification of environment variables says."),
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
        "Proxies for everything that leaves; `NO_PROXY` lists hosts, domains, and networks of addresses.",
    ),
)

_INTRODUCTION = """\
# Configuration

ff-observe reads FlowFuse's own file, as FlowFuse reads it: `HOME/etc/flowforge.local.yml` if it exists, else
`HOME/etc/flowforge.yml`, where `HOME` is `--home`, else `$FLOWFORGE_HOME`, else `/opt/flowforge` if it exists, else the
current directory. `ff-observe check` says whether the file is valid, whether the platform's database answers, and which
outputs are on and why; with `--offline` it reads the file alone. Its exit status is 1 if the database does not answer,
and 78 if the configuration is wrong.

- The file is YAML 1.2: only `true` and `false` are booleans. `no` and `off` are strings, which FlowFuse takes for *on*
  in `telemetry.enabled`; ff-observe refuses them and says what to write.
- `<%= ENV['NAME'] %>` stands for an environment variable, as in FlowFuse's Helm chart. No other ERB is understood.
- A secret can stand in a file of its own, named by the key with `_file` at its end (`license_file`); the path is
  relative to `HOME/etc`, and line breaks at the end of the file are dropped. Secrets are never shown.
- Every problem is reported at once, with line, column and key. Unknown keys inside `telemetry` are warnings on `run`
  and errors on `check`; the rest of the file belongs to FlowFuse.

## Without touching FlowFuse's file

Every key under `telemetry` and `db` can also be set beside `flowforge.yml`. The later of these wins over the earlier:

1. `flowforge.yml`.
2. An overlay of the same form: `--overlay FILE`, else `$FF_OBSERVE_SETTINGS`, else `ff-observe.yml` beside
   `flowforge.yml`, if it exists. `null` sets a key back to its default. Unknown keys are found everywhere in it.
3. The variable of the key, named in the tables below: `FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PORT=9000`. The same
   name with `_FILE` at its end names a file that holds the value, as Docker and Kubernetes mount secrets.
4. `--set telemetry.backend.prometheus.port=9000`, which may be repeated. Secrets are refused there, since `ps` shows
   the command line: `--set db.password_file=/run/secrets/password` names a file instead.

A variable, its file and `--set` hold text as it is, and numbers, booleans, lists and maps as YAML. Paths are relative
to `HOME/etc`, wherever they are set. SIGHUP reads `flowforge.yml`, the overlay and the files again. A variable that
begins with `FF_OBSERVE_TELEMETRY_` or `FF_OBSERVE_DB_` and sets nothing is reported as an unknown key is.
`ff-observe check` lists what is set beside `flowforge.yml` and where; `ff-observe check --effective` lists every value
in use. An error names the variable, `--set`, or the file with line and column.

The ping collector's `collector.yml` is described in [collector.md](collector.md#collectoryml), the web configuration
for TLS and users in [securing-metrics.md](securing-metrics.md#keys)."""


_ROLE = """\
On PostgreSQL, a role that only reads suffices: `ff-observe database grants` prints its SQL, with the columns that are
read of this version of FlowFuse; run it again after an upgrade. Name the role in `db.user` of the overlay, or in
`FF_OBSERVE_DB_USER`. It can read every row of `PlatformSettings`, where FlowFuse keeps its cookie secret too: grants
end at columns. `ff-observe doctor` says what the configured role lacks, and what it can do besides.

Before PostgreSQL 15 every role may make tables, functions and operators in the schema `public`. None is used that
another role made: statements search PostgreSQL's own functions and operators alone, and a table is read only if its
owner is that of `PlatformSettings`, or may act as that one."""


def render() -> str:
    ignored = ", ".join(f"`{path}`" for path in IGNORED_KEYS)
    return document(
        "ff_observe/config/declaration.py",
        _INTRODUCTION,
        "## Inside `telemetry`",
        keys(TELEMETRY_KEYS, variables=True),
        f"FlowFuse's own, accepted and not used: {ignored}.",
        "## The database",
        _ROLE,
        keys((key for key in OVERLAY.keys if key in PLATFORM_KEYS), variables=True),
        "## The rest of the file, as far as it is read",
        "These say what FlowFuse is, and are read from `flowforge.yml` alone.",
        keys(key for key in PLATFORM_KEYS if key not in OVERLAY.keys),
        "## Environment variables",
        "An empty variable counts as not set.",
        table(("Variable", "Meaning"), ((f"`{name}`", meaning) for name, meaning in ENVIRONMENT_VARIABLES)),
    )
