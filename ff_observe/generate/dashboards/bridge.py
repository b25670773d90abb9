"""FlowFuse / Bridge health: how ff-observe itself is doing."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import bridge, facts
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.queries import Query, of

EMPTY = "No bridge is scraped"


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-bridge",
        "Is the bridge up, how fresh and how costly are its snapshots, and which readings fail.",
        bridge.BUILD_INFO,
        [Row("", _now()), Row("Snapshots of the database", _snapshots()), Row("The process", _process())],
        since="now-24h",
    )


def _now() -> list[p.Panel]:
    age = f"time() - {of(bridge.SNAPSHOT_TIMESTAMP)}"
    return [
        p.number(
            "Bridge",
            f"min({of('up')})",
            "Whether Prometheus could scrape the bridge the last time it tried. Of several bridges, the worst.",
            unit="short",
            told={"0": ("down", p.WORST), "1": ("up", p.GOOD)},
            empty="Prometheus knows no bridge",
        ),
        p.number(
            "Database",
            f"min({of(facts.UP)})",
            facts.UP.help + " Of several platforms, the worst.",
            unit="short",
            told={"0": ("unreachable", p.WORST), "1": ("answers", p.GOOD)},
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
            f"count({of(bridge.READING_SUCCESS)} == 0) or 0 * count({of(bridge.READING_SUCCESS)})",
            bridge.READING_SUCCESS.help,
            unit=p.COUNT_UNIT,
            steps=[(None, p.GOOD), (1, p.WORST)],
            empty=EMPTY,
        ),
        p.number(
            "Configuration",
            f"min({of(bridge.CONFIG_RELOAD_SUCCESS)})",
            bridge.CONFIG_RELOAD_SUCCESS.help,
            unit="short",
            told={"0": ("not usable", p.BAD), "1": ("as in the file", p.GOOD)},
            empty=EMPTY,
        ),
        p.number(
            "Up since",
            f"time() - max({of(bridge.PROCESS_START)})",
            bridge.PROCESS_START.help + " Of several bridges, the youngest.",
            unit=p.SECONDS_UNIT,
            decimals=1,
            empty=EMPTY,
        ),
    ]


def _snapshots() -> list[p.Panel]:
    return [
        p.graph(
            "Time to take a snapshot",
            [Query(of(bridge.SNAPSHOT_DURATION), "{{instance}}")],
            bridge.SNAPSHOT_DURATION.help,
            unit=p.SECONDS_UNIT,
            width=8,
            color=p.NEUTRAL,
            axis="seconds",
            empty=EMPTY,
        ),
        p.graph(
            "Age of the snapshot when scraped",
            [Query(f"timestamp({of(bridge.SNAPSHOT_TIMESTAMP)}) - {of(bridge.SNAPSHOT_TIMESTAMP)}", "{{instance}}")],
            "How old the snapshot was at each scrape: the bridge shares one among all who ask within 5 s.",
            unit=p.SECONDS_UNIT,
            width=8,
            color=p.NEUTRAL,
            axis="seconds",
            empty=EMPTY,
        ),
        p.graph(
            "Snapshots by outcome",
            [Query(f"sum by (outcome) (60 * rate({of(bridge.SNAPSHOTS)}[$__rate_interval]))", "{{outcome}}")],
            bridge.SNAPSHOTS.help + " Per minute.",
            unit="cpm",
            width=8,
            axis="per minute",
            colors={"ok": p.GOOD, "partial": p.BAD, "failed": p.WORST},
            stacked=True,
            empty=EMPTY,
        ),
        p.graph(
            "Failing readings",
            [Query(f"(1 - {of(bridge.READING_SUCCESS)}) > 0", "{{reading}}")],
            "Readings of the database that failed: the counts that are missing on the other dashboards.",
            unit=p.COUNT_UNIT,
            width=12,
            axis="failing",
            stacked=True,
            decimals=0,
            empty="No reading failed in this time",
        ),
        p.graph(
            "Database",
            [Query(of(facts.UP), "{{instance}}")],
            facts.UP.help,
            unit=p.COUNT_UNIT,
            width=12,
            axis="0 no answer, 1 answers",
            color=p.GOOD,
            decimals=0,
            maximum=1,
            empty=EMPTY,
        ),
    ]


def _process() -> list[p.Panel]:
    return [
        p.graph(
            "Scrape time",
            [Query(of("scrape_duration_seconds"), "{{instance}}")],
            "How long Prometheus waited for the bridge. Prometheus gives up after its scrape timeout, 10 s by default.",
            unit=p.SECONDS_UNIT,
            width=8,
            axis="seconds",
            color=p.NEUTRAL,
            empty="Not scraped (pushed over OTLP, for instance)",
        ),
        p.graph(
            "Resident memory",
            [Query(of(bridge.PROCESS_RESIDENT_MEMORY), "{{instance}}")],
            bridge.PROCESS_RESIDENT_MEMORY.help,
            unit=p.BYTES_UNIT,
            width=8,
            axis="bytes",
            color=p.NEUTRAL,
            empty="The operating system does not tell",
        ),
        p.rows(
            "Bridges",
            [of(bridge.BUILD_INFO), f"1000 * {of(bridge.PROCESS_START)}"],
            [
                p.Column("instance", "Instance"),
                p.Column("version", "ff-observe", width=110),
                p.Column("python_version", "Python", width=90),
                p.Column("Value #B", "Started", unit=p.MINUTE_UNIT, width=160),
            ],
            bridge.BUILD_INFO.help,
            width=8,
            empty=EMPTY,
        ),
    ]
