"""The metrics of the fleet whose pings a collector has (`flowfuse_fleet_*`)."""

from ff_observe.catalogue.counts import COUNTS
from ff_observe.catalogue.facts import FEATURE_ENABLED
from ff_observe.catalogue.model import Metric, resource_titles
from ff_observe.catalogue.quality import RULES

WINDOWS = {"1d": 1, "7d": 7, "30d": 30}  # in days, ascending

PLATFORMS = Metric(
    "flowfuse_fleet_platforms",
    "Platforms that pinged",
    "Platforms that pinged within the last day, 7 days and 30 days. A window is absent where it, or its difference "
    "from a larger one, is of fewer than `fleet.k` platforms.",
    "{platform}",
    ("window",),
    label_values=tuple(WINDOWS),
)
SILENT = Metric(
    "flowfuse_fleet_silent_platforms",
    "Silent platforms",
    "Platforms that pinged within the last 30 days, but not within `fleet.silent_after_days`. Absent where they are "
    "fewer than `fleet.k`, though not for 0.",
    "{platform}",
)


def _by(field: str, title: str, meaning: str, label: str) -> tuple[Metric, Metric]:
    """Of the last 30 days, and of the last day that is over."""
    month, day = "Platforms of the last 30 days by", "Platforms that pinged on the last day that is over (UTC) by"
    return (
        Metric(f"flowfuse_fleet_platforms_by_{field}", title, f"{month} {meaning}", "{platform}", (label,)),
        Metric(
            f"flowfuse_fleet_daily_platforms_by_{field}", f"{title} by day", f"{day} {meaning}", "{platform}", (label,)
        ),
    )


BY_VERSION, DAILY_BY_VERSION = _by(
    "version",
    "FlowFuse versions",
    "their FlowFuse version; rare ones, and those unlike a release, are `other`.",
    "version",
)
BY_NODEJS_VERSION, DAILY_BY_NODEJS_VERSION = _by(
    "nodejs_version",
    "Node versions",
    "the major version of Node.js that runs FlowFuse; rare ones are `other`.",
    "version",
)
BY_DRIVER, DAILY_BY_DRIVER = _by(
    "driver", "Drivers", "their driver; rare ones, and those that are not FlowFuse's, are `other`.", "driver"
)
BY_LICENSE_TYPE, DAILY_BY_LICENSE_TYPE = _by(
    "license_type", "Licence types", "the type of their licence; rare ones are `other`.", "license_type"
)
BY_FEATURE = Metric(
    "flowfuse_fleet_platforms_by_feature",
    "Features enabled",
    "Platforms of the last 30 days by whether a feature is enabled; a state that few platforms share is `other`.",
    "{platform}",
    ("feature", "enabled"),
    value_titles=FEATURE_ENABLED.value_titles,
)
RESOURCE_TITLES = resource_titles(COUNTS)
"""The counts of the ping under the names of their metrics, with their titles."""

RESOURCES = Metric(
    "flowfuse_fleet_resources",
    "Resources of the fleet",
    "Sum of a count over the platforms of the last 30 days. Absent where fewer than `fleet.k` platforms have more "
    "than 0 of it, or one dominates.",
    labels=("resource",),
    value_titles=RESOURCE_TITLES,
)
RESOURCES_PER_PLATFORM = Metric(
    "flowfuse_fleet_resources_per_platform",
    "Resources per platform",
    "What a platform has of a count at the `rank` 0.5 (the median), 0.9 and 0.99 of the platforms of the last 30 days. "
    "Each is the mean over `fleet.k` platforms around that rank, and absent where one of them dominates or there are "
    "too few.",
    labels=("resource", "rank"),
    value_titles=RESOURCE_TITLES,
)
REPORTING = Metric(
    "flowfuse_fleet_reporting_platforms",
    "Platforms reporting",
    "Platforms of the last 30 days whose ping has this count. Absent where its sum is.",
    "{platform}",
    ("resource",),
)
FINDINGS = Metric(
    "flowfuse_fleet_findings",
    "Doubtful yesterday",
    "What is doubtful of the last whole day (UTC), by the rule of data quality. A finding that rests on fewer than "
    "`fleet.k` platforms is not counted. Absent while days before today are still to be rolled up.",
    "{finding}",
    ("rule",),
    label_values=tuple(rule.name for rule in RULES),
    value_titles={rule.name: rule.title for rule in RULES},
)
TIMESTAMP = Metric(
    "flowfuse_fleet_timestamp_seconds",
    "Fleet counted",
    "When the fleet was last counted, in seconds since 1970.",
    "s",
)

DAILY_TIMESTAMP = Metric(
    "flowfuse_fleet_daily_timestamp_seconds",
    "Day counted",
    "When the day ended that `flowfuse_fleet_daily_…` and `flowfuse_fleet_changed_platforms` are of, in seconds since "
    "1970: the last day that is over (UTC).",
    "s",
)
DAILY_BY_FIRST_MONTH = Metric(
    "flowfuse_fleet_daily_platforms_by_first_month",
    "Retention",
    "Platforms that pinged on the last day that is over (UTC) by the month of their first ping, as `2026-03`; months "
    "of few platforms are `other`.",
    "{platform}",
    ("month",),
)
CHANGED = Metric(
    "flowfuse_fleet_changed_platforms",
    "New and lost platforms",
    "Platforms that pinged first (`new`), again after more than 30 days (`returning`), or have not done so for 30 days "
    "(`lost`), on the last day that is over (UTC), or within the 30 days that end with it. Absent where they, or those "
    "that did not, are fewer than `fleet.k`, though not for 0; then one more is absent, which would tell them.",
    "{platform}",
    ("change", "window"),
)

DAILY: tuple[Metric, ...] = (
    DAILY_TIMESTAMP,
    DAILY_BY_VERSION,
    DAILY_BY_NODEJS_VERSION,
    DAILY_BY_DRIVER,
    DAILY_BY_LICENSE_TYPE,
    DAILY_BY_FIRST_MONTH,
    CHANGED,
)
"""Of the last day that is over, from its roll-ups."""

FLEET: tuple[Metric, ...] = (
    TIMESTAMP,
    PLATFORMS,
    SILENT,
    BY_VERSION,
    BY_NODEJS_VERSION,
    BY_DRIVER,
    BY_LICENSE_TYPE,
    BY_FEATURE,
    REPORTING,
    RESOURCES,
    RESOURCES_PER_PLATFORM,
    *DAILY,
    FINDINGS,
)
