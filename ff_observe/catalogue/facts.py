"""What is known of the platform besides its counts: whether it answers, its licence, its versions, its features."""

from ff_observe.catalogue.model import Kind, Metric

LIMITS = {
    "users": "Users",
    "teams": "Teams",
    "instances": "Instances",
    "devices": "Devices",
    "mqtt_clients": "MQTT clients",
}
"""What a licence limits, with the title of each."""

UP = Metric(
    "flowfuse_up",
    "Platform's database",
    "Whether the platform's database answered the last time it was asked (1) or not (0): the same as "
    "`flowfuse_database_up`. Whether FlowFuse itself answers is `flowfuse_http_up`.",
)
DATABASE_UP = Metric(
    "flowfuse_database_up",
    "Database",
    "Whether the platform's database answered the last time it was asked (1) or not (0).",
)
INFO = Metric(
    "flowfuse_info",
    "Platform",
    "The address of the platform, `base_url` in flowforge.yml without user and password; the value is always 1. Absent "
    "where the file names none.",
    labels=("base_url",),
    kind=Kind.INFO,
)
HTTP_UP = Metric(
    "flowfuse_http_up",
    "FlowFuse",
    "Whether FlowFuse itself answered over HTTP the last time it was asked (1) or not (0). Absent where neither "
    "`base_url` nor `probe_url` names its address.",
)
HTTP_DURATION = Metric(
    "flowfuse_http_duration_seconds",
    "Time FlowFuse takes to answer",
    "How long FlowFuse took to answer over HTTP, from name resolution to the end of the answer. Absent while it does "
    "not answer.",
    "s",
)
INITIALISED = Metric(
    "flowfuse_initialised",
    "Set-up",
    "Whether the platform's set-up has been completed (1) or not (0).",
)
LICENSE_ACTIVE = Metric(
    "flowfuse_license_active",
    "Licence",
    "Whether a valid licence is loaded (1) or not (0). An expired licence is still loaded.",
)
LICENSE_INFO = Metric(
    "flowfuse_license_info",
    "Licence type and tier",
    "The licence that is loaded; the value is always 1.",
    labels=("license_id", "license_type", "tier"),
    kind=Kind.INFO,
)
LICENSE_EXPIRY = Metric(
    "flowfuse_license_expiry_timestamp_seconds",
    "Licence expiry",
    "When the licence expires, in seconds since 1970. From then on FlowFuse 2.8 and later refuses new devices, and new "
    "and suspended instances do not start; at the next 02:00 it suspends all running ones.",
    "s",
)
LICENSE_LIMIT = Metric(
    "flowfuse_license_limit",
    "Limits of the licence",
    "How many of a resource the licence, or FlowFuse without one, allows. With a licence FlowFuse permits more and "
    "audits it; without one it refuses more. Without `devices`, the limit of `instances` covers devices too.",
    labels=("resource",),
)
LICENSE_USAGE = Metric(
    "flowfuse_license_usage",
    "Usage of each limit",
    "How many of a resource are in use, counted as the limit of the same `resource` counts them.",
    labels=("resource",),
)
PLATFORM_INFO = Metric(
    "flowfuse_platform_info",
    "Versions of the platform",
    "Versions and driver of the platform, empty where unknown; the value is always 1.",
    labels=("version", "nodejs_version", "driver"),
    kind=Kind.INFO,
)
FEATURE_ENABLED = Metric(
    "flowfuse_feature_enabled",
    "Features configured",
    "Whether a feature is configured in flowforge.yml (1) or not (0).",
    labels=("feature",),
    label_values=("broker", "file_store", "email"),
    value_titles={"broker": "Broker", "file_store": "File store", "email": "Email"},
)

FACTS: tuple[Metric, ...] = (
    INFO,
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
