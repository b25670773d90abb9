"""FlowFuse / Bridge health: how ff-observe itself is doing."""

from ff_observe.catalogue import bridge, facts, process
from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import Query, named, of, once, per_minute, total_by

NOT_HERE = "not available on this system"


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-bridge",
        "Is the bridge up, how fresh and how costly are its snapshots, and which readings fail.",
        bridge.BUILD_INFO,
        {"": _now(), bridge.SNAPSHOTS.title: _snapshots(), "The process": _process()},
        empty=p.NO_BRIDGE,
        since="now-24h",
    )


def _now() -> list[p.Panel]:
    failing = f"{of(bridge.READING_SUCCESS)} == 0"
    return [
        p.number(
            "Bridge",
            f"min({of('up')})",
            "Whether Prometheus could scrape the bridge the last time it tried. Of several bridges, the worst.",
            mappings={"0": ("down", p.WORST), "1": ("up", p.GOOD)},
            empty="not scraped: none there, or pushed",
        ),
        p.answers(facts.UP, "unreachable"),
        p.number(
            "Snapshot age",
            f"max(time() - {of(bridge.SNAPSHOT_TIMESTAMP)})",
            "How old the numbers of the last scrape are. More than a few scrape intervals means they no longer move.",
            unit=p.SECONDS_UNIT,
            decimals=0,
            steps=[(None, p.GOOD), (300, p.MILD), (600, p.WORST)],
        ),
        p.number(
            "Failing readings",
            f"count({once(failing, 'reading')}) or 0 * count({of(bridge.READING_SUCCESS)})",
            bridge.READING_SUCCESS.help + " One that fails in several bridges of a platform counts once.",
            steps=[(None, p.GOOD), (1, p.WORST)],
        ),
        p.number(
            bridge.CONFIG_RELOAD_SUCCESS,
            f"min({of(bridge.CONFIG_RELOAD_SUCCESS)})",
            mappings={"0": ("old one in use", p.BAD), "1": ("as in the file", p.GOOD)},
        ),
        p.number(
            "Running for",
            f"time() - max({of(process.START)})",
            process.START.help + " Of several bridges, the youngest.",
            unit=p.SECONDS_UNIT,
            decimals=1,
        ),
    ]


def _each(vector: str) -> list[Query]:
    return [Query(vector, "{{instance}}")]


def _snapshots() -> list[p.Panel]:
    failing = f"1 - {of(bridge.READING_SUCCESS)}"
    taken = of(bridge.SNAPSHOT_TIMESTAMP)
    return [
        p.graph(bridge.SNAPSHOT_DURATION, _each(of(bridge.SNAPSHOT_DURATION)), unit=p.SECONDS_UNIT, width=8),
        p.graph(
            "Age of the snapshot when scraped",
            # A scrape has the time at which it began: the snapshot that it waits for is younger.
            _each(f"clamp_min(timestamp({taken}) - {taken}, 0)"),
            "How old the snapshot was at each scrape: the bridge shares one among all who ask within 5 s.",
            unit=p.SECONDS_UNIT,
            width=8,
        ),
        p.graph(
            "Snapshots by outcome",
            [per_minute(bridge.SNAPSHOTS, "outcome")],
            bridge.SNAPSHOTS.help + " Per minute.",
            unit=p.PER_MINUTE_UNIT,
            width=8,
            axis="snapshots",
            colors={"ok": p.GOOD, "partial": p.BAD, "failed": p.WORST},
            stacked=True,
        ),
        p.graph(
            "Failing readings",
            _each(f"sum by (instance) ({once(failing, 'instance', 'reading')})"),
            "How many readings of the database failed: the counts that are missing on the other dashboards.",
            axis="readings",
            width=8,
            color=p.WORST,
        ),
        t.rows(
            "What fails now",
            [t.Column("reading", "Reading"), t.Column("instance", "Instance")],
            "Readings that failed in the last snapshot. The log of the bridge says why.",
            labels_of=f"max by (instance, reading) ({of(bridge.READING_SUCCESS)} == 0)",
            width=8,
            empty="every reading of the last snapshot succeeded",
        ),
        p.graph(facts.UP, _each(of(facts.UP)), axis="1: answers", width=8, color=p.GOOD, maximum=1),
        p.graph(
            bridge.LABEL_VALUES_CAPPED,
            [Query(f"{total_by(bridge.LABEL_VALUES_CAPPED, 'reading', 'cap')} > 0", "{{reading}}, {{cap}}")],
            axis="values",
            empty="every label value is shown as it is",
        ),
        p.graph(
            bridge.AUDIT_LOG_COUNTED,
            _each(of(bridge.AUDIT_LOG_COUNTED)),
            unit=p.SHARE_UNIT,
            maximum=1,
            empty="no audit log, or it cannot be read",
        ),
    ]


def _process() -> list[p.Panel]:
    def each(metric: Metric, *labels: str) -> str:
        return named(once(of(metric), "instance", *labels))

    return [
        p.graph(
            "Scrape time",
            _each(of("scrape_duration_seconds")),
            "How long Prometheus waited for the bridge. Prometheus gives up after its scrape timeout, 10 s by default.",
            unit=p.SECONDS_UNIT,
            empty="not scraped (pushed over OTLP, for instance)",
        ),
        p.graph(process.RESIDENT_MEMORY, _each(of(process.RESIDENT_MEMORY)), unit=p.BYTES_UNIT, empty=NOT_HERE),
        p.graph(
            process.CPU,
            _each(f"rate({of(process.CPU)}[$__rate_interval])"),
            "As a share of one processor.",
            unit=p.SHARE_UNIT,
            empty=NOT_HERE,
        ),
        p.graph(
            process.OPEN_FDS,
            _each(f"{of(process.OPEN_FDS)} / {of(process.MAX_FDS)}"),
            "As a share of its limit.",
            unit=p.SHARE_UNIT,
            empty=NOT_HERE,
        ),
        t.rows(
            "Bridges",
            [
                t.Column("instance", "Instance"),
                t.Column("name", "Platform"),
                t.Column("version", "ff-observe", width=160),
                t.Column("python_version", "Python", width=160),
                t.Values(f"1000 * {each(process.START)}", "Started", unit=p.MINUTE_UNIT, width=200),
                t.Values(each(process.RESIDENT_MEMORY), process.RESIDENT_MEMORY.title, unit=p.BYTES_UNIT, width=180),
            ],
            bridge.BUILD_INFO.help,
            labels_of=each(bridge.BUILD_INFO, "version", "python_version"),
            height=4,
        ),
    ]
