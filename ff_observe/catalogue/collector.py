"""The metrics of a ping collector itself (`ff_observe_collector_*`)."""

from ff_observe.catalogue.model import Kind, Metric

PINGS_ACCEPTED = Metric(
    "ff_observe_collector_pings_accepted_total",
    "Pings accepted",
    "Pings acknowledged: stored, or recognised as duplicates of stored ones.",
    "{ping}",
    ("outcome",),
    Kind.COUNTER,
    ("stored", "duplicate"),
)
PINGS_REFUSED = Metric(
    "ff_observe_collector_pings_refused_total",
    "Requests refused",
    "Requests that were not acknowledged, by the reason.",
    "{ping}",
    ("reason",),
    Kind.COUNTER,
    (
        *("too_large", "media_type", "content_encoding", "too_slow", "malformed_http", "incomplete", "not_utf8"),
        *("not_json", "too_deep", "not_an_object", "missing_field", "wrong_type", "out_of_range", "too_long"),
        *("wrong_form", "overloaded", "store_unavailable", "internal"),
    ),
)
UNKNOWN_FIELDS = Metric(
    "ff_observe_collector_unknown_fields_total",
    "Unknown fields",
    "Fields in accepted pings that the contract does not name, by their name. They are never stored. A name is shown "
    "while at least `fleet.k` senders sent it today or yesterday; all others are `other`.",
    "{field}",
    ("field",),
    Kind.COUNTER,
    ("other",),
)
COMMIT_DURATION = Metric(
    "ff_observe_collector_commit_duration_seconds",
    "Time to store",
    "How long it took to store pings durably, by commit.",
    "s",
    kind=Kind.HISTOGRAM,
)
COMMIT_PINGS = Metric(
    "ff_observe_collector_commit_pings",
    "Pings per commit",
    "How many pings shared a commit.",
    "{ping}",
    kind=Kind.HISTOGRAM,
)
WAITING = Metric(
    "ff_observe_collector_waiting_pings",
    "Pings waiting",
    "Pings received that are not committed yet.",
    "{ping}",
)
STORE_UP = Metric(
    "ff_observe_collector_store_up",
    "Store",
    "Whether the store took the last durable write (1) or not (0): a batch of pings, or a probe every 10 seconds.",
)
FAILOVER_SAFE = Metric(
    "ff_observe_collector_failover_safe",
    "Safe from a fail-over",
    "Whether acknowledged pings survive a fail-over of PostgreSQL (1) or can be lost (0), by its settings at the last "
    "probe, every 10 seconds. Always 1 for SQLite, which has none.",
)
CONNECTIONS = Metric(
    "ff_observe_collector_connections",
    "Connections",
    "Open HTTP connections.",
    "{connection}",
)
CONNECTIONS_CLOSED = Metric(
    "ff_observe_collector_connections_closed_total",
    "Connections closed",
    "Connections closed from this side: a request, or the taking of an answer, took too long, or too many were open.",
    "{connection}",
    ("reason",),
    Kind.COUNTER,
    ("too_slow", "too_many"),
)
PRUNED = Metric(
    "ff_observe_collector_pruned_pings_total",
    "Pings past retention",
    "Pings deleted because they were older than the retention.",
    "{ping}",
    kind=Kind.COUNTER,
)
FOLD_DURATION = Metric(
    "ff_observe_collector_fold_duration_seconds",
    "Time to roll up",
    "How long it took this collector last to find the days that have changed, and to roll up to three of them.",
    "s",
)
ROLLED_UP = Metric(
    "ff_observe_collector_rolled_up_timestamp_seconds",
    "Roll-ups complete until",
    "Until when the roll-ups are complete, in seconds since 1970: when the oldest day began that is still due, else "
    "when days were last rolled up.",
    "s",
)
COPIED = Metric(
    "ff_observe_collector_copied_timestamp_seconds",
    "Copies complete until",
    "Until when all days are copied to ClickHouse, in seconds since 1970: when the oldest day began that is still to "
    "be copied, today at the latest. Only with `fleet.analytics`.",
    "s",
)
FLEET_MAX_AGE = Metric(
    "ff_observe_collector_fleet_max_age_seconds",
    "Age of a count at most",
    "How old a count of the fleet becomes before the next has ended, if that takes as long: twice as long as the last "
    "took, and `fleet.interval_seconds`.",
    "s",
)
PRIVACY_SPENT = Metric(
    "ff_observe_collector_privacy_spent_epsilon",
    "Privacy spent",
    "The sum of the ε of all releases of the fleet. Only with `fleet.epsilon`.",
)
PRIVACY_BUDGET = Metric(
    "ff_observe_collector_privacy_budget_epsilon",
    "Privacy budget",
    "The ε of all releases together after which there are no more (`fleet.epsilon_budget`). Only with `fleet.epsilon`.",
)
KEY_CREATED = Metric(
    "ff_observe_collector_key_created_timestamp_seconds",
    "Hashing key made",
    "When the key that hashes addresses was made, in seconds since 1970.",
    "s",
)
BUILD_INFO = Metric(
    "ff_observe_collector_build_info",
    "Version of the collector",
    "Version of the collector and the kind of its store; the value is always 1.",
    labels=("version", "store"),
    kind=Kind.INFO,
)

COLLECTOR: tuple[Metric, ...] = (
    BUILD_INFO,
    PINGS_ACCEPTED,
    PINGS_REFUSED,
    UNKNOWN_FIELDS,
    COMMIT_DURATION,
    COMMIT_PINGS,
    WAITING,
    STORE_UP,
    FAILOVER_SAFE,
    CONNECTIONS,
    CONNECTIONS_CLOSED,
    PRUNED,
    FOLD_DURATION,
    ROLLED_UP,
    COPIED,
    FLEET_MAX_AGE,
    PRIVACY_SPENT,
    PRIVACY_BUDGET,
    KEY_CREATED,
)
