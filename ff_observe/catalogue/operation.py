"""How the platform does: what is online and up to date, who is active, what will expire.

Sources: FlowFuse forge/db/models and forge/ee/db/models, forge/housekeeper/tasks.
"""

from ff_observe.catalogue.inventory import HOUR, MINUTE
from ff_observe.catalogue.model import Count
from ff_observe.catalogue.questions import (
    AgeBucket,
    All,
    Cases,
    CertificateExpiry,
    CertifiedNodes,
    DistinctSince,
    Earliest,
    Is,
    IsNull,
    IsTrue,
    LiesAhead,
    MostFrequent,
    Not,
    RowsBy,
    RowsByAge,
    RowsByCase,
    RowsWhere,
    Same,
)

_DAY = 24 * HOUR
_ONLINE = AgeBucket("online", 30 * MINUTE)  # forge/db/models/Device.js, status
_ACTIVE = (AgeBucket("day", _DAY), AgeBucket("week", 7 * _DAY), AgeBucket("month", 28 * _DAY))

# forge/db/controllers/Device.js, isDeploying: a target that is not the active snapshot.
_ROLL_OUT = Cases((("none", IsNull("target")), ("in_sync", Same("target", "active"))), "behind")
_EXPIRY = Cases((("never", IsNull("expires")), ("live", LiesAhead("expires"))), "expired")
# forge/db/models/AccessToken.js, getPersonalAccessTokens: those without a name are sessions of clients.
_PERSONAL = All((Is("owner_type", "user"), Not(IsNull("name"))))

OPERATION: tuple[Count, ...] = (
    Count(
        "flowfuse_devices_by_status",
        "Devices by status",
        "Devices by the status that FlowFuse shows since 2.33: `online` if seen within 30 minutes, `offline` if seen "
        "before, `not_seen` if never.",
        "{device}",
        ("status",),
        value_titles={"online": "Online", "offline": "Offline", "not_seen": "Not seen"},
        of=RowsByAge("devices", "last_seen", (_ONLINE,), never="not_seen", older="offline"),
    ),
    Count(
        "flowfuse_devices_by_state",
        "Devices by state",
        "Devices by the state their agents last reported; `none` before the first report. The 20 most frequent states; "
        "the others are `other`.",
        "{device}",
        ("state",),
        of=MostFrequent("devices", "state"),
        every_seconds=MINUTE,
    ),
    Count(
        "flowfuse_devices_by_rollout",
        "Devices by roll-out",
        "Devices by whether they run the snapshot they should: `in_sync`, `behind`, or `none` for devices that no "
        "snapshot was rolled out to.",
        "{device}",
        ("rollout",),
        of=RowsByCase("devices", _ROLL_OUT),
        every_seconds=MINUTE,
    ),
    Count(
        "flowfuse_device_editor_tunnels",
        "Editor tunnels",
        "Devices with an open tunnel to their editor.",
        "{device}",
        of=RowsWhere("devices", IsTrue("editor_connected")),
        every_seconds=MINUTE,
    ),
    Count(
        "flowfuse_device_group_devices",
        "Devices by device group",
        "Devices by the name of their device group and by roll-out (see `flowfuse_devices_by_rollout`); groups of the "
        "same name are one, `none` is devices without a group. The 20 largest groups; the others are `other`.",
        "{device}",
        ("device_group", "rollout"),
        of=MostFrequent("devices", "device_group", "device_groups", "name", _ROLL_OUT),
        every_seconds=5 * MINUTE,
    ),
    Count(
        "flowfuse_devices_by_agent_version",
        "Devices by agent version",
        "Devices by the version of the FlowFuse device agent they last reported. The 20 most frequent versions; the "
        "others are `other`.",
        "{device}",
        ("version",),
        of=MostFrequent("devices", "agent_version"),
        every_seconds=5 * MINUTE,
    ),
    Count(
        "flowfuse_devices_by_nodered_version",
        "Devices by Node-RED version",
        "Devices by the version of Node-RED they last reported. The 20 most frequent versions; the others are `other`.",
        "{device}",
        ("version",),
        of=MostFrequent("devices", "nodered_version"),
        every_seconds=5 * MINUTE,
    ),
    Count(
        "flowfuse_devices_by_nodejs_version",
        "Devices by Node version",
        "Devices by the version of Node.js they last reported. The 20 most frequent versions; the others are `other`.",
        "{device}",
        ("version",),
        of=MostFrequent("devices", "nodejs_version"),
        every_seconds=5 * MINUTE,
    ),
    Count(
        "flowfuse_users_active",
        "Active users",
        "Users with at least one entry in the audit log within a day, a week, or four weeks.",
        "{user}",
        ("window",),
        value_titles={"day": "Within one day", "week": "Within a week", "month": "Within 4 weeks"},
        of=DistinctSince("audit_log", "user", "created", _ACTIVE),
        every_seconds=15 * MINUTE,
    ),
    Count(
        "flowfuse_sessions",
        "Sessions",
        "Sessions of users in browsers that have not expired.",
        "{session}",
        of=RowsWhere("sessions", LiesAhead("expires")),
        every_seconds=MINUTE,
    ),
    Count(
        "flowfuse_access_tokens_by_expiry",
        "Access tokens by expiry",
        "Access tokens of every kind, of people and machines, that are valid (`live`), `expired`, or `never` expire. "
        "Those of instances and devices never do.",
        "{token}",
        ("expiry",),
        of=RowsByCase("access_tokens", _EXPIRY),
        every_seconds=5 * MINUTE,
    ),
    Count(
        "flowfuse_personal_access_tokens_by_expiry",
        "Personal tokens by expiry",
        "Personal access tokens of users that are valid (`live`), `expired`, or `never` expire.",
        "{token}",
        ("expiry",),
        of=RowsByCase("access_tokens", _EXPIRY, _PERSONAL),
        every_seconds=5 * MINUTE,
    ),
    Count(
        "flowfuse_personal_access_token_expiry_timestamp_seconds",
        "Next expiry of a token",
        "When the next of the users' personal access tokens expires, in seconds since 1970; absent if none will.",
        "s",
        of=Earliest("access_tokens", "expires", _PERSONAL),
        every_seconds=5 * MINUTE,
    ),
    Count(
        "flowfuse_sso_certificate_expiry_timestamp_seconds",
        "Expiry of SSO certificates",
        "When the certificate of each active SAML provider expires, in seconds since 1970. FlowFuse goes on accepting "
        "it, but the provider usually signs with another by then. A certificate that cannot be read has no sample.",
        "s",
        ("provider",),
        of=CertificateExpiry(),
        every_seconds=15 * MINUTE,
    ),
    Count(
        "flowfuse_trial_end_timestamp_seconds",
        "Next end of a trial",
        "When the next trial of a team ends, in seconds since 1970, on a licensed platform that bills; absent if none "
        "does.",
        "s",
        of=Earliest("subscriptions", "trial_ends", Is("status", "trial")),
        billing=True,
        every_seconds=15 * MINUTE,
    ),
    Count(
        "flowfuse_team_broker_agents_by_state",
        "Team broker agents by state",
        "Agents that watch the topics of the teams' own broker, by state.",
        "{agent}",
        ("state",),
        of=RowsBy("team_broker_agents", "state", ("running", "suspended")),
    ),
    Count(
        "flowfuse_remote_brokers_by_state",
        "MQTT brokers by state",
        "MQTT brokers known to teams by the state of their agent, FlowFuse's own built-in entry included.",
        "{broker}",
        ("state",),
        of=RowsBy("remote_brokers", "state", ("running", "suspended")),
    ),
    Count(
        "flowfuse_notifications_unread",
        "Unread notifications",
        "Notifications that their users have not read.",
        "{notification}",
        of=RowsWhere("notifications", Not(IsTrue("read"))),
        every_seconds=5 * MINUTE,
    ),
    Count(
        "flowfuse_certified_nodes",
        "Certified nodes",
        "Installations of FlowFuse's own packages of nodes, as FlowFuse reports them each night to "
        "ff-certified-nodes.flowfuse.cloud: on running instances, and in the active snapshots of running devices seen "
        "within a day. Absent where FlowFuse reports nothing: without a licence, or without a token for its registry. "
        "Its own report ends at the first such device without a snapshot, and then holds less. Instances whose modules "
        "FlowFuse has not listed in their settings are left out. The 100 most frequent packages; the others are "
        "`other`.",
        "{installation}",
        ("package",),
        of=CertifiedNodes(),
        licensed=True,
        every_seconds=HOUR,
    ),
)
