"""FlowFuse / Roll-out and upgrade: is a roll-out through, and who still runs what is old."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import facts
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.health import EMPTY
from ff_observe.generate.dashboards.metric_panels import shares_by
from ff_observe.generate.dashboards.queries import COUNT, Query, of, once, total, total_by, whole

_ROLL_OUT = {"in_sync": p.GOOD, "behind": p.BAD, "none": p.QUIET}
_WORDS = {"in_sync": "in sync", "behind": "behind", "none": "nothing rolled out"}
_GROUPS = COUNT["device_group_devices"]
_STACKS = COUNT["instances_by_stack"]


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-rollout",
        "Devices in sync or behind, by group; stacks, and versions of agents, Node-RED and Node.js.",
        facts.UP,
        [
            Row("", _now()),
            Row("Roll-out", _roll_out()),
            Row("Versions on devices", _versions()),
            Row("Stacks and certified nodes", _stacks()),
        ],
    )


def _share(part: str, whole: str) -> str:
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def _instances(outdated: str) -> str:
    """Instances on stacks of one kind; 0 where there are others only."""
    chosen = whole(_STACKS, f'outdated="{outdated}"')
    return f"{chosen} or 0 * {whole(_STACKS)}"


def _now() -> list[p.Panel]:
    by = COUNT["devices_by_rollout"]
    rolled_out = whole(by, 'rollout=~"in_sync|behind"')
    counted = of(COUNT["devices_by_agent_version"], 'version!~"none|other"')
    newest = f"max({once(counted, 'version')})"
    return [
        p.number(
            "In sync",
            _share(total(by, 'rollout="in_sync"'), rolled_out),
            by.help,
            unit=p.SHARE_UNIT,
            decimals=0,
            steps=[(None, p.WORST), (0.5, p.BAD), (0.8, p.MILD), (0.95, p.GOOD)],
            empty="nothing rolled out, or no answer",
        ),
        p.number(
            "Behind",
            total(by, 'rollout="behind"'),
            by.help,
            unit=p.COUNT_UNIT,
            steps=[(None, p.GOOD), (1, p.MILD)],
            empty=EMPTY,
        ),
        p.number(
            "On outdated stacks",
            _instances("true"),
            _STACKS.help,
            unit=p.COUNT_UNIT,
            steps=[(None, p.GOOD), (1, p.MILD)],
            empty="no instances, or no answer",
        ),
        p.number(
            "Agents on one version",
            f"{newest} / ({whole(COUNT['devices_by_agent_version'])} > 0)",
            "The share of devices with the version of the agent that most have. "
            + COUNT["devices_by_agent_version"].help,
            unit=p.SHARE_UNIT,
            decimals=0,
            empty="no devices, or no answer",
        ),
        *(
            p.number(count.title, total(count), count.help, unit=p.COUNT_UNIT, empty=EMPTY)
            for count in (COUNT["device_groups"], COUNT["pipeline_stages"])
        ),
    ]


def _roll_out() -> list[p.Panel]:
    by = COUNT["devices_by_rollout"]

    def of_groups(rollout: str) -> str:
        chosen = of(_GROUPS, f'rollout="{rollout}"')
        return f"sum by (device_group) ({once(chosen, 'device_group', 'rollout')})"

    rolled_out = (
        f"(({of_groups('in_sync')} + {of_groups('behind')}) or {of_groups('in_sync')} or {of_groups('behind')})"
    )
    return [
        p.graph(
            by.title,
            [Query(total(by, f'rollout="{value}"'), words) for value, words in _WORDS.items()],
            by.help,
            unit=p.COUNT_UNIT,
            axis="devices",
            colors={_WORDS[value]: color for value, color in _ROLL_OUT.items()},
            stacked=True,
            decimals=0,
            empty=EMPTY,
        ),
        t.rows(
            _GROUPS.title,
            [
                of_groups("in_sync"),
                of_groups("behind"),
                of_groups("none"),
                f"({of_groups('in_sync')} or 0 * {rolled_out}) / {rolled_out}",
            ],
            [
                t.Column("device_group", "Group", mappings={"none": ("no group", None)}),
                t.Column("Value #A", "In sync", unit=p.COUNT_UNIT, width=90, no_value="0"),
                t.Column("Value #B", "Behind", unit=p.COUNT_UNIT, width=90, no_value="0"),
                t.Column("Value #C", "Nothing rolled out", unit=p.COUNT_UNIT, width=150, no_value="0"),
                t.Column("Value #D", "Share in sync", unit=p.SHARE_UNIT, width=120, decimals=0),
            ],
            _GROUPS.help,
            width=12,
            sort_by="Behind",
            descending=True,
            empty="no groups, or no answer",
        ),
    ]


def _versions() -> list[p.Panel]:
    names = ("devices_by_agent_version", "devices_by_nodered_version", "devices_by_nodejs_version")
    over_time = COUNT["devices_by_agent_version"]
    return [
        *(shares_by(COUNT[name], "version", empty="no devices, or no answer") for name in names),
        p.graph(
            "Agents, as they are upgraded",
            [Query(total_by(over_time, "version"), "{{version}}")],
            over_time.help,
            unit=p.COUNT_UNIT,
            axis="devices",
            width=24,
            shades=p.NEUTRAL,
            stacked=True,
            decimals=0,
            empty="no devices, or no answer",
        ),
    ]


def _stacks() -> list[p.Panel]:
    certified = COUNT["certified_nodes"]
    return [
        t.rows(
            _STACKS.title,
            [f"sum by (stack, outdated) ({once(of(_STACKS), 'stack', 'outdated')})"],
            [
                t.Column("stack", "Stack"),
                t.Column("outdated", "Replaced", mappings={"true": ("by a newer one", p.BAD), "false": ("no", p.GOOD)}),
                t.Column("Value #A", "Instances", unit=p.COUNT_UNIT, width=100),
            ],
            _STACKS.help,
            width=8,
            sort_by="Instances",
            descending=True,
            empty="no instances, or no answer",
        ),
        p.graph(
            "Instances on outdated stacks",
            [
                Query(_instances("true"), "outdated"),
                Query(_instances("false"), "current"),
            ],
            _STACKS.help,
            unit=p.COUNT_UNIT,
            axis="instances",
            width=8,
            colors={"outdated": p.BAD, "current": p.GOOD},
            stacked=True,
            decimals=0,
            empty="no instances, or no answer",
        ),
        shares_by(certified, "package", empty="none reported"),
    ]
