"""What is known of the platform besides its counts: whether it answers, its licence, its versions, its features."""

from ff_observe.catalogue.model import Metric

UP = Metric("flowfuse_up", "Whether the platform's database answered the last time it was asked (1) or not (0).")
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
    "When the licence expires, in seconds since 1970. FlowFuse suspends every running instance at 02:00 after that.",
    "s",
)
LICENSE_LIMIT = Metric(
    "flowfuse_license_limit",
    "How many of a resource the licence allows. On combined licences `instances` covers hosted instances and devices.",
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
    INITIALISED,
    LICENSE_ACTIVE,
    LICENSE_INFO,
    LICENSE_EXPIRY,
    LICENSE_LIMIT,
    LICENSE_USAGE,
    PLATFORM_INFO,
    FEATURE_ENABLED,
)
