"""FlowFuse / Platforms: all platforms that are observed, one row each, the worst first."""

from ff_observe.catalogue import bridge, facts
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import COUNT, Query, named, named_by, of, once, total

_STATE: p.Mappings = {"0": ("not scraped", p.WORST), "1": ("database down", p.WORST), "2": ("up", p.GOOD)}
_FAILING: p.Mappings = {"0": ("none", p.QUIET)}

UP = once(of(facts.UP))
_BUILD = bridge.BUILD_INFO
_NAMED = 'platform!=""'
NOT_SCRAPED = (
    f"{of('up')} == 0 and on (job, instance) present_over_time({of(_BUILD)}[7d]) "
    f"or {of('up')} == 0 and on (job) present_over_time({of(_BUILD, _NAMED)}[7d]) "
    "and on (job, instance, platform) "
    f'label_replace(group by (job, instance) ({of("up")}), "platform", "$1", "instance", "(.+)")'
)
"""As *FlowFuseBridgeDown* has it: a bridge of the last week, or a platform that others of its job are beside."""
FAILING_READINGS = f"1 - {of(bridge.READING_SUCCESS)}"
FAILING_OUTPUTS = f"1 - {of(bridge.OUTPUT_DELIVERED)}"


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-platforms",
        "All platforms that are observed, one row each: which need care, and how large they are.",
        bridge.BUILD_INFO,
        {"": _now(), "Platforms": _platforms(), "Over time": _over_time()},
        empty="no platform is observed",
        since="now-24h",
        also_down=True,
    )


def _now() -> list[p.Panel]:
    return [
        p.number("Platforms", f"count({UP})", "Platforms whose bridge Prometheus could scrape."),
        p.number(
            "Not scraped",
            f"count({NOT_SCRAPED}) or 0 * count({of('up')})",
            "Targets that Prometheus could not scrape: a bridge that is down, or a platform whose file cannot be used.",
            steps=[(None, p.GOOD), (1, p.WORST)],
            empty="none is scraped",
        ),
        p.number(
            "Databases down",
            f"count({UP} == 0) or 0 * count({of(facts.UP)})",
            "Platforms whose database does not answer.",
            steps=[(None, p.GOOD), (1, p.WORST)],
        ),
        p.number(
            "Outputs that fail",
            f"sum({once(FAILING_OUTPUTS, 'output')}) or 0 * count({of(facts.UP)})",
            "Outputs of all platforms whose last delivery failed.",
            steps=[(None, p.GOOD), (1, p.BAD)],
        ),
        *(p.number(count, total(count), "Of all platforms.") for count in (COUNT["users"], COUNT["devices"])),
    ]


def _platforms() -> list[p.Panel]:
    not_scraped = named_by(f"0 * ({NOT_SCRAPED})", "platform", "instance")
    age = f"time() - ({named(once(of(bridge.SNAPSHOT_TIMESTAMP)))})"
    readings, outputs = named(once(FAILING_READINGS, "reading")), named(once(FAILING_OUTPUTS, "output"))
    return [
        t.rows(
            "All platforms",
            [
                t.Column("name", "Platform"),
                t.Values(
                    _by_name(f"{named(once(f'{of(facts.UP)} + 1'))} or {not_scraped}"),
                    "State",
                    mappings=_STATE,
                    width=140,
                ),
                *(
                    t.Values(_by_name(named(once(of(count)))), count.title, width=130)
                    for count in (COUNT["users"], COUNT["instances"], COUNT["devices"])
                ),
                t.Values(_by_name(readings, "sum"), "Failing readings", mappings=_FAILING, otherwise=p.BAD, width=140),
                t.Values(_by_name(outputs, "sum"), "Failing outputs", mappings=_FAILING, otherwise=p.BAD, width=140),
                t.Values(_by_name(age), "Snapshot age", unit=p.SECONDS_UNIT, decimals=0, width=120),
            ],
            "Each platform once, however many bridges it has. The label `platform` of its target names it, else its "
            "address.",
            height=16,
            sort_by="State",
        ),
    ]


def _by_name(vector: str, of_several: str = "max") -> str:
    return f"{of_several} by (name) ({vector})"


def _over_time() -> list[p.Panel]:
    return [
        p.graph(
            "Databases that answer",
            [Query(f"sum({UP})", "answer"), Query(f"count({UP})", "observed")],
            facts.UP.help + " Of all platforms.",
            axis="platforms",
            colors={"answer": p.GOOD, "observed": p.NEUTRAL},
        ),
        p.graph(
            bridge.PLATFORMS,
            [Query(f"sum by (state) ({of(bridge.PLATFORMS)})", "{{state}}")],
            "From the `/metrics` of the process itself.",
            axis="platforms",
            colors={"unusable": p.WORST, "down": p.WORST, "troubled": p.BAD, "unread": p.QUIET, "up": p.GOOD},
            empty="no process of many is scraped",
        ),
    ]
