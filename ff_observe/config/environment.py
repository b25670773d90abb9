"""The environment variables that ff-observe obeys, read once and in one place.

Variables of the OpenTelemetry specification (`OTEL_*`) and of the proxy convention (`HTTPS_PROXY`, `NO_PROXY`) are read
elsewhere; here only whether `OTEL_*` switches OTLP on or off, and which of their values are secret.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from ff_observe.config.secret import Secret


@dataclass(frozen=True, slots=True)
class Environment:
    """The process environment as typed values. An empty variable counts as unset throughout.

    `proxies` are the URLs of the proxy convention, `otlp_variables` all of OpenTelemetry's (`OTEL_*`), which the output
    reads; both may hold secrets.
    """

    flowforge_home: str | None = None
    sentry_env: str | None = None
    node_env: str | None = None
    ff_telemetry_disabled: bool = False
    do_not_track: bool = False
    flowfuse_version: str | None = None
    nodejs_version: str | None = None
    otlp_endpoint_named: bool = False
    otlp_signals: frozenset[str] = frozenset()
    otel_sdk_disabled: bool = False
    otlp_secrets: tuple[Secret, ...] = ()
    proxies: tuple[Secret, ...] = ()
    state_directory: str | None = None
    node_extra_ca_certs: str | None = None
    pg_ssl_root_cert: str | None = None
    otlp_variables: Mapping[str, str] | None = field(default=None, repr=False, hash=False)

    @property
    def name(self) -> str:
        """The deployment environment that Sentry and OTLP report: `SENTRY_ENV`, else `NODE_ENV`, else `unknown`."""
        return self.sentry_env or self.node_env or "unknown"


_OTLP = tuple(f"OTEL_EXPORTER_OTLP_{signal}" for signal in ("", "METRICS_", "TRACES_", "LOGS_"))


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Read the variables.

    `FF_TELEMETRY_DISABLED` counts whenever it is not empty, `0` and `false` included, as in FlowFuse
    (forge/housekeeper/tasks/telemetryMetrics.js). `DO_NOT_TRACK` follows consoledonottrack.com: `0` and `false` allow.
    `STATE_DIRECTORY` is systemd's (systemd.exec(5), RuntimeDirectory=); of several directories the first is used.
    `NODE_EXTRA_CA_CERTS` is Node's and `PGSSLROOTCERT` libpq's: authorities that the database's server may have.
    `OTEL_SDK_DISABLED` is a boolean of the OpenTelemetry specification: only `true`, in any case, counts.
    """
    return Environment(
        flowforge_home=variables.get("FLOWFORGE_HOME") or None,
        sentry_env=variables.get("SENTRY_ENV") or None,
        node_env=variables.get("NODE_ENV") or None,
        ff_telemetry_disabled=bool(variables.get("FF_TELEMETRY_DISABLED")),
        do_not_track=variables.get("DO_NOT_TRACK", "").strip().lower() not in ("", "0", "false"),
        flowfuse_version=variables.get("FF_OBSERVE_FLOWFUSE_VERSION") or None,
        nodejs_version=variables.get("FF_OBSERVE_NODEJS_VERSION") or None,
        otlp_endpoint_named=any(variables.get(f"{prefix}ENDPOINT") for prefix in _OTLP),
        otlp_signals=otlp_signals(variables),
        otel_sdk_disabled=variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true",
        otlp_secrets=tuple(_otlp_secrets(variables)),
        proxies=tuple(_proxies(variables)),
        state_directory=variables.get("STATE_DIRECTORY", "").partition(":")[0] or None,
        node_extra_ca_certs=variables.get("NODE_EXTRA_CA_CERTS") or None,
        pg_ssl_root_cert=variables.get("PGSSLROOTCERT") or None,
        otlp_variables={name: value for name, value in variables.items() if value and name.startswith("OTEL_")},
    )


def otlp_signals(variables: Mapping[str, str]) -> frozenset[str]:
    """Which of metrics, traces and logs the standard variables ask for.

    Metrics if an endpoint is set for them; traces and logs if they have an endpoint of their own, or with
    `OTEL_TRACES_EXPORTER=otlp`. A signal with another exporter, including `none`, is left out.
    """
    general = bool(variables.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip())
    asked = set()
    for signal in ("metrics", "traces", "logs"):
        exporter = variables.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower()
        own = bool(variables.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip())
        if signal == "metrics":
            asks = (own or general) and exporter in ("", "otlp")
        else:
            asks = exporter == "otlp" or (own and exporter == "")
        if asks:
            asked.add(signal)
    return frozenset(asked)


def _otlp_secrets(variables: Mapping[str, str]) -> Iterator[Secret]:
    """Values of headers, as written and as sent; addresses, which may hold a password."""
    for prefix in _OTLP:
        for header in variables.get(f"{prefix}HEADERS", "").split(","):
            value = (header.partition("=")[2] or header).strip()
            if value:
                yield from (Secret(value), Secret(unquote(value)))
        endpoint = variables.get(f"{prefix}ENDPOINT")
        if endpoint:
            yield Secret(endpoint)


def _proxies(variables: Mapping[str, str]) -> Iterator[Secret]:
    """A proxy may be written without its scheme."""
    for name, value in variables.items():
        if name.lower().endswith("_proxy") and not name.lower().startswith("no_") and value:
            yield Secret(value if "://" in value else f"http://{value}")
