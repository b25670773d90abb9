"""FlowFuse / Platform: what is running now, and how it moved."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import COUNTS, facts
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.colors import STATES
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.queries import COUNT, Query, of, of_all, total

EMPTY = "no answer from the database"
NO_TABLE = "no answer from the database, or a FlowFuse without this feature"
NO_BRIDGE = "no bridge tells of itself"

LAST_SEEN = {
    "within a day": p.GOOD,
    "a day to a week ago": p.MILD,
    "a week to 4 weeks ago": p.BAD,
    "longer ago": p.WORST,
    "never": p.QUIET,
}
_BUCKETS = dict(zip(("day", "week", "month", "older", "never"), LAST_SEEN, strict=True))

_COUNTED = tuple(count for count in COUNTS if not count.labels)
"""What the table of growth lists: a new count of the catalogue is in it by itself."""

_WORDS: p.Told = {
    name: (words[0].upper() + words[1:], None)
    for name, words in {
        **{
            count.name.removeprefix("flowfuse_"): count.name.removeprefix("flowfuse_").replace("_", " ")
            for count in _COUNTED
        },
        "instances": "hosted instances",
        "team_broker_clients": "clients of the team broker",
        "remote_brokers": "MQTT brokers",
    }.items()
}


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-platform",
        "Users, teams, hosted instances, devices and what they hold: now, and how it moved.",
        facts.UP,
        [
            Row("", _now()),
            Row("Instances and devices", _running()),
            Row("Growth", _growth()),
            Row("Installation", _installation()),
        ],
    )


def _now() -> list[p.Panel]:
    devices = of(COUNT["devices_by_last_seen"])
    today = total(COUNT["devices_by_last_seen"], 'last_seen="day"')
    return [
        p.number(
            "FlowFuse",
            f"min({of(facts.HTTP_UP)})",
            facts.HTTP_UP.help + " Of several platforms, the worst.",
            unit="short",
            told={"0": ("no answer", p.WORST), "1": ("answers", p.GOOD)},
            empty="not asked, or no bridge",
        ),
        p.number(
            "Database",
            f"min({of(facts.DATABASE_UP)})",
            facts.DATABASE_UP.help + " Of several platforms, the worst.",
            unit="short",
            told={"0": ("unreachable", p.WORST), "1": ("answers", p.GOOD)},
            empty=NO_BRIDGE,
        ),
        p.number("Users", total(COUNT["users"]), COUNT["users"].help, unit=p.COUNT_UNIT, empty=EMPTY),
        p.number("Teams", total(COUNT["teams"]), COUNT["teams"].help, unit=p.COUNT_UNIT, empty=EMPTY),
        p.number(
            "Running",
            total(COUNT["instances_by_state"], 'state="running"'),
            "Hosted Node-RED instances that should run: those in the state `running`, crashed ones included.",
            unit=p.COUNT_UNIT,
            empty=EMPTY,
        ),
        p.number(
            "Devices today",
            f"{today} / (sum({devices}) > 0)",
            "The share of all registered devices that called home within a day. FlowFuse itself, since 2.33, calls a "
            "device online for 30 minutes only.",
            unit=p.SHARE_UNIT,
            decimals=0,
            steps=[(None, p.WORST), (0.5, p.BAD), (0.7, p.MILD), (0.9, p.GOOD)],
            empty="no devices, or no answer",
        ),
    ]


def _running() -> list[p.Panel]:
    by_last_seen = [
        Query(total(COUNT["devices_by_last_seen"], f'last_seen="{bucket}"'), words)
        for bucket, words in _BUCKETS.items()
    ]
    return [
        p.graph(
            "Hosted instances by state",
            [Query(f"sum by (state) ({of(COUNT['instances_by_state'])})", "{{state}}")],
            COUNT["instances_by_state"].help,
            unit=p.COUNT_UNIT,
            axis="instances",
            colors=STATES,
            stacked=True,
            decimals=0,
            empty=EMPTY,
        ),
        p.graph(
            "Devices by last call home",
            by_last_seen,
            COUNT["devices_by_last_seen"].help,
            unit=p.COUNT_UNIT,
            axis="devices",
            colors=LAST_SEEN,
            stacked=True,
            decimals=0,
            empty=EMPTY,
        ),
        p.shares(
            "Teams by type",
            Query(f"sort_desc(sum by (team_type) ({of(COUNT['teams_by_type'])}))", "{{team_type}}"),
            COUNT["teams_by_type"].help,
            unit=p.COUNT_UNIT,
            width=6,
            empty=EMPTY,
        ),
        p.shares(
            "Devices by mode",
            Query(f"sort_desc(sum by (mode) ({of(COUNT['devices_by_mode'])}))", "{{mode}}"),
            COUNT["devices_by_mode"].help,
            unit=p.COUNT_UNIT,
            width=6,
            empty=EMPTY,
        ),
        p.graph(
            "Hosted instances and devices",
            [Query(total(COUNT["instances"]), "hosted instances"), Query(total(COUNT["devices"]), "devices")],
            f"{COUNT['instances'].help} {COUNT['devices'].help}",
            unit=p.COUNT_UNIT,
            axis="instances, devices",
            colors={"hosted instances": p.NEUTRAL, "devices": "purple"},
            decimals=0,
            empty=EMPTY,
        ),
    ]


def _growth() -> list[p.Panel]:
    every = of_all(_COUNTED)

    def named(selector: str) -> str:
        return f'label_replace({selector}, "what", "$1", "__name__", "flowfuse_(.+)")'

    def change(since: str) -> str:
        """Of each platform by itself: one that was not there before has not grown from nothing."""
        return f"sum by (what) ({named(every)} - {named(f'last_over_time({every}[1h] offset {since})')})"

    return [
        t.rows(
            "Counts, and their growth",
            [
                f"sum by (what) ({named(every)})",
                change("1d"),
                change("1w"),
            ],
            [
                t.Column("what", "What", told=_WORDS),
                t.Column("Value #A", "Now", unit=p.COUNT_UNIT, width=75),
                t.Column("Value #B", "In a day", unit="short", width=85),
                t.Column("Value #C", "In a week", unit="short", width=95),
            ],
            "Every count of the platform as of now, and by how much it differs from a day and a week ago.",
            height=16,
            width=10,
            sort_by="Now",
            descending=True,
            empty=EMPTY,
        ),
        p.graph(
            "People and teams",
            [
                Query(total(COUNT["users"]), "users"),
                Query(total(COUNT["teams"]), "teams"),
                Query(total(COUNT["invitations"]), "invitations"),
            ],
            f"{COUNT['users'].help} {COUNT['teams'].help} {COUNT['invitations'].help}",
            unit=p.COUNT_UNIT,
            axis="users, teams, invitations",
            width=14,
            colors={"users": p.NEUTRAL, "teams": "purple", "invitations": p.MILD},
            decimals=0,
            empty=EMPTY,
        ),
        p.graph(
            "Snapshots",
            [Query(total(COUNT["snapshots"]), "snapshots")],
            COUNT["snapshots"].help,
            unit=p.COUNT_UNIT,
            axis="snapshots",
            width=7,
            color=p.NEUTRAL,
            decimals=0,
            empty=EMPTY,
        ),
        p.graph(
            "Libraries and brokers",
            [
                Query(total(COUNT["library_entries"]), "library entries"),
                Query(total(COUNT["shared_library_entries"]), "shared"),
                Query(total(COUNT["blueprints"]), "blueprints"),
                Query(total(COUNT["team_broker_clients"]), "broker clients"),
            ],
            "Entries of the libraries of instances and of the shared libraries of teams, flow blueprints, and clients "
            "of the team broker.",
            unit=p.COUNT_UNIT,
            axis="items",
            width=7,
            colors={
                "library entries": p.NEUTRAL,
                "shared": "purple",
                "blueprints": p.MILD,
                "broker clients": "#5ac8c8",
            },
            decimals=0,
            empty=NO_TABLE,
        ),
    ]


def _installation() -> list[p.Panel]:
    return [
        t.rows(
            "Platforms",
            [
                f"max by (instance, version, nodejs_version, driver) ({of(facts.PLATFORM_INFO)})",
                f"max by (instance) ({of(facts.INITIALISED)})",
            ],
            [
                t.Column("instance", "Instance"),
                t.Column("version", "FlowFuse", width=95),
                t.Column("nodejs_version", "Node.js", told={"": ("unknown", None)}, width=95),
                t.Column("driver", "Driver", width=100),
                t.Column(
                    "Value #B", "Set-up", told={"0": ("not completed", p.BAD), "1": ("completed", p.GOOD)}, width=115
                ),
            ],
            facts.PLATFORM_INFO.help,
            width=14,
            height=4,
            empty=NO_BRIDGE,
        ),
        p.number(
            "Features configured",
            Query(f"max by (feature) ({of(facts.FEATURE_ENABLED)})", "{{feature}}"),
            facts.FEATURE_ENABLED.help,
            unit="short",
            width=10,
            height=4,
            told={"0": ("off", p.QUIET), "1": ("on", p.GOOD)},
            names={"file_store": "file store"},
            empty=NO_BRIDGE,
        ),
        p.graph(
            "Subscriptions of teams",
            [
                Query(f"sum by (state) ({of(COUNT['teams_by_billing_state'])})", "{{state}}"),
                Query(f"sum by (state) ({of(COUNT['trials_by_state'])})", "trial: {{state}}"),
            ],
            f"{COUNT['teams_by_billing_state'].help} {COUNT['trials_by_state'].help}",
            unit=p.COUNT_UNIT,
            axis="teams",
            height=5,
            decimals=0,
            empty="only on a licensed platform that bills (billing in flowforge.yml)",
        ),
        p.graph(
            "Time FlowFuse takes to answer",
            [Query(of(facts.HTTP_DURATION), "{{instance}}")],
            facts.HTTP_DURATION.help,
            unit=p.SECONDS_UNIT,
            height=5,
            shades=p.NEUTRAL,
            empty="no answer, or not asked",
        ),
    ]
