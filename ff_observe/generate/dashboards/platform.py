"""FlowFuse / Platform: what is running now, and how it moved."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import COUNTS, audit, facts
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.colors import STATES
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.metric_panels import increases, shares_by, values_over_time
from ff_observe.generate.dashboards.queries import COUNT, Query, named, of, of_all, once, total, total_by

EMPTY = "no answer from the database"
NO_TABLE = "no answer from the database, or a FlowFuse without this feature"
NOT_COUNTED = "no answer from the database, or the audit log is being counted"
NO_BRIDGE = "no data from a bridge"

_LAST_SEEN = {"day": p.GOOD, "week": p.MILD, "month": p.BAD, "older": p.WORST, "never": p.QUIET}

_COUNTED = tuple(count for count in COUNTS if not count.labels)
"""What the table of growth lists: a new count of the catalogue is in it by itself."""


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
            Row("From the audit log", _audited()),
            Row("Installation", _installation()),
        ],
    )


def _now() -> list[p.Panel]:
    devices = once(of(COUNT["devices_by_last_seen"]), "last_seen")
    today = total(COUNT["devices_by_last_seen"], 'last_seen="day"')
    return [
        p.number(
            facts.HTTP_UP.title,
            f"min({once(of(facts.HTTP_UP))})",
            facts.HTTP_UP.help + " Of several platforms, the worst.",
            unit="short",
            mappings={"0": ("no answer", p.WORST), "1": ("answers", p.GOOD)},
            empty="not asked, or no bridge",
        ),
        p.number(
            facts.DATABASE_UP.title,
            f"min({once(of(facts.DATABASE_UP))})",
            facts.DATABASE_UP.help + " Of several platforms, the worst.",
            unit="short",
            mappings={"0": ("unreachable", p.WORST), "1": ("answers", p.GOOD)},
            empty=NO_BRIDGE,
        ),
        *(
            p.number(count.title, total(count), count.help, unit=p.COUNT_UNIT, empty=EMPTY)
            for count in (COUNT["users"], COUNT["teams"])
        ),
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
    return [
        p.graph(
            COUNT["instances_by_state"].title,
            [Query(total_by(COUNT["instances_by_state"], "state"), "{{state}}")],
            COUNT["instances_by_state"].help,
            unit=p.COUNT_UNIT,
            axis="instances",
            colors=STATES,
            stacked=True,
            decimals=0,
            empty=EMPTY,
        ),
        values_over_time(COUNT["devices_by_last_seen"], _LAST_SEEN, axis="devices", empty=EMPTY),
        shares_by(COUNT["teams_by_type"], "team_type", width=6, empty=EMPTY),
        shares_by(COUNT["devices_by_mode"], "mode", width=6, empty=EMPTY),
        p.counts(
            "Hosted instances and devices",
            {COUNT["instances"]: p.NEUTRAL, COUNT["devices"]: "purple"},
            empty=EMPTY,
        ),
    ]


def _growth() -> list[p.Panel]:
    every = of_all(_COUNTED)

    def what(selector: str) -> str:
        return f'label_replace({selector}, "what", "$1", "__name__", "flowfuse_(.+)")'

    def change(since: str) -> str:
        """Of each bridge by itself: one that was not there before has not grown from nothing, and one that did not
        expose the id of its platform then has."""
        before = f"max by (job, instance, what) ({what(f'last_over_time({every}[1h] offset {since})')})"
        return f"sum by (what) ({once(f'{what(every)} - on (job, instance, what) group_left () {before}', 'what')})"

    return [
        t.rows(
            "Counts, and their growth",
            [
                f"sum by (what) ({once(what(every), 'what')})",
                change("1d"),
                change("1w"),
            ],
            [
                t.Column(
                    "what",
                    "What",
                    mappings=p.titled({name: count.title for name, count in COUNT.items() if count in _COUNTED}),
                ),
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
        p.counts(
            "People and teams",
            {COUNT["users"]: p.NEUTRAL, COUNT["teams"]: "purple", COUNT["invitations"]: p.MILD},
            width=14,
            empty=EMPTY,
        ),
        p.counts(COUNT["snapshots"].title, {COUNT["snapshots"]: p.NEUTRAL}, width=7, empty=EMPTY),
        p.counts(
            "Libraries and brokers",
            {
                COUNT["library_entries"]: p.NEUTRAL,
                COUNT["shared_library_entries"]: "purple",
                COUNT["blueprints"]: p.MILD,
                COUNT["team_broker_clients"]: "#5ac8c8",
            },
            axis="items",
            width=7,
            empty=NO_TABLE,
        ),
    ]


def _audited() -> list[p.Panel]:
    events = once(f"increase({of(audit.AUDIT_EVENTS)}[$__rate_interval])", "event")
    return [
        *(increases(metric, p.NEUTRAL, width=8, empty=NOT_COUNTED) for metric in audit.DERIVED),
        p.graph(
            audit.AUDIT_EVENTS.title,
            [Query(f"topk(10, sum by (event) ({events})) > 0", "{{event}}")],
            audit.AUDIT_EVENTS.help,
            unit=p.COUNT_UNIT,
            width=16,
            shades=p.NEUTRAL,
            decimals=0,
            interval="1h",
            empty=NOT_COUNTED,
        ),
    ]


def _installation() -> list[p.Panel]:
    return [
        t.rows(
            "Platforms",
            [
                named(once(of(facts.PLATFORM_INFO), "version", "nodejs_version", "driver")),
                named(once(of(facts.INITIALISED))),
            ],
            [
                t.Column("name", "Platform"),
                t.Column("version", "FlowFuse", width=95),
                t.Column("nodejs_version", "Node.js", mappings={"": ("unknown", None)}, width=95),
                t.Column("driver", "Driver", width=100),
                t.Column(
                    "Value #B",
                    facts.INITIALISED.title,
                    mappings={"0": ("not completed", p.BAD), "1": ("completed", p.GOOD)},
                    width=115,
                ),
            ],
            facts.PLATFORM_INFO.help,
            width=14,
            height=4,
            empty=NO_BRIDGE,
        ),
        p.number(
            facts.FEATURE_ENABLED.title,
            Query(f"max by (feature) ({of(facts.FEATURE_ENABLED)})", "{{feature}}"),
            facts.FEATURE_ENABLED.help,
            unit="short",
            width=10,
            height=4,
            mappings={"0": ("off", p.QUIET), "1": ("on", p.GOOD)},
            names=facts.FEATURE_ENABLED.value_titles,
            empty=NO_BRIDGE,
        ),
        p.graph(
            "Subscriptions of teams",
            [
                Query(total_by(COUNT["teams_by_billing_state"], "state"), "{{state}}"),
                Query(total_by(COUNT["trials_by_state"], "state"), "trial: {{state}}"),
            ],
            f"{COUNT['teams_by_billing_state'].help} {COUNT['trials_by_state'].help}",
            unit=p.COUNT_UNIT,
            axis="teams",
            height=5,
            decimals=0,
            empty="only on a licensed platform that bills (billing in flowforge.yml)",
        ),
        p.graph(
            facts.HTTP_DURATION.title,
            [Query(named(once(of(facts.HTTP_DURATION))), "{{name}}")],
            facts.HTTP_DURATION.help,
            unit=p.SECONDS_UNIT,
            height=5,
            shades=p.NEUTRAL,
            empty="no answer, or not asked",
        ),
    ]
