"""FlowFuse / Fleet: what a ping collector knows of all platforms that ping it, and how the collector is doing."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import collector, fleet, process
from ff_observe.catalogue.model import Metric, in_text
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.colors import REASONS, VERSIONS
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.queries import Query, counted, of

EMPTY = "no collector, or not counted yet"
TOO_FEW = "too few platforms to show"

ENABLED = 'enabled="true"'
IN_A_DAY, IN_A_MONTH = 'window="1d"', 'window="30d"'


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-fleet",
        "All platforms that ping this collector: how many, which versions, what they run; and the collector itself.",
        collector.BUILD_INFO,
        [
            Row("", _now()),
            Row("Platforms", _platforms()),
            Row("What they run", _resources()),
            Row("The collector", _collector()),
        ],
    )


def _now() -> list[p.Panel]:
    refused, accepted = (
        f"sum(increase({of(metric)}[$__range]))" for metric in (collector.PINGS_REFUSED, collector.PINGS_ACCEPTED)
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
            collector.PINGS_REFUSED.help + " As a share of all in the time range shown.",
            unit=p.SHARE_UNIT,
            decimals=1,
            steps=[(None, p.GOOD), (0.01, p.MILD), (0.05, p.WORST)],
            empty="nothing was received",
        ),
        p.number(
            collector.STORE_UP.title,
            f"min({of(collector.STORE_UP)})",
            collector.STORE_UP.help,
            unit="short",
            mappings={"0": ("failing", p.WORST), "1": ("stores", p.GOOD)},
            empty="no ping has come yet",
        ),
        p.number(
            fleet.TIMESTAMP.title,
            f"1000 * min({of(fleet.TIMESTAMP)})",
            fleet.TIMESTAMP.help,
            unit=p.AGO_UNIT,
            empty=EMPTY,
        ),
    ]


def whole_fleet(vector: str, by: str = "") -> str:
    """The whole fleet. Collectors of one job are taken for replicas on one store, which all count the same platforms;
    only those of different jobs add up."""
    each = f"max by (job{f', {by}' if by else ''}) ({vector})"
    return f"sum by ({by}) ({each})" if by else f"sum({each})"


def _of_all(metric: Metric, *matchers: str, by: str = "") -> str:
    return whole_fleet(of(metric, *matchers), by)


def _platforms() -> list[p.Panel]:
    with_state = f"max by (job, feature, enabled) ({of(fleet.BY_FEATURE)})"
    return [
        p.graph(
            fleet.PLATFORMS.title,
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
            fleet.BY_VERSION.title,
            [Query(_of_all(fleet.BY_VERSION, by="version"), "{{version}}")],
            fleet.BY_VERSION.help,
            unit=p.COUNT_UNIT,
            axis="platforms",
            colors={**VERSIONS, "other": p.QUIET},
            stacked=True,
            decimals=0,
            empty=TOO_FEW,
        ),
        _by("Versions now", "version", fleet.BY_VERSION, width=5),
        _by(fleet.BY_NODEJS_VERSION.title, "version", fleet.BY_NODEJS_VERSION, width=4),
        _by(fleet.BY_DRIVER.title, "driver", fleet.BY_DRIVER, width=6),
        _by(fleet.BY_LICENSE_TYPE.title, "license_type", fleet.BY_LICENSE_TYPE, width=4),
        p.shares(
            fleet.BY_FEATURE.title,
            Query(
                f"{_of_all(fleet.BY_FEATURE, ENABLED, by='feature')} / sum by (feature) ({with_state})",
                "{{feature}}",
            ),
            fleet.BY_FEATURE.help,
            unit=p.SHARE_UNIT,
            width=5,
            maximum=1,
            names=fleet.BY_FEATURE.value_titles,
            empty=TOO_FEW,
        ),
        p.graph(
            fleet.FINDINGS.title,
            [Query(f"{_of_all(fleet.FINDINGS, by='rule')} > 0", "{{rule}}")],
            f"{fleet.FINDINGS.help} `ff-observe fleet quality` lists them.",
            unit=p.COUNT_UNIT,
            axis="findings",
            width=24,
            height=6,
            colors={
                "no_pings": p.WORST,
                "missing": p.BAD,
                "late": p.MILD,
                "crowd": "light-purple",
                "crowd_of_few_senders": "purple",
                "unknown_value": p.NEUTRAL,
            },
            stacked=True,
            bars=True,
            decimals=0,
            empty="nothing doubtful in this time",
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
    def at_rank(rank: str) -> str:
        matcher = f'rank="{rank}"'
        return f"max by (resource) ({of(fleet.RESOURCES_PER_PLATFORM, matcher)})"

    return [
        t.rows(
            fleet.RESOURCES.title,
            [
                _of_all(fleet.RESOURCES, by="resource"),
                _of_all(fleet.REPORTING, by="resource"),
                *(at_rank(rank) for rank in ("0.5", "0.9", "0.99")),
            ],
            [
                t.Column("resource", "Resource", mappings=p.titled(fleet.RESOURCE_TITLES)),
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
        _sums("Hosted instances and devices", "instances", "devices"),
        _sums("Users and teams", "users", "teams", height=9),
    ]


def _sums(title: str, first: str, second: str, *, height: int = p.GRAPH_HEIGHT) -> p.Panel:
    words = {resource: in_text(fleet.RESOURCE_TITLES[resource]) for resource in (first, second)}
    return p.graph(
        title,
        [Query(_of_all(fleet.RESOURCES, f'resource="{resource}"'), words[resource]) for resource in words],
        fleet.RESOURCES.help,
        unit=p.COUNT_UNIT,
        axis=", ".join(words.values()),
        width=8,
        height=height,
        decimals=1,
        colors={words[first]: p.NEUTRAL, words[second]: "purple"},
        empty=TOO_FEW,
    )


def _collector() -> list[p.Panel]:
    buckets = f"sum by (le) (rate({of(collector.COMMIT_DURATION.name + '_bucket')}[$__rate_interval]))"
    pings, commits = (
        f"sum(rate({of(collector.COMMIT_PINGS.name + part)}[$__rate_interval]))" for part in ("_sum", "_count")
    )
    return [
        p.graph(
            collector.PINGS_ACCEPTED.title,
            [
                Query(
                    f"round(sum by (outcome) (increase({of(collector.PINGS_ACCEPTED)}[$__rate_interval])))",
                    "{{outcome}}",
                )
            ],
            collector.PINGS_ACCEPTED.help + " In steps of an hour or longer.",
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
            collector.PINGS_REFUSED.title,
            [
                Query(
                    f"round(sum by (reason) (increase({of(collector.PINGS_REFUSED)}[$__rate_interval]))) > 0",
                    "{{reason}}",
                )
            ],
            collector.PINGS_REFUSED.help + " In steps of an hour or longer.",
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
            collector.COMMIT_DURATION.title,
            [
                Query(f"histogram_quantile(0.5, {buckets})", "median"),
                Query(f"histogram_quantile(0.99, {buckets})", "99th percentile"),
            ],
            collector.COMMIT_DURATION.help,
            unit=p.SECONDS_UNIT,
            width=8,
            colors={"median": p.NEUTRAL, "99th percentile": "purple"},
            empty="nothing was stored in this time",
        ),
        p.graph(
            "Load",
            [
                counted(collector.WAITING),
                counted(collector.CONNECTIONS),
                Query(f"{pings} / {commits}", in_text(collector.COMMIT_PINGS.title)),
            ],
            f"{collector.WAITING.help} {collector.CONNECTIONS.help} {collector.COMMIT_PINGS.help}",
            unit=p.COUNT_UNIT,
            axis="pings, connections",
            colors={
                in_text(collector.WAITING.title): p.BAD,
                in_text(collector.CONNECTIONS.title): p.NEUTRAL,
                in_text(collector.COMMIT_PINGS.title): "purple",
            },
            empty=EMPTY,
        ),
        p.graph(
            "Oddities",
            [
                Query(
                    f"round(sum by (reason) (increase({of(collector.CONNECTIONS_CLOSED)}[$__rate_interval]))) > 0",
                    "closed: {{reason}}",
                ),
                Query(
                    f"round(sum by (field) (increase({of(collector.UNKNOWN_FIELDS)}[$__rate_interval]))) > 0",
                    "unknown field: {{field}}",
                ),
                Query(
                    f"round(sum(increase({of(collector.PRUNED)}[$__rate_interval]))) > 0",
                    in_text(collector.PRUNED.title),
                ),
            ],
            f"{collector.CONNECTIONS_CLOSED.help} {collector.UNKNOWN_FIELDS.help} {collector.PRUNED.help}",
            unit=p.COUNT_UNIT,
            axis="occurrences",
            colors={
                "closed: too_slow": p.MILD,
                "closed: too_many": p.BAD,
                "/^unknown field/": "purple",
                in_text(collector.PRUNED.title): p.QUIET,
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
                f"max by (instance, version, store) ({of(collector.BUILD_INFO)})",
                f"1000 * max by (instance) ({of(process.START)})",
                f"1000 * max by (instance) ({of(collector.KEY_CREATED)})",
                f"1000 * max by (instance) ({of(collector.ROLLED_UP)})",
                f"1000 * max by (instance) ({of(collector.COPIED)})",
                f"max by (instance) ({of(collector.FOLD_DURATION)})",
                f"min by (instance) ({of(collector.FAILOVER_SAFE)})",
                f"max by (instance) ({of(collector.PRIVACY_SPENT)})",
                f"max by (instance) ({of(collector.PRIVACY_BUDGET)})",
            ],
            [
                t.Column("instance", "Instance"),
                t.Column("version", "ff-observe", width=95),
                t.Column("store", "Store", width=100),
                t.Column("Value #B", "Started", unit=p.MINUTE_UNIT, width=150),
                t.Column("Value #C", "Key made", unit=p.MINUTE_UNIT, width=150),
                t.Column("Value #D", "Rolled up until", unit=p.MINUTE_UNIT, width=150),
                t.Column("Value #E", "Copied until", unit=p.MINUTE_UNIT, width=150),
                t.Column("Value #F", "To roll up", unit="s", width=85),
                t.Column(
                    "Value #G",
                    "Fail-over",
                    width=115,
                    mappings={"0": ("loses pings", p.WORST), "1": ("safe", p.GOOD)},
                ),
                t.Column("Value #H", "ε spent", unit="short", width=75),
                t.Column("Value #I", "ε budget", unit="short", width=80),
            ],
            " ".join(
                metric.help
                for metric in (
                    collector.BUILD_INFO,
                    collector.KEY_CREATED,
                    collector.ROLLED_UP,
                    collector.COPIED,
                    collector.FOLD_DURATION,
                    collector.FAILOVER_SAFE,
                    collector.PRIVACY_SPENT,
                    collector.PRIVACY_BUDGET,
                )
            ),
            height=4,
            empty=EMPTY,
        ),
    ]
