"""FlowFuse / Cost and growth: rows, bytes, snapshots, and where they will be."""

from ff_observe.catalogue import facts
from ff_observe.catalogue.model import in_text
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import (
    COUNT,
    COUNTED,
    Query,
    counted,
    each,
    largest_first,
    of,
    of_all,
    once,
    total,
    what,
)

_SIZE, _TABLES, _FREE = COUNT["database_size_bytes"], COUNT["table_size_bytes"], COUNT["database_disk_free_bytes"]


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-growth",
        "Rows, bytes and snapshots: how many, how fast they grow, and where that leads.",
        facts.UP,
        {"": _now(), "Bytes": _bytes(), "Rows": _rows(), "Limits of teams": _teams()},
        empty=p.NO_ANSWER,
    )


def _pace(days: int) -> str:
    return f"{days} * 86400 * sum({once(f'deriv({of(_SIZE)}[7d])')})"


def _now() -> list[p.Panel]:
    return [
        p.number(_SIZE, unit=p.BYTES_UNIT, decimals=1),
        p.number(
            "Growth per week",
            _pace(7),
            "By how much the database grows in a week, at the pace of the last week.",
            unit=p.BYTES_UNIT,
            decimals=1,
        ),
        p.number(
            _FREE,
            f"min({once(of(_FREE), of_bridges='min')})",
            unit=p.BYTES_UNIT,
            decimals=1,
            empty="with PostgreSQL, its server knows",
        ),
        p.number(COUNT["snapshots"]),
        p.number(
            "Snapshots each",
            f"{total(COUNT['snapshots'])} / (({total(COUNT['instances'])} + {total(COUNT['devices'])}) > 0)",
            "Snapshots for each instance or device, on average.",
            decimals=1,
        ),
        p.number(COUNT["topic_schemas"], empty="a FlowFuse without them, or no answer"),
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
        ),
        p.graph(
            _TABLES,
            [largest_first(each(_TABLES))],
            unit=p.BYTES_UNIT,
            shades=p.CLASSIC,
            stacked=True,
            empty="not reported by this database, or no answer",
        ),
    ]


def _rows() -> list[p.Panel]:
    return [
        t.rows(
            "Rows now",
            [
                t.what(COUNTED),
                t.Values(f"sum by (what) ({once(what(of_all(COUNTED)), 'what')})", "Now", unit=p.COUNT_UNIT, width=90),
            ],
            "Every count of rows, largest first.",
            width=8,
            sort_by="Now",
            descending=True,
        ),
        p.graph(
            COUNT["snapshots_by_origin"], width=8, colors={"automatic": p.NEUTRAL, "manual": "purple"}, stacked=True
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
        ),
    ]


def _teams() -> list[p.Panel]:
    colors = {"users": p.NEUTRAL, "devices": "purple", "runtimes": p.MILD}
    return [
        p.graph(COUNT["teams_over_limit"], axis="teams", colors=colors),
        p.shares(COUNT["instances_by_type"], width=6, empty="no instances, or no answer"),
        p.shares(COUNT["access_tokens_by_expiry"], width=6),
    ]
