"""What the bridge tells of itself, as `ff_observe_*`. The live values are in `self_metrics.py`."""

from ff_observe.catalogue.model import Kind, Metric

BUILD_INFO = Metric(
    "ff_observe_build_info",
    "Versions of the bridge and of the Python that runs it; the value is always 1.",
    labels=("version", "python_version"),
)
SNAPSHOT_TIMESTAMP = Metric(
    "ff_observe_snapshot_timestamp_seconds",
    "When the snapshot in this exposition was taken, in seconds since 1970.",
    "s",
)
SNAPSHOT_DURATION = Metric(
    "ff_observe_snapshot_duration_seconds", "How long reading the database took for the last snapshot.", "s"
)
SNAPSHOTS = Metric(
    "ff_observe_snapshots_total",
    "Snapshots of the platform's database, by outcome.",
    "{snapshot}",
    ("outcome",),
    Kind.COUNTER,
    ("ok", "partial", "failed"),
)
READING_SUCCESS = Metric(
    "ff_observe_reading_success",
    "Whether a reading of the last snapshot succeeded (1) or not (0). A reading whose table this FlowFuse version does "
    "not have is not listed.",
    labels=("reading",),
)
LABEL_VALUES_CAPPED = Metric(
    "ff_observe_label_values_capped",
    "Label values of the last snapshot that are not shown as they are: beyond the hundred most frequent of a reading "
    "and summed into `other` (`number`), or cut to 128 characters (`length`).",
    labels=("reading", "cap"),
)
PINGS = Metric(
    "ff_observe_pings_total",
    "Attempts to send the core ping, by outcome.",
    "{ping}",
    ("outcome",),
    Kind.COUNTER,
    ("delivered", "rejected", "failed"),
)
PING_BYTES = Metric("ff_observe_ping_sent_bytes_total", "Bytes of pings delivered.", "By", kind=Kind.COUNTER)
PING_ENABLED = Metric(
    "ff_observe_ping_enabled",
    "Whether the ping may be sent (1) or not (0), and which rule decided.",
    labels=("rule",),
)
PING_OPT_OUT_IGNORED = Metric(
    "ff_observe_ping_opt_out_ignored",
    "Whether a licensed platform asks to opt out, which its licence does not allow (1), or not (0).",
)
PING_LAST_SUCCESS = Metric(
    "ff_observe_ping_last_success_timestamp_seconds",
    "When a ping was last delivered, in seconds since 1970.",
    "s",
)
PING_NEXT = Metric(
    "ff_observe_ping_next_timestamp_seconds",
    "When the next ping is due, in seconds since 1970.",
    "s",
)
OUTPUT_ENABLED = Metric(
    "ff_observe_output_enabled",
    "Whether an output of the bridge is on (1) or off (0). For the ping it says whether the ping may be sent for the "
    "platform as last read, and is absent before that.",
    labels=("output",),
)
OUTPUT_DELIVERED = Metric(
    "ff_observe_output_last_delivery_successful",
    "Whether the last delivery of an output arrived (1) or not (0). Absent before the first, and for outputs that are "
    "fetched from the bridge or loaded by a browser.",
    labels=("output",),
)
CONFIG_RELOAD_SUCCESS = Metric(
    "ff_observe_config_last_reload_successful",
    "Whether the settings in use are those of flowforge.yml as last read (1) or older ones, because it could not be "
    "changed over to (0).",
)
SENTRY_EVENTS = Metric(
    "ff_observe_sentry_events_total",
    "Events handed to backend Sentry, by outcome.",
    "{event}",
    ("outcome",),
    Kind.COUNTER,
    ("captured", "dropped"),
)
OTLP_EXPORTS = Metric(
    "ff_observe_otlp_exports_total",
    "Exports over OTLP (of metrics, traces or logs), by outcome.",
    "{export}",
    ("outcome",),
    Kind.COUNTER,
    ("delivered", "failed"),
)
PROCESS_RESIDENT_MEMORY = Metric("ff_observe_resident_memory_bytes", "Resident memory of the bridge's process.", "By")
PROCESS_START = Metric("ff_observe_start_timestamp_seconds", "When the bridge started, in seconds since 1970.", "s")

BRIDGE: tuple[Metric, ...] = (
    BUILD_INFO,
    PROCESS_START,
    PROCESS_RESIDENT_MEMORY,
    CONFIG_RELOAD_SUCCESS,
    OUTPUT_ENABLED,
    OUTPUT_DELIVERED,
    SNAPSHOT_TIMESTAMP,
    SNAPSHOT_DURATION,
    SNAPSHOTS,
    READING_SUCCESS,
    LABEL_VALUES_CAPPED,
    PINGS,
    PING_BYTES,
    PING_ENABLED,
    PING_OPT_OUT_IGNORED,
    PING_LAST_SUCCESS,
    PING_NEXT,
    SENTRY_EVENTS,
    OTLP_EXPORTS,
)
