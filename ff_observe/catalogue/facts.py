"""What is known of the platform besides its counts: whether it answers, its licence, its versions, its features."""

from ff_observe.catalogue.model import Metric

UP = Metric(
    "flowfuse_up",
    "Whether the platform's database answered the last time it was asked (1) or not (0): the same as "
    "`flowfuse_database_up`. Whether FlowFuse itself answers is `flowfuse_http_up`.",
)
DATABASE_UP = Metric(
    "flowfuse_database_up", "Whether the platform's database answered the last time it was asked (1) or not (0)."
)
HTTP_UP = Metric(
    "flowfuse_http_up",
    "Whether FlowFuse itself answered over HTTP the last time it was asked (1) or not (0). Absent where neither "
    "`base_url` nor `probe_url` names its address.",
)
HTTP_DURATION = Metric(
    "flowfuse_http_duration_seconds",
    "How long FlowFuse took to answer over HTTP, from name resolution to the end of the answer. Absent while it does "
    "not answer.",
    "s",
)
INITIALISED = Metric("flowfuse_initialised", "Whether the platform's set-up has been completed (1) or not (0).")
LICENSE_ACTIVE = Metric(
    "flowfuse_license_active",
    "Whether a valid licence is loaded (1) or not (0). An expired licence is still loaded.",
)
LICENSE_INFO = Metric(
    "flowfuse_license_info",
    "The licence that is loaded; the value is always 1.",
    labels=("license_id", "license_type", "tier"),
)
LICENSE_EXPIRY = Metric(
    "flowfuse_license_expiry_timestamp_seconds",
    "When the licence expires, in seconds since 1970. From then on FlowFuse refuses new devices and suspends every "
    "instance that is started; at the next 02:00 it suspends all running ones.",
    "s",
)
LICENSE_LIMIT = Metric(
    "flowfuse_license_limit",
    "How many of a resource the licence, or FlowFuse without one, allows. With a licence FlowFuse permits more and "
    "audits it; without one it refuses more. Without `devices`, the limit of `instances` covers devices too.",
    labels=("resource",),
)
LICENSE_USAGE = Metric(
    "flowfuse_license_usage",
    "How many of a resource are in use, counted as the limit of the same `resource` counts them.",
    labels=("resource",),
)
PLATFORM_INFO = Metric(
    "flowfuse_platform_info",
    "Versions and driver of the platform, empty where unknown; the value is always 1.",
    labels=("version", "nodejs_version", "driver"),
)
FEATURE_ENABLED = Metric(
    "flowfuse_feature_enabled",
    "Whether a feature is configured in flowforge.yml (1) or not (0).",
    labels=("feature",),
    label_values=("broker", "file_store", "email"),
)

FACTS: tuple[Metric, ...] = (
    UP,
    DATABASE_UP,
    HTTP_UP,
    HTTP_DURATION,
    INITIALISED,
    LICENSE_ACTIVE,
    LICENSE_INFO,
    LICENSE_EXPIRY,
    LICENSE_LIMIT,
    LICENSE_USAGE,
    PLATFORM_INFO,
    FEATURE_ENABLED,
)
