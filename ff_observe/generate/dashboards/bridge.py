"""FlowFuse / Bridge health: how ff-observe itself is doing."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import bridge, facts, process
from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.queries import Query, named, of, once, total_by

EMPTY = "no data from a bridge"


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-bridge",
        "Is the bridge up, how fresh and how costly are its snapshots, and which readings fail.",
        bridge.BUILD_INFO,
        [Row("", _now()), Row(bridge.SNAPSHOTS.title, _snapshots()), Row("The process", _process())],
        since="now-24h",
    )


def _now() -> list[p.Panel]:
    failing = f"{of(bridge.READING_SUCCESS)} == 0"
    age = f"time() - {of(bridge.SNAPSHOT_TIMESTAMP)}"
    return [
        p.number(
            "Bridge",
            f"min({of('up')})",
            "Whether Prometheus could scrape the bridge the last time it tried. Of several bridges, the worst.",
            unit="short",
            mappings={"0": ("down", p.WORST), "1": ("up", p.GOOD)},
            empty="not scraped: none there, or pushed",
        ),
        p.number(
            facts.UP.title,
            f"min({once(of(facts.UP))})",
            facts.UP.help + " Of several platforms, the worst.",
            unit="short",
            mappings={"0": ("unreachable", p.WORST), "1": ("answers", p.GOOD)},
            empty=EMPTY,
        ),
        p.number(
            "Snapshot age",
            f"max({age})",
            "How old the numbers of the last scrape are. More than a few scrape intervals means they no longer move.",
            unit=p.SECONDS_UNIT,
            decimals=0,
            steps=[(None, p.GOOD), (300, p.MILD), (600, p.WORST)],
            empty=EMPTY,
        ),
        p.number(
            "Failing readings",
            f"count({once(failing, 'reading')}) or 0 * count({of(bridge.READING_SUCCESS)})",
            bridge.READING_SUCCESS.help + " One that fails in several bridges of a platform counts once.",
            unit=p.COUNT_UNIT,
            steps=[(None, p.GOOD), (1, p.WORST)],
            empty=EMPTY,
        ),
        p.number(
            bridge.CONFIG_RELOAD_SUCCESS.title,
            f"min({of(bridge.CONFIG_RELOAD_SUCCESS)})",
            bridge.CONFIG_RELOAD_SUCCESS.help,
            unit="short",
            mappings={"0": ("old one in use", p.BAD), "1": ("as in the file", p.GOOD)},
            empty=EMPTY,
        ),
        p.number(
            "Running for",
            f"time() - max({of(process.START)})",
            process.START.help + " Of several bridges, the youngest.",
            unit=p.SECONDS_UNIT,
            decimals=1,
            empty=EMPTY,
        ),
    ]


def _snapshots() -> list[p.Panel]:
    failing = f"1 - {of(bridge.READING_SUCCESS)}"
    return [
        p.graph(
            bridge.SNAPSHOT_DURATION.title,
            [Query(of(bridge.SNAPSHOT_DURATION), "{{instance}}")],
            bridge.SNAPSHOT_DURATION.help,
            unit=p.SECONDS_UNIT,
            width=8,
            shades=p.NEUTRAL,
            empty=EMPTY,
        ),
        p.graph(
            "Age of the snapshot when scraped",
            [Query(f"timestamp({of(bridge.SNAPSHOT_TIMESTAMP)}) - {of(bridge.SNAPSHOT_TIMESTAMP)}", "{{instance}}")],
            "How old the snapshot was at each scrape: the bridge shares one among all who ask within 5 s.",
            unit=p.SECONDS_UNIT,
            width=8,
            shades=p.NEUTRAL,
            empty=EMPTY,
        ),
        p.graph(
            "Snapshots by outcome",
            [Query(f"sum by (outcome) (60 * rate({of(bridge.SNAPSHOTS)}[$__rate_interval]))", "{{outcome}}")],
            bridge.SNAPSHOTS.help + " Per minute.",
            unit=p.PER_MINUTE_UNIT,
            width=8,
            axis="snapshots",
            colors={"ok": p.GOOD, "partial": p.BAD, "failed": p.WORST},
            stacked=True,
            empty=EMPTY,
        ),
        p.graph(
            "Failing readings",
            [Query(f"sum by (instance) ({once(failing, 'instance', 'reading')})", "{{instance}}")],
            "How many readings of the database failed: the counts that are missing on the other dashboards.",
            unit=p.COUNT_UNIT,
            axis="readings",
            width=8,
            color=p.WORST,
            decimals=0,
            empty=EMPTY,
        ),
        t.rows(
            "What fails now",
            [f"max by (instance, reading) ({of(bridge.READING_SUCCESS)} == 0)"],
            [t.Column("reading", "Reading"), t.Column("instance", "Instance")],
            "Readings that failed in the last snapshot. The log of the bridge says why.",
            width=8,
            empty="every reading of the last snapshot succeeded",
        ),
        p.graph(
            facts.UP.title,
            [Query(of(facts.UP), "{{instance}}")],
            facts.UP.help,
            unit=p.COUNT_UNIT,
            axis="1: answers",
            width=8,
            color=p.GOOD,
            decimals=0,
            maximum=1,
            empty=EMPTY,
        ),
        p.graph(
            bridge.LABEL_VALUES_CAPPED.title,
            [Query(f"{total_by(bridge.LABEL_VALUES_CAPPED, 'reading', 'cap')} > 0", "{{reading}}, {{cap}}")],
            bridge.LABEL_VALUES_CAPPED.help,
            unit=p.COUNT_UNIT,
            axis="values",
            shades=p.NEUTRAL,
            decimals=0,
            empty="every label value is shown as it is",
        ),
        p.graph(
            bridge.AUDIT_LOG_COUNTED.title,
            [Query(of(bridge.AUDIT_LOG_COUNTED), "{{instance}}")],
            bridge.AUDIT_LOG_COUNTED.help,
            unit=p.SHARE_UNIT,
            shades=p.NEUTRAL,
            maximum=1,
            empty="no audit log, or it cannot be read",
        ),
    ]


def _process() -> list[p.Panel]:
    def each(metric: Metric, *labels: str) -> str:
        return once(of(metric), "instance", *labels)

    return [
        p.graph(
            "Scrape time",
            [Query(of("scrape_duration_seconds"), "{{instance}}")],
            "How long Prometheus waited for the bridge. Prometheus gives up after its scrape timeout, 10 s by default.",
            unit=p.SECONDS_UNIT,
            shades=p.NEUTRAL,
            empty="not scraped (pushed over OTLP, for instance)",
        ),
        p.graph(
            process.RESIDENT_MEMORY.title,
            [Query(of(process.RESIDENT_MEMORY), "{{instance}}")],
            process.RESIDENT_MEMORY.help,
            unit=p.BYTES_UNIT,
            shades=p.NEUTRAL,
            empty="not available on this system",
        ),
        p.graph(
            process.CPU.title,
            [Query(f"rate({of(process.CPU)}[$__rate_interval])", "{{instance}}")],
            f"{process.CPU.help} As a share of one processor.",
            unit=p.SHARE_UNIT,
            shades=p.NEUTRAL,
            empty="not available on this system",
        ),
        p.graph(
            process.OPEN_FDS.title,
            [Query(f"{of(process.OPEN_FDS)} / {of(process.MAX_FDS)}", "{{instance}}")],
            f"{process.OPEN_FDS.help} As a share of its limit.",
            unit=p.SHARE_UNIT,
            shades=p.NEUTRAL,
            empty="not available on this system",
        ),
        t.rows(
            "Bridges",
            [
                named(each(bridge.BUILD_INFO, "version", "python_version")),
                f"1000 * {named(each(process.START))}",
                named(each(process.RESIDENT_MEMORY)),
            ],
            [
                t.Column("instance", "Instance"),
                t.Column("name", "Platform"),
                t.Column("version", "ff-observe", width=160),
                t.Column("python_version", "Python", width=160),
                t.Column("Value #B", "Started", unit=p.MINUTE_UNIT, width=200),
                t.Column("Value #C", process.RESIDENT_MEMORY.title, unit=p.BYTES_UNIT, width=180),
            ],
            bridge.BUILD_INFO.help,
            height=4,
            empty=EMPTY,
        ),
    ]
