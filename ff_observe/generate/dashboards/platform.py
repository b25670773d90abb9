"""FlowFuse / Platform: what is running now, and how it moved."""

from ff_observe.catalogue import audit, facts
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.colors import STATES
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import (
    COUNT,
    COUNTED,
    Query,
    each,
    named,
    of,
    of_all,
    once,
    total,
    total_by,
    what,
)

NO_TABLE = "no answer from the database, or a FlowFuse without this feature"

_LAST_SEEN = {"day": p.GOOD, "week": p.MILD, "month": p.BAD, "older": p.WORST, "never": p.QUIET}


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-platform",
        "Users, teams, hosted instances, devices and what they hold: now, and how it moved.",
        facts.UP,
        {
            "": _now(),
            "Instances and devices": _running(),
            "Growth": _growth(),
            "From the audit log": _audited(),
            "Installation": _installation(),
        },
        empty=p.NO_ANSWER,
    )


def _now() -> list[p.Panel]:
    devices = once(of(COUNT["devices_by_last_seen"]), "last_seen")
    today = total(COUNT["devices_by_last_seen"], 'last_seen="day"')
    return [
        p.answers(facts.HTTP_UP, "no answer", empty="not asked, or no bridge"),
        p.answers(facts.DATABASE_UP, "unreachable", empty=p.NO_BRIDGE),
        p.number(COUNT["users"]),
        p.number(COUNT["teams"]),
        p.number(
            "Running",
            total(COUNT["instances_by_state"], 'state="running"'),
            "Hosted Node-RED instances that should run: those in the state `running`, crashed ones included.",
        ),
        p.number(
            "Devices today",
            f"{today} / (sum({devices}) > 0)",
            "The share of all registered devices that called home within a day. FlowFuse itself, since 2.33, calls a "
            "device online for 30 minutes only.",
            unit=p.SHARE_UNIT,
            decimals=0,
            steps=p.SHARE_STEPS,
            empty="no devices, or no answer",
        ),
    ]


def _running() -> list[p.Panel]:
    return [
        p.graph(COUNT["instances_by_state"], axis="instances", colors=STATES, stacked=True),
        p.values_over_time(COUNT["devices_by_last_seen"], _LAST_SEEN, axis="devices"),
        p.shares(COUNT["teams_by_type"], width=6),
        p.shares(COUNT["devices_by_mode"], width=6),
        p.counts("Hosted instances and devices", {COUNT["instances"]: p.NEUTRAL, COUNT["devices"]: "purple"}),
    ]


def _growth() -> list[p.Panel]:
    every = of_all(COUNTED)

    def change(since: str) -> str:
        """Of each bridge by itself: one that was not there before has not grown from nothing, and one that did not
        expose the id of its platform then has."""
        before = f"max by (job, instance, what) ({what(f'last_over_time({every}[1h] offset {since})')})"
        return f"sum by (what) ({once(f'{what(every)} - on (job, instance, what) group_left () {before}', 'what')})"

    return [
        t.rows(
            "Counts, and their growth",
            [
                t.what(COUNTED),
                t.Values(f"sum by (what) ({once(what(every), 'what')})", "Now", unit=p.COUNT_UNIT, width=75),
                t.Values(change("1d"), "In a day", unit="short", width=85),
                t.Values(change("1w"), "In a week", unit="short", width=95),
            ],
            "Every count of the platform as of now, and by how much it differs from a day and a week ago.",
            height=16,
            width=10,
            sort_by="Now",
            descending=True,
        ),
        p.counts(
            "People and teams",
            {COUNT["users"]: p.NEUTRAL, COUNT["teams"]: "purple", COUNT["invitations"]: p.MILD},
            width=14,
        ),
        p.counts(COUNT["snapshots"].title, {COUNT["snapshots"]: p.NEUTRAL}, width=7),
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
        *(p.increases(metric, width=8, empty=p.NOT_COUNTED) for metric in audit.DERIVED),
        p.graph(
            audit.AUDIT_EVENTS,
            [Query(f"topk(10, sum by (event) ({events})) > 0", "{{event}}")],
            width=16,
            shades=p.CLASSIC,
            interval="1h",
            empty=p.NOT_COUNTED,
        ),
    ]


def _installation() -> list[p.Panel]:
    billing, trials = COUNT["teams_by_billing_state"], COUNT["trials_by_state"]
    return [
        t.rows(
            "Platforms",
            [
                t.Column("name", "Platform"),
                t.Column("version", "FlowFuse", width=95),
                t.Column("nodejs_version", "Node.js", mappings={"": ("unknown", None)}, width=95),
                t.Column("driver", "Driver", width=100),
                t.Values(
                    named(once(of(facts.INITIALISED))),
                    facts.INITIALISED.title,
                    mappings={"0": ("not completed", p.BAD), "1": ("completed", p.GOOD)},
                    width=115,
                ),
            ],
            facts.PLATFORM_INFO.help,
            labels_of=named(once(of(facts.PLATFORM_INFO), "version", "nodejs_version", "driver")),
            width=14,
            height=4,
            empty=p.NO_BRIDGE,
        ),
        p.number(
            facts.FEATURE_ENABLED,
            Query(f"max by (feature) ({of(facts.FEATURE_ENABLED)})", "{{feature}}"),
            width=10,
            height=4,
            mappings={"0": ("off", p.QUIET), "1": ("on", p.GOOD)},
            names=facts.FEATURE_ENABLED.value_titles,
            empty=p.NO_BRIDGE,
        ),
        p.graph(
            "Subscriptions of teams",
            [each(billing), Query(total_by(trials, "state"), "trial: {{state}}")],
            f"{billing.help} {trials.help}",
            axis="teams",
            height=5,
            shades=p.CLASSIC,
            empty="only on a licensed platform that bills (billing in flowforge.yml)",
        ),
        p.graph(
            facts.HTTP_DURATION,
            [Query(named(once(of(facts.HTTP_DURATION))), "{{name}}")],
            unit=p.SECONDS_UNIT,
            height=5,
            empty="no answer, or not asked",
        ),
    ]
