"""FlowFuse / Platforms: all platforms that are observed, one row each, the worst first."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import bridge, facts
from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.queries import COUNT, Query, named, of, once, total

EMPTY = "no platform is observed"

_STATE: p.Mappings = {"0": ("not scraped", p.WORST), "1": ("database down", p.WORST), "2": ("up", p.GOOD)}
_FAILING: p.Mappings = {"0": ("none", p.QUIET)}
_FIGURES = (COUNT["users"], COUNT["instances"], COUNT["devices"])

NOT_SCRAPED = f"{of('up')} == 0"
FAILING_READINGS = f"1 - {of(bridge.READING_SUCCESS)}"
FAILING_OUTPUTS = f"1 - {of(bridge.OUTPUT_DELIVERED)}"


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-platforms",
        "All platforms that are observed, one row each: which need care, and how large they are.",
        facts.UP,
        [Row("", _now()), Row("Platforms", _platforms()), Row("Over time", _over_time())],
        since="now-24h",
    )


def _now() -> list[p.Panel]:
    return [
        p.number(
            "Platforms",
            f"count({once(of(facts.UP))})",
            "Platforms whose bridge Prometheus could scrape.",
            unit=p.COUNT_UNIT,
            empty=EMPTY,
        ),
        p.number(
            "Not scraped",
            f"count({NOT_SCRAPED}) or 0 * count({of('up')})",
            "Targets that Prometheus could not scrape: a bridge that is down, or a platform whose file cannot be used.",
            unit=p.COUNT_UNIT,
            steps=[(None, p.GOOD), (1, p.WORST)],
            empty="none is scraped",
        ),
        p.number(
            "Databases down",
            f"count({once(of(facts.UP))} == 0) or 0 * count({of(facts.UP)})",
            "Platforms whose database does not answer.",
            unit=p.COUNT_UNIT,
            steps=[(None, p.GOOD), (1, p.WORST)],
            empty=EMPTY,
        ),
        p.number(
            "Outputs that fail",
            f"sum({once(FAILING_OUTPUTS, 'output')}) or 0 * count({of(facts.UP)})",
            "Outputs of all platforms whose last delivery failed.",
            unit=p.COUNT_UNIT,
            steps=[(None, p.GOOD), (1, p.BAD)],
            empty=EMPTY,
        ),
        _sum_of(COUNT["users"]),
        _sum_of(COUNT["devices"]),
    ]


def _sum_of(count: Metric) -> p.Panel:
    return p.number(count.title, total(count), f"{count.help} Of all platforms.", unit=p.COUNT_UNIT, empty=EMPTY)


def _platforms() -> list[p.Panel]:
    joined = f'label_join(0 * ({NOT_SCRAPED}), "name", ";", "platform", "instance")'
    not_scraped = f'label_replace({joined}, "name", "$1", "name", ";*([^;]+).*")'
    return [
        t.rows(
            "All platforms",
            [
                _by_name(f"{named(once(f'{of(facts.UP)} + 1'))} or {not_scraped}"),
                *(_by_name(named(once(of(count)))) for count in _FIGURES),
                _by_name(named(once(FAILING_READINGS, "reading")), "sum"),
                _by_name(named(once(FAILING_OUTPUTS, "output")), "sum"),
                _by_name(f"time() - ({named(once(of(bridge.SNAPSHOT_TIMESTAMP)))})"),
            ],
            [
                t.Column("name", "Platform"),
                t.Column("Value #A", "State", mappings=_STATE, width=140),
                *(
                    t.Column(f"Value #{letter}", count.title, width=130)
                    for letter, count in zip("BCD", _FIGURES, strict=True)
                ),
                t.Column("Value #E", "Failing readings", mappings=_FAILING, width=140),
                t.Column("Value #F", "Failing outputs", mappings=_FAILING, width=140),
                t.Column("Value #G", "Snapshot age", unit=p.SECONDS_UNIT, decimals=0, width=120),
            ],
            "Each platform once, however many bridges it has. The label `platform` of its target names it, else its "
            "address.",
            height=16,
            sort_by="State",
            empty=EMPTY,
        ),
    ]


def _by_name(vector: str, of_several: str = "max") -> str:
    return f"{of_several} by (name) ({vector})"


def _over_time() -> list[p.Panel]:
    return [
        p.graph(
            "Databases that answer",
            [Query(f"sum({once(of(facts.UP))})", "answer"), Query(f"count({once(of(facts.UP))})", "observed")],
            facts.UP.help + " Of all platforms.",
            unit=p.COUNT_UNIT,
            axis="platforms",
            colors={"answer": p.GOOD, "observed": p.NEUTRAL},
            decimals=0,
            empty=EMPTY,
        ),
        p.graph(
            bridge.PLATFORMS.title,
            [Query(f"sum by (state) ({of(bridge.PLATFORMS)})", "{{state}}")],
            bridge.PLATFORMS.help + " From the `/metrics` of the process itself.",
            unit=p.COUNT_UNIT,
            axis="platforms",
            colors={"unusable": p.WORST, "down": p.WORST, "troubled": p.BAD, "unread": p.QUIET, "up": p.GOOD},
            decimals=0,
            empty="no process of many is scraped",
        ),
    ]
