"""FlowFuse / Fleet history: which versions, Node.js, drivers and licences a fleet had, and who came and went."""

from collections.abc import Mapping

from ff_observe.catalogue import fleet
from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.colors import NODEJS, RELEASES
from ff_observe.generate.dashboards.fleet import IN_A_MONTH, TOO_FEW, whole_fleet
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import Query, of

YOUNG = "too few platforms, or no history"
_A_DAY = "86399s"
"""A second less: at midnight, Prometheus 2 would also see the day before, of which a value may be gone."""


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-fleet-history",
        "The fleet of a collector day by day: versions and their adoption, Node.js, and which platforms came and went.",
        fleet.DAILY_TIMESTAMP,
        {
            "": _now(),
            fleet.BY_VERSION.title: _versions(),
            "Node.js": _nodejs(),
            "Coming and going": _changes(),
            "Drivers and licences": _drivers(),
        },
        empty=YOUNG,
        since="now-1y",
    )


def _at(metric: Metric, *matchers: str, by: str = "", before: str = "") -> str:
    """The figures of a day, until those of the next: history has them once a day."""
    return whole_fleet(f"last_over_time({of(metric, *matchers)}[{_A_DAY}]{before and f' offset {before}'})", by=by)


def _share(metric: Metric, label: str) -> str:
    return f"{_at(metric, by=label)} / on () group_left () sum({_at(metric, by=label)})"


def _changed(change: str) -> str:
    return _at(fleet.CHANGED, f'change="{change}"', IN_A_MONTH)


_SEEN, _SEEN_BEFORE = _at(fleet.PLATFORMS, IN_A_MONTH), _at(fleet.PLATFORMS, IN_A_MONTH, before="30d")
_JOINED = f"{_SEEN} - {_SEEN_BEFORE} + {_changed('lost')}"
_CHURN = f"{_changed('lost')} / ({_SEEN_BEFORE} > 0)"
_OF_JOINED = "Those that joined are new or returning: what is more of them than 30 days before, and was lost meanwhile."
_OF_CHURN = "Platforms lost within 30 days, as a share of those that pinged in the 30 days before."


def _now() -> list[p.Panel]:
    return [
        p.number("Seen in 30 days", _SEEN, fleet.PLATFORMS.help, empty=TOO_FEW),
        p.number("Joined in 30 days", _JOINED, f"{_OF_JOINED} {fleet.CHANGED.help}"),
        p.number("Lost in 30 days", _changed("lost"), fleet.CHANGED.help, empty=TOO_FEW),
        p.number("Churn in 30 days", _CHURN, _OF_CHURN, unit=p.SHARE_UNIT, decimals=1),
        p.number("Silent", _at(fleet.SILENT), fleet.SILENT.help, empty=TOO_FEW),
        p.number(
            fleet.DAILY_TIMESTAMP,
            f"1000 * max(last_over_time({of(fleet.DAILY_TIMESTAMP)}[{_A_DAY}]))",
            unit=p.AGO_UNIT,
            empty="no day is over yet",
        ),
    ]


def _versions() -> list[p.Panel]:
    metric = fleet.DAILY_BY_VERSION
    now = _at(metric, by="version")
    release = f'label_replace({now}, "release", "$1", "version", "([0-9]+[.][0-9]+|[a-z]+).*")'
    first = f"min by (version) (min_over_time(timestamp({of(metric)})[$__range:1d]))"
    shown = f"({first} and on (version) {now})"
    return [
        p.graph(
            "Adoption of releases",
            [Query(f"sum by (release) ({release}) / on () group_left () sum({now})", "{{release}}")],
            f"{metric.help} Here the share of all patches of a release, as 2.33.",
            unit=p.SHARE_UNIT,
            axis="share of platforms",
            width=14,
            height=11,
            colors={**RELEASES, "other": p.QUIET},
            maximum=1,
            interval="1h",
        ),
        t.rows(
            "Versions of the last day",
            [
                t.Column("version", "Version"),
                t.Values(now, "Platforms", unit=p.COUNT_UNIT, width=90),
                t.Values(_share(metric, "version"), "Share", unit=p.SHARE_UNIT, width=80, decimals=1),
                t.Values(f"1000 * {shown}", "First shown", unit=p.DAY_UNIT, width=110),
                t.Values(f"(time() - {shown}) / 86400", "Days since", unit=p.COUNT_UNIT, width=95, decimals=0),
            ],
            f"{metric.help} When a version was first shown: by at least `fleet.k` platforms, in the time range chosen.",
            width=10,
            height=11,
            sort_by="Platforms",
            descending=True,
        ),
    ]


def _nodejs() -> list[p.Panel]:
    metric = fleet.DAILY_BY_NODEJS_VERSION
    before = _at(metric, by="version", before="90d")
    return [
        _over_time(metric, width=14, colors=NODEJS, legend="Node {{version}}"),
        t.rows(
            "Node.js of the last day",
            [
                t.Column("version", "Node.js"),
                t.Values(_at(metric, by="version"), "Platforms", unit=p.COUNT_UNIT, width=90),
                t.Values(_share(metric, "version"), "Share", unit=p.SHARE_UNIT, width=80, decimals=1),
                t.Values(before, "90 days before", unit=p.COUNT_UNIT, width=120),
            ],
            metric.help,
            width=10,
            sort_by="Platforms",
            descending=True,
        ),
    ]


def _over_time(
    metric: Metric, *, width: int = 12, colors: Mapping[str, str], legend: str = "", shades: str = p.CLASSIC
) -> p.Panel:
    (label,) = metric.labels
    return p.graph(
        metric,
        [Query(_at(metric, by=label), legend or f"{{{{{label}}}}}")],
        axis="platforms",
        width=width,
        colors={**colors, "/other$/": p.QUIET},
        shades=shades,
        stacked=True,
        interval="1h",
    )


def _changes() -> list[p.Panel]:
    return [
        p.graph(
            "Seen and silent",
            [
                Query(_SEEN, "within 30d"),
                Query(f"sum({_at(fleet.DAILY_BY_DRIVER, by='driver')})", "on the day"),
                Query(_at(fleet.SILENT), "silent"),
            ],
            f"{fleet.PLATFORMS.help} {fleet.SILENT.help}",
            axis="platforms",
            colors={"within 30d": p.PALE, "on the day": p.NEUTRAL, "silent": p.BAD},
            interval="1h",
        ),
        p.graph(
            "Joined and lost in 30 days",
            [Query(_JOINED, "joined"), *(Query(_changed(how), how) for how in ("new", "returning", "lost"))],
            f"{_OF_JOINED} {fleet.CHANGED.help}",
            axis="platforms",
            colors={"joined": p.GOOD, "new": "#2aa198", "returning": p.NEUTRAL, "lost": p.BAD},
            interval="1h",
        ),
        p.graph(
            "Churn",
            [Query(_CHURN, "lost within 30 days")],
            _OF_CHURN,
            unit=p.SHARE_UNIT,
            width=8,
            color=p.BAD,
            interval="1h",
        ),
        _over_time(fleet.DAILY_BY_FIRST_MONTH, width=16, colors={}, shades=p.NEUTRAL),
    ]


def _drivers() -> list[p.Panel]:
    drivers = {"kubernetes": p.NEUTRAL, "docker": "purple", "localfs": "#2aa198", "stub": "#9c6644"}
    licences = {"EE": p.NEUTRAL, "CE": "purple", "DEV": "#2aa198"}
    return [
        _over_time(fleet.DAILY_BY_DRIVER, colors=drivers),
        _over_time(fleet.DAILY_BY_LICENSE_TYPE, colors=licences),
    ]
