"""What is counted. This is the file to edit for a new count; every output, document and dashboard follows from it.

The order is the order of the ping. Sources: FlowFuse forge/monitor (ping) and forge/routes/api/admin.js (statistics).
"""

from ff_observe.catalogue.model import AgeBucket, Count, PingField, Rows, RowsBy, RowsByAge, RowsByName, RowsWhere

DAY_SECONDS = 86_400

LAST_SEEN_BUCKETS = (
    AgeBucket("day", DAY_SECONDS),
    AgeBucket("week", 7 * DAY_SECONDS),
    AgeBucket("month", 28 * DAY_SECONDS),  # FlowFuse's month is four weeks
)

COUNTS: tuple[Count, ...] = (
    Count(
        "flowfuse_users",
        "Registered users, suspended ones included.",
        "{user}",
        of=Rows("users"),
        ping=(PingField(("users",)),),
    ),
    Count(
        "flowfuse_admins",
        "Users who are platform administrators.",
        "{user}",
        of=RowsWhere("users", "admin"),
    ),
    Count(
        "flowfuse_invitations",
        "Open invitations to teams, expired ones included until FlowFuse deletes them.",
        "{invitation}",
        of=Rows("invitations"),
    ),
    Count(
        "flowfuse_teams",
        "Teams, suspended ones included.",
        "{team}",
        of=Rows("teams"),
        ping=(PingField(("teams",)),),
    ),
    Count(
        "flowfuse_teams_by_type",
        "Teams by the name of their team type; `none` for teams without one.",
        "{team}",
        ("team_type",),
        of=RowsByName("teams", "team_type", "team_types", "name"),
    ),
    Count(
        "flowfuse_instances",
        "Hosted Node-RED instances in any state.",
        "{instance}",
        of=Rows("instances"),
        ping=(PingField(("projects",)),),
    ),
    Count(
        "flowfuse_instances_by_state",
        "Hosted Node-RED instances by the state in FlowFuse's database, which is the one asked for: `running`, "
        "`stopped` or `suspended`. FlowFuse keeps crashes and starts in memory only: a crashed instance is `running`.",
        "{instance}",
        ("state",),
        of=RowsBy("instances", "state", ("running", "suspended")),
        ping=(PingField(("projectsByState", "suspended"), "suspended"),),
    ),
    Count(
        "flowfuse_devices",
        "Registered devices (remote instances).",
        "{device}",
        of=Rows("devices"),
        ping=(PingField(("devices",)),),
    ),
    Count(
        "flowfuse_devices_by_mode",
        "Devices by mode; `none` for devices without one.",
        "{device}",
        ("mode",),
        of=RowsBy("devices", "mode", ("autonomous", "developer")),
    ),
    Count(
        "flowfuse_devices_by_last_seen",
        "Devices by when they last called home: within a day, a week, four weeks, longer ago, or never. "
        "Each device is in one bucket. FlowFuse itself, since 2.33, shows a device as online for 30 minutes after a "
        "call.",
        "{device}",
        ("last_seen",),
        of=RowsByAge("devices", "last_seen", LAST_SEEN_BUCKETS),
        ping=(
            PingField(("devicesByLastSeen", "never"), "never"),
            PingField(("devicesByLastSeen", "day"), "day"),
        ),
    ),
    Count(
        "flowfuse_snapshots",
        "Snapshots of instances and devices.",
        "{snapshot}",
        of=Rows("snapshots"),
        ping=(PingField(("projectSnapshots",)),),
    ),
    # FlowFuse sends the number of stacks as `projectTemplates` and of templates as `projectStacks` (every version from
    # 2.0 on, forge/monitor/metrics). Ours are each under their own name; PRIVACY.md tells so.
    Count(
        "flowfuse_templates",
        "Templates for instances. FlowFuse itself sends this number as `projectStacks`; here both have their own name.",
        "{template}",
        of=Rows("templates"),
        ping=(PingField(("projectTemplates",)),),
    ),
    Count(
        "flowfuse_stacks",
        "Stacks (Node-RED versions) on offer. FlowFuse itself sends this number as `projectTemplates`; "
        "here both have their own name.",
        "{stack}",
        of=Rows("stacks"),
        ping=(PingField(("projectStacks",)),),
    ),
    Count(
        "flowfuse_library_entries",
        "Entries in the libraries of instances.",
        "{entry}",
        of=Rows("library_entries"),
        ping=(PingField(("libraryEntries",)),),
    ),
    Count(
        "flowfuse_blueprints",
        "Flow blueprints.",
        "{blueprint}",
        of=Rows("blueprints"),
        ping=(PingField(("blueprints",)),),
        enterprise=True,
    ),
    Count(
        "flowfuse_shared_library_entries",
        "Entries in the shared libraries of teams.",
        "{entry}",
        of=Rows("shared_library_entries"),
        ping=(PingField(("sharedLibraryEntries",)),),
        enterprise=True,
    ),
    Count(
        "flowfuse_team_broker_clients",
        "Clients of the teams' MQTT broker.",
        "{client}",
        of=Rows("team_broker_clients"),
        ping=(PingField(("teamBrokerClients",)),),
        enterprise=True,
    ),
    Count(
        "flowfuse_remote_brokers",
        "MQTT brokers known to teams, FlowFuse's own built-in entry included.",
        "{broker}",
        of=Rows("remote_brokers"),
        ping=(PingField(("remoteBrokers",)),),
        enterprise=True,
    ),
    Count(
        "flowfuse_teams_by_billing_state",
        "Subscriptions of teams by status, on a licensed platform that bills.",
        "{team}",
        ("state",),
        of=RowsBy("subscriptions", "status"),
        billing=True,
    ),
    Count(
        "flowfuse_trials_by_state",
        "Subscriptions on trial by the state of the trial, on a licensed platform that bills.",
        "{team}",
        ("state",),
        of=RowsBy("subscriptions", "trial_status", only=("status", "trial")),
        billing=True,
    ),
)
