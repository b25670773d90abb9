"""FlowFuse / Roll-out and upgrade: is a roll-out through, and who still runs what is old."""

from ff_observe.catalogue import facts
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.colors import VERSIONS
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import COUNT, Query, each, of, once, total, whole

NO_DEVICES = "no devices, or no answer"
NO_INSTANCES = "no instances, or no answer"

_BY = COUNT["devices_by_rollout"]
_GROUPS = COUNT["device_group_devices"]
_STACKS = COUNT["instances_by_stack"]
_AGENTS = COUNT["devices_by_agent_version"]


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-rollout",
        "Devices in sync or behind, by group; stacks, and versions of agents, Node-RED and Node.js.",
        facts.UP,
        {
            "": _now(),
            "Roll-out": _roll_out(),
            "Versions on devices": _versions(),
            "Stacks and certified nodes": _stacks(),
        },
        empty=p.NO_ANSWER,
    )


def _share(part: str, whole: str) -> str:
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def _instances(outdated: str) -> str:
    """Instances on stacks of one kind; 0 where there are others only."""
    chosen = whole(_STACKS, f'outdated="{outdated}"')
    return f"{chosen} or 0 * {whole(_STACKS)}"


def _now() -> list[p.Panel]:
    rolled_out = whole(_BY, 'rollout=~"in_sync|behind"')
    counted = of(_AGENTS, 'version!~"none|other"')
    most = f"max(sum by (version) ({once(counted, 'version')}))"
    return [
        p.number(
            "In sync",
            _share(total(_BY, 'rollout="in_sync"'), rolled_out),
            _BY.help,
            unit=p.SHARE_UNIT,
            decimals=0,
            steps=[(None, p.WORST), (0.5, p.BAD), (0.8, p.MILD), (0.95, p.GOOD)],
            empty="nothing rolled out, or no answer",
        ),
        p.number("Behind", total(_BY, 'rollout="behind"'), _BY.help, steps=[(None, p.GOOD), (1, p.MILD)]),
        p.number(
            "On outdated stacks",
            _instances("true"),
            _STACKS.help,
            steps=[(None, p.GOOD), (1, p.MILD)],
            empty=NO_INSTANCES,
        ),
        p.number(
            "Agents on one version",
            f"{most} / ({whole(_AGENTS)} > 0)",
            f"The share of devices with the version of the agent that most have. {_AGENTS.help}",
            unit=p.SHARE_UNIT,
            decimals=0,
            empty=NO_DEVICES,
        ),
        p.number(COUNT["device_groups"]),
        p.number(COUNT["pipeline_stages"]),
    ]


def _roll_out() -> list[p.Panel]:
    words = {"in_sync": "in sync", "behind": "behind", "none": "nothing rolled out"}

    def of_groups(rollout: str) -> str:
        chosen = of(_GROUPS, f'rollout="{rollout}"')
        return f"sum by (device_group) ({once(chosen, 'device_group', 'rollout')})"

    in_sync, behind = of_groups("in_sync"), of_groups("behind")
    rolled_out = f"(({in_sync} + {behind}) or {in_sync} or {behind})"
    return [
        p.graph(
            _BY,
            [Query(total(_BY, f'rollout="{value}"'), title) for value, title in words.items()],
            axis="devices",
            colors={"in sync": p.GOOD, "behind": p.BAD, "nothing rolled out": p.QUIET},
            stacked=True,
        ),
        t.rows(
            _GROUPS,
            [
                t.Column("device_group", "Group", mappings={"none": ("no group", None)}),
                t.Values(in_sync, "In sync", unit=p.COUNT_UNIT, width=90, no_value="0"),
                t.Values(behind, "Behind", unit=p.COUNT_UNIT, width=90, no_value="0"),
                t.Values(of_groups("none"), "Nothing rolled out", unit=p.COUNT_UNIT, width=150, no_value="0"),
                t.Values(
                    f"({in_sync} or 0 * {rolled_out}) / {rolled_out}",
                    "Share in sync",
                    unit=p.SHARE_UNIT,
                    width=120,
                    decimals=0,
                ),
            ],
            width=12,
            sort_by="Behind",
            descending=True,
            empty="no groups, or no answer",
        ),
    ]


def _versions() -> list[p.Panel]:
    return [
        *(
            p.shares(COUNT[f"devices_by_{of_what}_version"], empty=NO_DEVICES)
            for of_what in ("agent", "nodered", "nodejs")
        ),
        p.graph(
            "Agents, as they are upgraded",
            [each(_AGENTS)],
            _AGENTS.help,
            axis="devices",
            width=24,
            colors={**VERSIONS, "other": p.QUIET, "none": p.QUIET},
            stacked=True,
            empty=NO_DEVICES,
        ),
    ]


def _stacks() -> list[p.Panel]:
    return [
        t.rows(
            _STACKS,
            [
                t.Column("stack", "Stack"),
                t.Column("outdated", "Replaced", mappings={"true": ("by a newer one", p.BAD), "false": ("no", p.GOOD)}),
                t.Values(
                    f"sum by (stack, outdated) ({once(of(_STACKS), 'stack', 'outdated')})",
                    "Instances",
                    unit=p.COUNT_UNIT,
                    width=100,
                ),
            ],
            width=8,
            sort_by="Instances",
            descending=True,
            empty=NO_INSTANCES,
        ),
        p.graph(
            "Instances on outdated stacks",
            [Query(_instances("true"), "outdated"), Query(_instances("false"), "current")],
            _STACKS.help,
            axis="instances",
            width=8,
            colors={"outdated": p.BAD, "current": p.GOOD},
            stacked=True,
            empty=NO_INSTANCES,
        ),
        p.shares(COUNT["certified_nodes"], empty="none reported", long_names=True),
    ]
