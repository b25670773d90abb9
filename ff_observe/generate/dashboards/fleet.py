"""FlowFuse / Fleet: what a ping collector knows of all platforms that ping it, and how the collector is doing."""

from ff_observe.catalogue import collector, fleet, process
from ff_observe.catalogue.model import Metric, in_text
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.colors import REASONS, VERSIONS
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import Query, counted, events, largest_first, of

EMPTY = "no collector, or not counted yet"
TOO_FEW = "too few platforms to show"

IN_A_DAY, IN_A_MONTH = 'window="1d"', 'window="30d"'


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-fleet",
        "All platforms that ping this collector: how many, which versions, what they run; and the collector itself.",
        collector.BUILD_INFO,
        {"": _now(), "Platforms": _platforms(), "What they run": _resources(), "The collector": _collector()},
        empty=EMPTY,
    )


def _now() -> list[p.Panel]:
    refused, accepted = (
        f"sum(increase({of(metric)}[$__range]))" for metric in (collector.PINGS_REFUSED, collector.PINGS_ACCEPTED)
    )
    return [
        p.number("Seen in 30 days", _of_all(fleet.PLATFORMS, IN_A_MONTH), fleet.PLATFORMS.help),
        p.number("Seen today", _of_all(fleet.PLATFORMS, IN_A_DAY), fleet.PLATFORMS.help),
        p.number("Silent", _of_all(fleet.SILENT), fleet.SILENT.help, empty=TOO_FEW),
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
            collector.STORE_UP,
            f"min({of(collector.STORE_UP)})",
            mappings={"0": ("failing", p.WORST), "1": ("stores", p.GOOD)},
            empty="no ping has come yet",
        ),
        p.number(fleet.TIMESTAMP, f"1000 * min({of(fleet.TIMESTAMP)})", unit=p.AGO_UNIT),
    ]


def whole_fleet(vector: str, by: str = "") -> str:
    """The whole fleet. Collectors of one job are taken for replicas on one store, which all count the same platforms;
    only those of different jobs add up."""
    each = f"max by (job{f', {by}' if by else ''}) ({vector})"
    return f"sum by ({by}) ({each})" if by else f"sum({each})"


def _of_all(metric: Metric, *matchers: str, by: str = "") -> str:
    return whole_fleet(of(metric, *matchers), by)


def _each(metric: Metric) -> Query:
    (label,) = metric.labels
    return Query(_of_all(metric, by=label), f"{{{{{label}}}}}")


def _platforms() -> list[p.Panel]:
    with_state = f"max by (job, feature, enabled) ({of(fleet.BY_FEATURE)})"
    enabled = _of_all(fleet.BY_FEATURE, 'enabled="true"', by="feature")
    return [
        p.graph(
            fleet.PLATFORMS,
            [
                Query(_of_all(fleet.PLATFORMS, by="window"), "within {{window}}"),
                Query(_of_all(fleet.SILENT), "silent"),
            ],
            fleet.SILENT.help,
            axis="platforms",
            colors={"within 1d": p.NEUTRAL, "within 7d": "purple", "within 30d": p.PALE, "silent": p.BAD},
        ),
        p.graph(
            fleet.BY_VERSION,
            [_each(fleet.BY_VERSION)],
            axis="platforms",
            colors={**VERSIONS, "other": p.QUIET},
            stacked=True,
            empty=TOO_FEW,
        ),
        p.shares("Versions now", largest_first(_each(fleet.BY_VERSION)), fleet.BY_VERSION.help, width=5, empty=TOO_FEW),
        *(
            p.shares(metric, largest_first(_each(metric)), width=width, empty=TOO_FEW)
            for metric, width in ((fleet.BY_NODEJS_VERSION, 4), (fleet.BY_DRIVER, 6), (fleet.BY_LICENSE_TYPE, 4))
        ),
        p.shares(
            fleet.BY_FEATURE,
            Query(f"{enabled} / sum by (feature) ({with_state})", "{{feature}}"),
            unit=p.SHARE_UNIT,
            width=5,
            maximum=1,
            names=fleet.BY_FEATURE.value_titles,
            empty=TOO_FEW,
        ),
        p.graph(
            fleet.FINDINGS,
            [Query(f"{_of_all(fleet.FINDINGS, by='rule')} > 0", "{{rule}}")],
            "`ff-observe fleet quality` lists them.",
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
            bars=True,
            empty="nothing doubtful in this time",
        ),
    ]


def _resources() -> list[p.Panel]:
    def at_rank(rank: str) -> str:
        matcher = f'rank="{rank}"'
        return f"max by (resource) ({of(fleet.RESOURCES_PER_PLATFORM, matcher)})"

    return [
        t.rows(
            fleet.RESOURCES,
            [
                t.Column("resource", "Resource", mappings=p.titled(fleet.RESOURCE_TITLES)),
                t.Values(_of_all(fleet.RESOURCES, by="resource"), "In all", unit=p.COUNT_UNIT, width=85),
                t.Values(_of_all(fleet.REPORTING, by="resource"), "Reporting", unit=p.COUNT_UNIT, width=95),
                t.Values(at_rank("0.5"), "Median", unit=p.COUNT_UNIT, width=80, decimals=0),
                t.Values(at_rank("0.9"), "Of 90 %", unit=p.COUNT_UNIT, width=85, decimals=0),
                t.Values(at_rank("0.99"), "Of 99 %", unit=p.COUNT_UNIT, width=85, decimals=0),
            ],
            "How many platforms report it, and what half of them, 90 % and 99 % have at most. "
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
            collector.PINGS_ACCEPTED,
            [events(collector.PINGS_ACCEPTED, "outcome")],
            "In steps of an hour or longer.",
            axis="pings",
            width=8,
            colors={"stored": p.GOOD, "duplicate": p.QUIET},
            bars=True,
            interval="1h",
        ),
        p.graph(
            collector.PINGS_REFUSED,
            [_odd(collector.PINGS_REFUSED, "reason")],
            "In steps of an hour or longer.",
            axis="requests",
            width=8,
            colors=REASONS,
            bars=True,
            interval="1h",
            empty="nothing was refused in this time",
        ),
        p.graph(
            collector.COMMIT_DURATION,
            [
                Query(f"histogram_quantile(0.5, {buckets})", "median"),
                Query(f"histogram_quantile(0.99, {buckets})", "99th percentile"),
            ],
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
            axis="pings, connections",
            colors={
                in_text(collector.WAITING.title): p.BAD,
                in_text(collector.CONNECTIONS.title): p.NEUTRAL,
                in_text(collector.COMMIT_PINGS.title): "purple",
            },
            decimals=None,
        ),
        p.graph(
            "Oddities",
            [
                _odd(collector.CONNECTIONS_CLOSED, "reason", "closed: "),
                _odd(collector.UNKNOWN_FIELDS, "field", "unknown field: "),
                _odd(collector.PRUNED),
            ],
            f"{collector.CONNECTIONS_CLOSED.help} {collector.UNKNOWN_FIELDS.help} {collector.PRUNED.help}",
            axis="occurrences",
            colors={
                "closed: too_slow": p.MILD,
                "closed: too_many": p.BAD,
                "/^unknown field/": "purple",
                in_text(collector.PRUNED.title): p.QUIET,
            },
            bars=True,
            interval="1h",
            empty="nothing odd happened in this time",
        ),
        _collectors(),
    ]


def _odd(counter: Metric, label: str = "", before: str = "") -> Query:
    """What should not grow: only where it did."""
    grown = events(counter, label)
    return Query(f"{grown.expression} > 0", before + grown.legend)


def _collectors() -> p.Panel:
    def each(metric: Metric, of_several: str = "max") -> str:
        return f"{of_several} by (instance) ({of(metric)})"

    def moment(metric: Metric) -> str:
        return f"1000 * {each(metric)}"

    safe = {"0": ("loses pings", p.WORST), "1": ("safe", p.GOOD)}
    columns = {
        process.START: t.Values(moment(process.START), "Started", unit=p.MINUTE_UNIT, width=132),
        collector.KEY_CREATED: t.Values(moment(collector.KEY_CREATED), "Key made", unit=p.MINUTE_UNIT, width=132),
        collector.ROLLED_UP: t.Values(moment(collector.ROLLED_UP), "Rolled up until", unit=p.MINUTE_UNIT, width=132),
        collector.COPIED: t.Values(moment(collector.COPIED), "Copied until", unit=p.MINUTE_UNIT, width=132),
        collector.FOLD_DURATION: t.Values(each(collector.FOLD_DURATION), "To roll up", unit="s", width=85),
        collector.FLEET_MAX_AGE: t.Values(each(collector.FLEET_MAX_AGE), "Oldest count", unit="s", width=105),
        collector.FAILOVER_SAFE: t.Values(each(collector.FAILOVER_SAFE, "min"), "Fail-over", width=90, mappings=safe),
        collector.PRIVACY_SPENT: t.Values(each(collector.PRIVACY_SPENT), "ε spent", unit="short", width=75),
        collector.PRIVACY_BUDGET: t.Values(each(collector.PRIVACY_BUDGET), "ε budget", unit="short", width=80),
    }
    return t.rows(
        "Collectors",
        [
            t.Column("instance", "Instance"),
            t.Column("version", "ff-observe", width=95),
            t.Column("store", "Store", width=90),
            *columns.values(),
        ],
        " ".join(metric.help for metric in (collector.BUILD_INFO, *columns) if metric is not process.START),
        labels_of=f"max by (instance, version, store) ({of(collector.BUILD_INFO)})",
        height=4,
    )
