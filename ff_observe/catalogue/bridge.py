"""The metrics of the bridge itself, `ff_observe_*`. Their live values are in `self_metrics.py`."""

from ff_observe.catalogue.model import Kind, Metric

BUILD_INFO = Metric(
    "ff_observe_build_info",
    "Versions of the bridge",
    "Versions of the bridge and of the Python that runs it; the value is always 1.",
    labels=("version", "python_version"),
    kind=Kind.INFO,
)
SNAPSHOT_TIMESTAMP = Metric(
    "ff_observe_snapshot_timestamp_seconds",
    "Time of the snapshot",
    "When the snapshot in this exposition was taken, in seconds since 1970.",
    "s",
)
SNAPSHOT_DURATION = Metric(
    "ff_observe_snapshot_duration_seconds",
    "Time to read the database",
    "How long reading the database took for the last snapshot.",
    "s",
)
SNAPSHOTS = Metric(
    "ff_observe_snapshots_total",
    "Snapshots of the database",
    "Snapshots of the platform's database, by outcome.",
    "{snapshot}",
    ("outcome",),
    Kind.COUNTER,
    ("ok", "partial", "failed"),
)
READING_SUCCESS = Metric(
    "ff_observe_reading_success",
    "Success of each reading",
    "Whether a reading of the last snapshot succeeded (1) or not (0). A reading whose table this FlowFuse version does "
    "not have is not listed. Where reading every count at once takes longer than a reading may, that snapshot only "
    "counts the rows of each table; for ten minutes, other counts of tables of more than 100,000 rows then fail, and "
    "all other counts if the smaller tables take too long as well.",
    labels=("reading",),
)
LABEL_VALUES_CAPPED = Metric(
    "ff_observe_label_values_capped",
    "Label values not shown",
    "Label values of the last snapshot that are not shown as they are: beyond the hundred most frequent of a reading "
    "and summed into `other` (`number`), or cut to 128 characters (`length`). In a table of more than 100,000 rows, "
    "values that FlowFuse is not known to write are summed under that name too, and count as one.",
    labels=("reading", "cap"),
)
AUDIT_LOG_COUNTED = Metric(
    "ff_observe_audit_log_counted_ratio",
    "Audit log counted",
    "How much of the platform's audit log is counted, from 0 to 1. Below 1 while it is counted anew, and where a "
    "transaction that writes to it stays open. Absent where this FlowFuse has no audit log, or it cannot be read.",
)
PINGS = Metric(
    "ff_observe_pings_total",
    "Pings",
    "Attempts to send the core ping, by outcome.",
    "{ping}",
    ("outcome",),
    Kind.COUNTER,
    ("delivered", "rejected", "failed"),
)
PING_BYTES = Metric(
    "ff_observe_ping_sent_bytes_total",
    "Ping bytes delivered",
    "Bytes of pings delivered.",
    "By",
    kind=Kind.COUNTER,
)
PING_ENABLED = Metric(
    "ff_observe_ping_enabled",
    "Core ping",
    "Whether the ping may be sent (1) or not (0), and which rule decided.",
    labels=("rule",),
)
PING_LEADER = Metric(
    "ff_observe_ping_leader",
    "Sends the ping",
    "Whether this bridge of its platform is the one to send a ping that may be sent (1), or not (0).",
)
PING_OPT_OUT_IGNORED = Metric(
    "ff_observe_ping_opt_out_ignored",
    "Opt-out ignored",
    "Whether a licensed platform asks to opt out, which its licence does not allow (1), or not (0).",
)
PING_LAST_SUCCESS = Metric(
    "ff_observe_ping_last_success_timestamp_seconds",
    "Ping last delivered",
    "When a ping was last delivered, in seconds since 1970.",
    "s",
)
PING_NEXT = Metric(
    "ff_observe_ping_next_timestamp_seconds",
    "Next ping due",
    "When the next ping is due, in seconds since 1970.",
    "s",
)
OUTPUT_ENABLED = Metric(
    "ff_observe_output_enabled",
    "Outputs",
    "Whether an output of the bridge is on (1) or off (0). For the ping it says whether the ping may be sent for the "
    "platform as last read, and is absent before that.",
    labels=("output",),
)
OUTPUT_DELIVERED = Metric(
    "ff_observe_output_last_delivery_successful",
    "Last delivery",
    "Whether the last delivery of an output arrived (1) or not (0). Absent before the first, and for outputs that are "
    "fetched from the bridge or loaded by a browser.",
    labels=("output",),
)
CONFIG_RELOAD_SUCCESS = Metric(
    "ff_observe_config_last_reload_successful",
    "Configuration",
    "Whether the settings in use are those of flowforge.yml as last read (1) or older ones, because it could not be "
    "changed over to (0).",
)
SENTRY_EVENTS = Metric(
    "ff_observe_sentry_events_total",
    "Sentry events",
    "Events and check-ins handed to backend Sentry, by outcome.",
    "{event}",
    ("outcome",),
    Kind.COUNTER,
    ("captured", "dropped"),
)
SENTRY_SUPPRESSED = Metric(
    "ff_observe_sentry_events_suppressed_total",
    "Suppressed Sentry events",
    "Events that backend Sentry dropped unsent, by reason: the same error within an hour, or over the budget of a "
    "minute or a day.",
    "{event}",
    ("reason",),
    Kind.COUNTER,
    ("repeated", "minute_budget", "day_budget"),
)
OTLP_EXPORTS = Metric(
    "ff_observe_otlp_exports_total",
    "OTLP exports",
    "Exports over OTLP (of metrics, traces or logs), by outcome.",
    "{export}",
    ("outcome",),
    Kind.COUNTER,
    ("delivered", "failed"),
)
BRIDGE: tuple[Metric, ...] = (
    BUILD_INFO,
    CONFIG_RELOAD_SUCCESS,
    OUTPUT_ENABLED,
    OUTPUT_DELIVERED,
    SNAPSHOT_TIMESTAMP,
    SNAPSHOT_DURATION,
    SNAPSHOTS,
    READING_SUCCESS,
    LABEL_VALUES_CAPPED,
    AUDIT_LOG_COUNTED,
    PINGS,
    PING_BYTES,
    PING_ENABLED,
    PING_LEADER,
    PING_OPT_OUT_IGNORED,
    PING_LAST_SUCCESS,
    PING_NEXT,
    SENTRY_EVENTS,
    SENTRY_SUPPRESSED,
    OTLP_EXPORTS,
)

PLATFORMS = Metric(
    "ff_observe_platforms",
    "Platforms of the process",
    "Platforms that one process observes, by what the list of them says: `unusable` are those whose configuration "
    "cannot be used, `unread` those that were not read yet.",
    "{platform}",
    ("state",),
    label_values=("unusable", "down", "troubled", "unread", "up"),
)
