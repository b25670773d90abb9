"""FlowFuse / Cost and growth: rows, bytes, snapshots, and where they will be."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import COUNTS, facts
from ff_observe.catalogue.model import in_text
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.health import EMPTY
from ff_observe.generate.dashboards.metric_panels import shares_by
from ff_observe.generate.dashboards.queries import COUNT, Query, counted, of, of_all, once, total, total_by

_SIZE, _TABLES, _FREE = COUNT["database_size_bytes"], COUNT["table_size_bytes"], COUNT["database_disk_free_bytes"]
_ROWS = tuple(count for count in COUNTS if not count.labels and count.unit not in ("s", "By"))


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-growth",
        "Rows, bytes and snapshots: how many, how fast they grow, and where that leads.",
        facts.UP,
        [Row("", _now()), Row("Bytes", _bytes()), Row("Rows", _rows()), Row("Limits of teams", _teams())],
    )


def _pace(days: int) -> str:
    return f"{days} * 86400 * sum({once(f'deriv({of(_SIZE)}[7d])')})"


def _now() -> list[p.Panel]:
    return [
        p.number(_SIZE.title, total(_SIZE), _SIZE.help, unit=p.BYTES_UNIT, decimals=1, empty=EMPTY),
        p.number(
            "Growth per week",
            _pace(7),
            "By how much the database grows in a week, at the pace of the last week.",
            unit=p.BYTES_UNIT,
            decimals=1,
            empty=EMPTY,
        ),
        p.number(
            _FREE.title,
            f"min({once(of(_FREE), of_bridges='min')})",
            _FREE.help,
            unit=p.BYTES_UNIT,
            decimals=1,
            empty="with PostgreSQL, its server knows",
        ),
        p.number(
            COUNT["snapshots"].title, total(COUNT["snapshots"]), COUNT["snapshots"].help, unit=p.COUNT_UNIT, empty=EMPTY
        ),
        p.number(
            "Snapshots each",
            f"{total(COUNT['snapshots'])} / (({total(COUNT['instances'])} + {total(COUNT['devices'])}) > 0)",
            "Snapshots for each instance or device, on average.",
            unit="short",
            decimals=1,
            empty=EMPTY,
        ),
        p.number(
            COUNT["topic_schemas"].title,
            total(COUNT["topic_schemas"]),
            COUNT["topic_schemas"].help,
            unit=p.COUNT_UNIT,
            empty="a FlowFuse without them, or no answer",
        ),
    ]


def _bytes() -> list[p.Panel]:
    return [
        p.graph(
            "Size, and in 4 weeks",
            [
                counted(_SIZE),
                Query(f"{total(_SIZE)} + clamp_min({_pace(28)}, 0)", "in 4 weeks at this pace"),
            ],
            _SIZE.help + " The dashed line adds four weeks at the pace of the last week.",
            unit=p.BYTES_UNIT,
            colors={in_text(_SIZE.title): p.NEUTRAL},
            dashed={"in 4 weeks at this pace": p.QUIET},
            empty=EMPTY,
        ),
        p.graph(
            _TABLES.title,
            [Query(f"sort_desc({total_by(_TABLES, 'table')})", "{{table}}")],
            _TABLES.help,
            unit=p.BYTES_UNIT,
            shades=p.NEUTRAL,
            stacked=True,
            empty="not reported by this database, or no answer",
        ),
    ]


def _rows() -> list[p.Panel]:
    every = of_all(_ROWS)

    def what(selector: str) -> str:
        return f'label_replace({selector}, "what", "$1", "__name__", "flowfuse_(.+)")'

    return [
        t.rows(
            "Rows now",
            [f"sum by (what) ({once(what(every), 'what')})"],
            [
                t.Column(
                    "what",
                    "What",
                    mappings=p.titled({name: COUNT[name].title for name in COUNT if COUNT[name] in _ROWS}),
                ),
                t.Column("Value #A", "Now", unit=p.COUNT_UNIT, width=90),
            ],
            "Every count of rows, largest first.",
            width=8,
            sort_by="Now",
            descending=True,
            empty=EMPTY,
        ),
        p.graph(
            COUNT["snapshots_by_origin"].title,
            [Query(total_by(COUNT["snapshots_by_origin"], "origin"), "{{origin}}")],
            COUNT["snapshots_by_origin"].help,
            unit=p.COUNT_UNIT,
            width=8,
            colors={"automatic": p.NEUTRAL, "manual": "purple"},
            stacked=True,
            decimals=0,
            empty=EMPTY,
        ),
        p.counts(
            "Applications and pipelines",
            {
                COUNT["applications"]: p.NEUTRAL,
                COUNT["pipelines"]: "purple",
                COUNT["team_tables"]: p.MILD,
                COUNT["mcp_registrations"]: "#5ac8c8",
            },
            axis="items",
            width=8,
            empty=EMPTY,
        ),
    ]


def _teams() -> list[p.Panel]:
    over = COUNT["teams_over_limit"]
    return [
        p.graph(
            over.title,
            [Query(total_by(over, "limit"), "{{limit}}")],
            over.help,
            unit=p.COUNT_UNIT,
            axis="teams",
            colors={"users": p.NEUTRAL, "devices": "purple", "runtimes": p.MILD},
            decimals=0,
            empty=EMPTY,
        ),
        shares_by(COUNT["instances_by_type"], "instance_type", width=6, empty="no instances, or no answer"),
        shares_by(COUNT["access_tokens_by_expiry"], "expiry", width=6, empty=EMPTY),
    ]
