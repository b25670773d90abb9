"""What a ping collector exposes: of itself (`ff_observe_collector_*`) and of the fleet (`flowfuse_fleet_*`)."""

from ff_observe.catalogue.model import Kind, Metric

PINGS_ACCEPTED = Metric(
    "ff_observe_collector_pings_accepted_total",
    "Pings acknowledged: stored, or recognised as duplicates of stored ones.",
    "{ping}",
    ("outcome",),
    Kind.COUNTER,
    ("stored", "duplicate"),
)
PINGS_REFUSED = Metric(
    "ff_observe_collector_pings_refused_total",
    "Requests that were not acknowledged, by the reason.",
    "{ping}",
    ("reason",),
    Kind.COUNTER,
    (
        *(
            "too_large",
            "media_type",
            "content_encoding",
            "too_slow",
            "malformed_http",
            "incomplete",
            "not_utf8",
            "not_json",
        ),
        *("too_deep", "not_an_object", "missing_field", "wrong_type", "out_of_range", "too_long"),
        *("wrong_form", "overloaded", "store_unavailable", "internal"),
    ),
)
UNKNOWN_FIELDS = Metric(
    "ff_observe_collector_unknown_fields_total",
    "Fields in accepted pings that the contract does not name, by their name. They are never stored. A name is shown "
    "while at least `fleet.k` senders sent it today and yesterday; all others are `other`.",
    "{field}",
    ("field",),
    Kind.COUNTER,
    ("other",),
)
COMMIT_DURATION = Metric(
    "ff_observe_collector_commit_duration_seconds",
    "How long it took to store pings durably, by commit.",
    "s",
    kind=Kind.HISTOGRAM,
)
COMMIT_PINGS = Metric(
    "ff_observe_collector_commit_pings", "How many pings shared a commit.", "{ping}", kind=Kind.HISTOGRAM
)
WAITING = Metric("ff_observe_collector_waiting_pings", "Pings received that are not committed yet.", "{ping}")
STORE_UP = Metric(
    "ff_observe_collector_store_up",
    "Whether the store took the last durable write (1) or not (0): a batch of pings, or a probe every 10 seconds.",
)
CONNECTIONS = Metric("ff_observe_collector_connections", "Open HTTP connections.", "{connection}")
CONNECTIONS_CLOSED = Metric(
    "ff_observe_collector_connections_closed_total",
    "Connections closed from this side: a request, or the taking of an answer, took too long, or too many were open.",
    "{connection}",
    ("reason",),
    Kind.COUNTER,
    ("too_slow", "too_many"),
)
PRUNED = Metric(
    "ff_observe_collector_pruned_pings_total",
    "Pings deleted because they were older than the retention.",
    "{ping}",
    kind=Kind.COUNTER,
)
KEY_CREATED = Metric(
    "ff_observe_collector_key_created_timestamp_seconds",
    "When the key that hashes addresses was made, in seconds since 1970.",
    "s",
)
START = Metric(
    "ff_observe_collector_start_timestamp_seconds", "When the collector started, in seconds since 1970.", "s"
)
BUILD_INFO = Metric(
    "ff_observe_collector_build_info",
    "Version of the collector and the kind of its store; the value is always 1.",
    labels=("version", "store"),
)

COLLECTOR: tuple[Metric, ...] = (
    BUILD_INFO,
    START,
    PINGS_ACCEPTED,
    PINGS_REFUSED,
    UNKNOWN_FIELDS,
    COMMIT_DURATION,
    COMMIT_PINGS,
    WAITING,
    STORE_UP,
    CONNECTIONS,
    CONNECTIONS_CLOSED,
    PRUNED,
    KEY_CREATED,
)

WINDOWS = ("1d", "7d", "30d")

PLATFORMS = Metric(
    "flowfuse_fleet_platforms",
    "Platforms that pinged within the last day, 7 days and 30 days. A window is absent where it, or its difference "
    "from a larger one, is of fewer than `fleet.k` platforms.",
    "{platform}",
    ("window",),
    label_values=WINDOWS,
)
SILENT = Metric(
    "flowfuse_fleet_silent_platforms",
    "Platforms that pinged within the last 30 days, but not within `fleet.silent_after_days`. Absent where they are "
    "fewer than `fleet.k`, though not for 0.",
    "{platform}",
)
BY_VERSION = Metric(
    "flowfuse_fleet_platforms_by_version",
    "Platforms of the last 30 days by their FlowFuse version; rare ones, and those unlike a release, are `other`.",
    "{platform}",
    ("version",),
)
BY_DRIVER = Metric(
    "flowfuse_fleet_platforms_by_driver",
    "Platforms of the last 30 days by their driver; rare ones, and those that are not FlowFuse's, are `other`.",
    "{platform}",
    ("driver",),
)
BY_LICENSE_TYPE = Metric(
    "flowfuse_fleet_platforms_by_license_type",
    "Platforms of the last 30 days by the type of their licence; rare ones are `other`.",
    "{platform}",
    ("license_type",),
)
BY_FEATURE = Metric(
    "flowfuse_fleet_platforms_by_feature",
    "Platforms of the last 30 days by whether a feature is enabled; a state that few platforms share is `other`.",
    "{platform}",
    ("feature", "enabled"),
)
RESOURCE_TITLES = {
    "instances": "hosted instances",
    "instances_by_state_suspended": "suspended instances",
    "devices_by_last_seen_day": "devices seen within a day",
    "devices_by_last_seen_never": "devices never seen",
    "team_broker_clients": "clients of team brokers",
    "remote_brokers": "MQTT brokers",
    "library_entries": "library entries",
    "shared_library_entries": "shared library entries",
}
"""Words for those of the label values below that people would not use themselves."""

RESOURCES = Metric(
    "flowfuse_fleet_resources",
    "Sum of a count over the platforms of the last 30 days. Absent where fewer than `fleet.k` platforms have more "
    "than 0 of it, or one dominates.",
    labels=("resource",),
)
RESOURCES_PER_PLATFORM = Metric(
    "flowfuse_fleet_resources_per_platform",
    "Quantiles of a count over the platforms of the last 30 days. Each is the mean over `fleet.k` platforms around "
    "that rank, and absent where one of them dominates or there are too few.",
    labels=("resource", "quantile"),
)
REPORTING = Metric(
    "flowfuse_fleet_reporting_platforms",
    "Platforms of the last 30 days whose ping has this count. Absent where its sum is.",
    "{platform}",
    ("resource",),
)
TIMESTAMP = Metric("flowfuse_fleet_timestamp_seconds", "When the fleet was last counted, in seconds since 1970.", "s")

FLEET: tuple[Metric, ...] = (
    TIMESTAMP,
    PLATFORMS,
    SILENT,
    BY_VERSION,
    BY_DRIVER,
    BY_LICENSE_TYPE,
    BY_FEATURE,
    REPORTING,
    RESOURCES,
    RESOURCES_PER_PLATFORM,
)
