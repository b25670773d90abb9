"""FlowFuse / Fleet: what a ping collector knows of all platforms that ping it, and how the collector is doing."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import fleet
from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.colors import REASONS, VERSIONS
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.queries import Query, of, total

EMPTY = "no collector, or not counted yet"
TOO_FEW = "too few platforms to show"

_TITLES: p.Told = {name: (words, None) for name, words in fleet.RESOURCE_TITLES.items()}

ENABLED = 'enabled="true"'
IN_A_DAY, IN_A_MONTH = 'window="1d"', 'window="30d"'


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-fleet",
        "All platforms that ping this collector: how many, which versions, what they run; and the collector itself.",
        fleet.BUILD_INFO,
        [
            Row("", _now()),
            Row("Platforms", _platforms()),
            Row("What they run", _resources()),
            Row("The collector", _collector()),
        ],
    )


def _now() -> list[p.Panel]:
    refused, accepted = (
        f"sum(increase({of(metric)}[$__range]))" for metric in (fleet.PINGS_REFUSED, fleet.PINGS_ACCEPTED)
    )
    return [
        p.number(
            "Seen in 30 days",
            _of_all(fleet.PLATFORMS, IN_A_MONTH),
            fleet.PLATFORMS.help,
            unit=p.COUNT_UNIT,
            empty=EMPTY,
        ),
        p.number(
            "Seen today",
            _of_all(fleet.PLATFORMS, IN_A_DAY),
            fleet.PLATFORMS.help,
            unit=p.COUNT_UNIT,
            empty=EMPTY,
        ),
        p.number(
            "Silent",
            _of_all(fleet.SILENT),
            fleet.SILENT.help,
            unit=p.COUNT_UNIT,
            empty=TOO_FEW,
        ),
        p.number(
            "Refused",
            f"{refused} / ({refused} + {accepted} > 0)",
            fleet.PINGS_REFUSED.help + " As a share of all in the time range shown.",
            unit=p.SHARE_UNIT,
            decimals=1,
            steps=[(None, p.GOOD), (0.01, p.MILD), (0.05, p.WORST)],
            empty="nothing was received",
        ),
        p.number(
            "Store",
            f"min({of(fleet.STORE_UP)})",
            fleet.STORE_UP.help,
            unit="short",
            told={"0": ("failing", p.WORST), "1": ("stores", p.GOOD)},
            empty="no ping has come yet",
        ),
        p.number(
            "Fleet counted",
            f"1000 * min({of(fleet.TIMESTAMP)})",
            fleet.TIMESTAMP.help,
            unit=p.AGO_UNIT,
            empty=EMPTY,
        ),
    ]


def _of_all(metric: Metric, *matchers: str, by: str = "") -> str:
    """The whole fleet. Collectors of one job are taken for replicas on one store, which all count the same platforms;
    only those of different jobs add up."""
    each = f"max by (job{f', {by}' if by else ''}) ({of(metric, *matchers)})"
    return f"sum by ({by}) ({each})" if by else f"sum({each})"


def _platforms() -> list[p.Panel]:
    with_state = f"max by (job, feature, enabled) ({of(fleet.BY_FEATURE)})"
    return [
        p.graph(
            "Platforms that pinged",
            [
                Query(_of_all(fleet.PLATFORMS, by="window"), "within {{window}}"),
                Query(_of_all(fleet.SILENT), "silent"),
            ],
            f"{fleet.PLATFORMS.help} {fleet.SILENT.help}",
            unit=p.COUNT_UNIT,
            axis="platforms",
            colors={
                "within 1d": p.NEUTRAL,
                "within 7d": "purple",
                "within 30d": "super-light-blue",
                "silent": p.BAD,
            },
            decimals=0,
            empty=EMPTY,
        ),
        p.graph(
            "FlowFuse versions",
            [Query(_of_all(fleet.BY_VERSION, by="version"), "{{version}}")],
            fleet.BY_VERSION.help,
            unit=p.COUNT_UNIT,
            axis="platforms",
            colors={**VERSIONS, "other": p.QUIET},
            stacked=True,
            decimals=0,
            empty=TOO_FEW,
        ),
        _by("Versions now", "version", fleet.BY_VERSION, width=6),
        _by("Drivers", "driver", fleet.BY_DRIVER, width=6),
        _by("Licence types", "license_type", fleet.BY_LICENSE_TYPE, width=6),
        p.shares(
            "Features enabled",
            Query(
                f"{_of_all(fleet.BY_FEATURE, ENABLED, by='feature')} / sum by (feature) ({with_state})",
                "{{feature}}",
            ),
            fleet.BY_FEATURE.help,
            unit=p.SHARE_UNIT,
            width=6,
            maximum=1,
            names={"file_store": "file store"},
            empty=TOO_FEW,
        ),
    ]


def _by(title: str, label: str, metric: Metric, *, width: int) -> p.Panel:
    return p.shares(
        title,
        Query(f"sort_desc({_of_all(metric, by=label)})", f"{{{{{label}}}}}"),
        metric.help,
        unit=p.COUNT_UNIT,
        width=width,
        empty=TOO_FEW,
    )


def _resources() -> list[p.Panel]:
    def quantile(q: str) -> str:
        return f"max by (resource) ({of(fleet.RESOURCES_PER_PLATFORM, q)})"

    return [
        t.rows(
            "Resources of the fleet",
            [
                _of_all(fleet.RESOURCES, by="resource"),
                _of_all(fleet.REPORTING, by="resource"),
                *(quantile(f'quantile="{q}"') for q in ("0.5", "0.9", "0.99")),
            ],
            [
                t.Column("resource", "Resource", told=_TITLES),
                t.Column("Value #A", "In all", unit=p.COUNT_UNIT, width=85),
                t.Column("Value #B", "Reporting", unit=p.COUNT_UNIT, width=95),
                t.Column("Value #C", "Median", unit=p.COUNT_UNIT, width=80, decimals=0),
                t.Column("Value #D", "Of 90 %", unit=p.COUNT_UNIT, width=85, decimals=0),
                t.Column("Value #E", "Of 99 %", unit=p.COUNT_UNIT, width=85, decimals=0),
            ],
            f"{fleet.RESOURCES.help} How many platforms report it, and what half of them, 90 % and 99 % have at most. "
            + fleet.RESOURCES_PER_PLATFORM.help,
            width=16,
            height=17,
            sort_by="In all",
            descending=True,
            empty=TOO_FEW,
        ),
        p.graph(
            "Hosted instances and devices",
            [
                Query(_of_all(fleet.RESOURCES, 'resource="instances"'), "hosted instances"),
                Query(_of_all(fleet.RESOURCES, 'resource="devices"'), "devices"),
            ],
            fleet.RESOURCES.help,
            unit=p.COUNT_UNIT,
            axis="instances, devices",
            width=8,
            decimals=1,
            colors={"hosted instances": p.NEUTRAL, "devices": "purple"},
            empty=TOO_FEW,
        ),
        p.graph(
            "Users and teams",
            [
                Query(_of_all(fleet.RESOURCES, 'resource="users"'), "users"),
                Query(_of_all(fleet.RESOURCES, 'resource="teams"'), "teams"),
            ],
            fleet.RESOURCES.help,
            unit=p.COUNT_UNIT,
            axis="users, teams",
            width=8,
            height=9,
            decimals=1,
            colors={"users": p.NEUTRAL, "teams": "purple"},
            empty=TOO_FEW,
        ),
    ]


def _collector() -> list[p.Panel]:
    buckets = f"sum by (le) (rate({of(fleet.COMMIT_DURATION.name + '_bucket')}[$__rate_interval]))"
    pings, commits = (
        f"sum(rate({of(fleet.COMMIT_PINGS.name + part)}[$__rate_interval]))" for part in ("_sum", "_count")
    )
    return [
        p.graph(
            "Pings accepted",
            [Query(f"round(sum by (outcome) (increase({of(fleet.PINGS_ACCEPTED)}[$__rate_interval])))", "{{outcome}}")],
            fleet.PINGS_ACCEPTED.help + " In steps of an hour or longer.",
            unit=p.COUNT_UNIT,
            axis="pings",
            width=8,
            colors={"stored": p.GOOD, "duplicate": p.QUIET},
            stacked=True,
            bars=True,
            decimals=0,
            interval="1h",
            empty=EMPTY,
        ),
        p.graph(
            "Requests refused",
            [
                Query(
                    f"round(sum by (reason) (increase({of(fleet.PINGS_REFUSED)}[$__rate_interval]))) > 0", "{{reason}}"
                )
            ],
            fleet.PINGS_REFUSED.help + " In steps of an hour or longer.",
            unit=p.COUNT_UNIT,
            axis="requests",
            width=8,
            colors=REASONS,
            stacked=True,
            bars=True,
            decimals=0,
            interval="1h",
            empty="nothing was refused in this time",
        ),
        p.graph(
            "Time to store",
            [
                Query(f"histogram_quantile(0.5, {buckets})", "median"),
                Query(f"histogram_quantile(0.99, {buckets})", "99th percentile"),
            ],
            fleet.COMMIT_DURATION.help,
            unit=p.SECONDS_UNIT,
            width=8,
            colors={"median": p.NEUTRAL, "99th percentile": "purple"},
            empty="nothing was stored in this time",
        ),
        p.graph(
            "Load",
            [
                Query(total(fleet.WAITING), "pings waiting"),
                Query(total(fleet.CONNECTIONS), "connections"),
                Query(f"{pings} / {commits}", "pings per commit"),
            ],
            f"{fleet.WAITING.help} {fleet.CONNECTIONS.help} {fleet.COMMIT_PINGS.help}",
            unit=p.COUNT_UNIT,
            axis="pings, connections",
            colors={"pings waiting": p.BAD, "connections": p.NEUTRAL, "pings per commit": "purple"},
            empty=EMPTY,
        ),
        p.graph(
            "Oddities",
            [
                Query(
                    f"round(sum by (reason) (increase({of(fleet.CONNECTIONS_CLOSED)}[$__rate_interval]))) > 0",
                    "closed: {{reason}}",
                ),
                Query(
                    f"round(sum by (field) (increase({of(fleet.UNKNOWN_FIELDS)}[$__rate_interval]))) > 0",
                    "unknown field: {{field}}",
                ),
                Query(f"round(sum(increase({of(fleet.PRUNED)}[$__rate_interval]))) > 0", "pings past retention"),
            ],
            f"{fleet.CONNECTIONS_CLOSED.help} {fleet.UNKNOWN_FIELDS.help} {fleet.PRUNED.help}",
            unit=p.COUNT_UNIT,
            axis="occurrences",
            colors={
                "closed: too_slow": p.MILD,
                "closed: too_many": p.BAD,
                "/^unknown field/": "purple",
                "pings past retention": p.QUIET,
            },
            stacked=True,
            bars=True,
            decimals=0,
            interval="1h",
            empty="nothing odd happened in this time",
        ),
        t.rows(
            "Collectors",
            [
                f"max by (instance, version, store) ({of(fleet.BUILD_INFO)})",
                f"1000 * max by (instance) ({of(fleet.START)})",
                f"1000 * max by (instance) ({of(fleet.KEY_CREATED)})",
            ],
            [
                t.Column("instance", "Instance"),
                t.Column("version", "ff-observe", width=160),
                t.Column("store", "Store", width=160),
                t.Column("Value #B", "Started", unit=p.MINUTE_UNIT, width=200),
                t.Column("Value #C", "Hashing key made", unit=p.MINUTE_UNIT, width=200),
            ],
            f"{fleet.BUILD_INFO.help} {fleet.KEY_CREATED.help}",
            height=4,
            empty=EMPTY,
        ),
    ]
