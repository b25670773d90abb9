"""What is counted: here, what FlowFuse's own ping and statistics report; in `inventory` and `operation`, the rest.

The order here is that of the ping. Sources: FlowFuse forge/monitor (ping), forge/routes/api/admin.js (statistics).
"""

from ff_observe.catalogue.inventory import INVENTORY
from ff_observe.catalogue.model import Count
from ff_observe.catalogue.operation import OPERATION
from ff_observe.catalogue.ping_field import CLIENTS, LICENSED, MADE, SET_UP, SIZE, USE, PingField
from ff_observe.catalogue.questions import AgeBucket, Is, IsTrue, MostFrequent, Rows, RowsBy, RowsByAge, RowsWhere

DAY_SECONDS = 86_400

LAST_SEEN_BUCKETS = (
    AgeBucket("day", DAY_SECONDS),
    AgeBucket("week", 7 * DAY_SECONDS),
    AgeBucket("month", 28 * DAY_SECONDS),  # FlowFuse's month is four weeks
)

REPORTED: tuple[Count, ...] = (
    Count(
        "flowfuse_users",
        "Users",
        "Registered users, suspended ones included.",
        "{user}",
        of=Rows("users"),
        ping=(PingField(("users",), review=SIZE, bound=LICENSED),),
    ),
    Count(
        "flowfuse_admins",
        "Administrators",
        "Users who are platform administrators.",
        "{user}",
        of=RowsWhere("users", IsTrue("admin")),
    ),
    Count(
        "flowfuse_invitations",
        "Invitations",
        "Open invitations to teams, expired ones included until FlowFuse deletes them.",
        "{invitation}",
        of=Rows("invitations"),
    ),
    Count(
        "flowfuse_teams",
        "Teams",
        "Teams, suspended ones included.",
        "{team}",
        of=Rows("teams"),
        ping=(PingField(("teams",), review=SIZE, bound=LICENSED),),
    ),
    Count(
        "flowfuse_teams_by_type",
        "Teams by type",
        "Teams by the name of their team type; `none` for teams without one.",
        "{team}",
        ("team_type",),
        of=MostFrequent("teams", "team_type", "team_types", "name", most=100),
    ),
    Count(
        "flowfuse_instances",
        "Hosted instances",
        "Hosted Node-RED instances in any state.",
        "{instance}",
        of=Rows("instances"),
        ping=(PingField(("projects",), review=SIZE, bound=LICENSED),),
    ),
    Count(
        "flowfuse_instances_by_state",
        "Hosted instances by state",
        "Hosted Node-RED instances by the state in FlowFuse's database, which is the one asked for: `running`, "
        "`stopped` or `suspended`. FlowFuse keeps crashes and starts in memory only: a crashed instance is `running`.",
        "{instance}",
        ("state",),
        of=RowsBy("instances", "state", ("running", "suspended")),
        ping=(
            PingField(
                ("projectsByState", "suspended"), "suspended", "Suspended instances", review=SIZE, bound=LICENSED
            ),
        ),
    ),
    Count(
        "flowfuse_devices",
        "Devices",
        "Registered devices (remote instances).",
        "{device}",
        of=Rows("devices"),
        ping=(PingField(("devices",), review=SIZE, bound=LICENSED),),
    ),
    Count(
        "flowfuse_devices_by_mode",
        "Devices by mode",
        "Devices by mode; `none` for devices without one.",
        "{device}",
        ("mode",),
        of=RowsBy("devices", "mode", ("autonomous", "developer")),
    ),
    Count(
        "flowfuse_devices_by_last_seen",
        "Devices by last call home",
        "Devices by when they last called home: within a day, a week, four weeks, longer ago, or never. "
        "Each device is in one bucket. FlowFuse itself, since 2.33, shows a device as online for 30 minutes after a "
        "call.",
        "{device}",
        ("last_seen",),
        value_titles={
            "day": "Within a day",
            "week": "A day to a week ago",
            "month": "A week to 4 weeks ago",
            "older": "Longer ago",
            "never": "Never",
        },
        of=RowsByAge("devices", "last_seen", LAST_SEEN_BUCKETS),
        ping=(
            PingField(("devicesByLastSeen", "never"), "never", "Devices never seen", review=SIZE, bound=LICENSED),
            PingField(("devicesByLastSeen", "day"), "day", "Devices seen within a day", review=SIZE, bound=LICENSED),
        ),
    ),
    Count(
        "flowfuse_snapshots",
        "Snapshots",
        "Snapshots of instances and devices.",
        "{snapshot}",
        of=Rows("snapshots"),
        ping=(PingField(("projectSnapshots",), review=SIZE, bound=MADE),),
    ),
    # FlowFuse sends the number of stacks as `projectTemplates` and of templates as `projectStacks` (every version from
    # 2.0 on, forge/monitor/metrics). Ours are each under their own name; PRIVACY.md says so.
    Count(
        "flowfuse_templates",
        "Templates",
        "Templates for instances. FlowFuse itself sends this number as `projectStacks`; here both have their own name.",
        "{template}",
        of=Rows("templates"),
        ping=(PingField(("projectTemplates",), review=USE, bound=SET_UP),),
    ),
    Count(
        "flowfuse_stacks",
        "Stacks",
        "Stacks (Node-RED versions) on offer. FlowFuse itself sends this number as `projectTemplates`; "
        "here both have their own name.",
        "{stack}",
        of=Rows("stacks"),
        ping=(PingField(("projectStacks",), review=USE, bound=SET_UP),),
    ),
    Count(
        "flowfuse_library_entries",
        "Library entries",
        "Entries in the libraries of instances.",
        "{entry}",
        of=Rows("library_entries"),
        ping=(PingField(("libraryEntries",), review=USE, bound=MADE),),
    ),
    Count(
        "flowfuse_blueprints",
        "Blueprints",
        "Flow blueprints.",
        "{blueprint}",
        of=Rows("blueprints"),
        ping=(PingField(("blueprints",), review=USE, bound=SET_UP),),
        enterprise=True,
    ),
    Count(
        "flowfuse_shared_library_entries",
        "Shared library entries",
        "Entries in the shared libraries of teams.",
        "{entry}",
        of=Rows("shared_library_entries"),
        ping=(PingField(("sharedLibraryEntries",), review=USE, bound=MADE),),
        enterprise=True,
    ),
    Count(
        "flowfuse_team_broker_clients",
        "Clients of team brokers",
        "Clients of the teams' MQTT broker.",
        "{client}",
        of=Rows("team_broker_clients"),
        ping=(PingField(("teamBrokerClients",), review=USE, bound=CLIENTS),),
        enterprise=True,
    ),
    Count(
        "flowfuse_remote_brokers",
        "MQTT brokers",
        "MQTT brokers known to teams, FlowFuse's own built-in entry included.",
        "{broker}",
        of=Rows("remote_brokers"),
        ping=(PingField(("remoteBrokers",), review=USE, bound=SET_UP),),
        enterprise=True,
    ),
    Count(
        "flowfuse_teams_by_billing_state",
        "Subscriptions by state",
        "Subscriptions of teams by status, on a licensed platform that bills.",
        "{team}",
        ("state",),
        of=RowsBy("subscriptions", "status"),
        billing=True,
    ),
    Count(
        "flowfuse_trials_by_state",
        "Trials by state",
        "Subscriptions on trial by the state of the trial, on a licensed platform that bills.",
        "{team}",
        ("state",),
        of=RowsBy("subscriptions", "trial_status", where=Is("status", "trial")),
        billing=True,
    ),
)

COUNTS: tuple[Count, ...] = (*REPORTED, *INVENTORY, *OPERATION)
