"""What else is on the platform, in FlowFuse's tables and on its disk, and how much of it.

Sources: FlowFuse forge/db/models and forge/ee/db/models.
"""

from ff_observe.catalogue.model import Count
from ff_observe.catalogue.questions import (
    BeginsWith,
    Cases,
    DatabaseSize,
    DiskFree,
    Is,
    IsNull,
    IsTrue,
    MostFrequent,
    Not,
    Rows,
    RowsBy,
    RowsByCase,
    RowsWhere,
    TableSizes,
    TeamsOverLimit,
)

MINUTE = 60
HOUR = 3600

# Role numbers: forge/lib/roles.js.
_ROLES = Cases(
    (
        ("owner", Is("role", 50)),
        ("member", Is("role", 30)),
        ("viewer", Is("role", 10)),
        ("dashboard", Is("role", 5)),
    ),
    "other",
)
# "Latest version" of a stack: forge/db/models/ProjectStack.js, findLatestStack.
_OUTDATED = Cases((("false", IsNull("other.replaced_by")),), "true")
# forge/db/controllers/ProjectSnapshot.js, DEVICE_AUTO_SNAPSHOT_PREFIX and INSTANCE_AUTO_SNAPSHOT_PREFIX.
_ORIGIN = Cases((("automatic", BeginsWith("name", "Auto Snapshot - ")),), "manual")

INVENTORY: tuple[Count, ...] = (
    Count(
        "flowfuse_users_with_mfa",
        "Users with two factors",
        "Users with multi-factor authentication switched on.",
        "{user}",
        of=RowsWhere("users", IsTrue("mfa")),
    ),
    Count(
        "flowfuse_users_with_sso",
        "Users with single sign-on",
        "Users who sign in through an SSO provider.",
        "{user}",
        of=RowsWhere("users", IsTrue("sso")),
    ),
    Count(
        "flowfuse_users_suspended",
        "Suspended users",
        "Users who are suspended and cannot sign in.",
        "{user}",
        of=RowsWhere("users", IsTrue("suspended")),
    ),
    Count(
        "flowfuse_users_unverified",
        "Unverified users",
        "Users who have not confirmed their e-mail address.",
        "{user}",
        of=RowsWhere("users", Not(IsTrue("email_verified"))),
    ),
    Count(
        "flowfuse_memberships_by_role",
        "Memberships by role",
        "Memberships in teams by role: a user counts once for each team.",
        "{membership}",
        ("role",),
        of=RowsByCase("memberships", _ROLES),
        every_seconds=MINUTE,
    ),
    Count(
        "flowfuse_teams_suspended",
        "Suspended teams",
        "Teams that are suspended.",
        "{team}",
        of=RowsWhere("teams", IsTrue("suspended")),
    ),
    Count(
        "flowfuse_teams_over_limit",
        "Teams over a limit",
        "Teams with more members, devices or runtimes (instances and devices together) than their team type or their "
        "own override allows. Limits of single instance types are not looked at.",
        "{team}",
        ("limit",),
        label_values=("users", "devices", "runtimes"),
        of=TeamsOverLimit(),
        every_seconds=15 * MINUTE,
    ),
    Count(
        "flowfuse_applications",
        "Applications",
        "Applications of all teams.",
        "{application}",
        of=Rows("applications"),
    ),
    Count(
        "flowfuse_device_groups",
        "Device groups",
        "Device groups of all applications.",
        "{group}",
        of=Rows("device_groups"),
    ),
    Count(
        "flowfuse_pipelines",
        "Pipelines",
        "DevOps pipelines of all applications.",
        "{pipeline}",
        of=Rows("pipelines"),
    ),
    Count(
        "flowfuse_pipeline_stages",
        "Pipeline stages",
        "Stages of all DevOps pipelines.",
        "{stage}",
        of=Rows("pipeline_stages"),
    ),
    Count(
        "flowfuse_git_stages_by_status",
        "Git stages by status",
        "Pipeline stages that push to or pull from a Git repository, by how that last went; `none` before the first "
        "time.",
        "{stage}",
        ("status",),
        of=RowsBy("git_stages", "status", ("success", "error", "pushing", "pulling")),
    ),
    Count(
        "flowfuse_git_tokens",
        "Git tokens",
        "Tokens for Git repositories that teams have stored.",
        "{token}",
        of=Rows("git_tokens"),
    ),
    Count(
        "flowfuse_team_tables",
        "Team tables",
        "Databases that teams have made with FlowFuse Tables.",
        "{database}",
        of=Rows("team_tables"),
    ),
    Count(
        "flowfuse_mcp_registrations",
        "MCP registrations",
        "MCP servers that instances and devices have registered.",
        "{registration}",
        of=Rows("mcp_registrations"),
    ),
    Count(
        "flowfuse_topic_schemas",
        "MQTT topic schemas",
        "MQTT topics that FlowFuse has seen on the teams' brokers.",
        "{topic}",
        of=Rows("topic_schemas"),
    ),
    Count(
        "flowfuse_instances_by_stack",
        "Hosted instances by stack",
        "Hosted instances by the name of their stack, and whether a newer one has replaced it (`outdated`). The 20 "
        "stacks with most instances; the others are `other`.",
        "{instance}",
        ("stack", "outdated"),
        of=MostFrequent("instances", "stack", "stacks", "name", _OUTDATED),
        every_seconds=MINUTE,
    ),
    Count(
        "flowfuse_instances_by_type",
        "Hosted instances by type",
        "Hosted instances by the name of their instance type. The 20 types with most instances; the others are "
        "`other`.",
        "{instance}",
        ("instance_type",),
        of=MostFrequent("instances", "instance_type", "instance_types", "name"),
        every_seconds=MINUTE,
    ),
    Count(
        "flowfuse_snapshots_by_origin",
        "Snapshots by origin",
        "Snapshots that FlowFuse made by itself (`automatic`: their names begin with `Auto Snapshot - `), and all "
        "others.",
        "{snapshot}",
        ("origin",),
        of=RowsByCase("snapshots", _ORIGIN),
        every_seconds=15 * MINUTE,
    ),
    Count(
        "flowfuse_database_size_bytes",
        "Size of the database",
        "Size of FlowFuse's database with all its tables and indexes.",
        "By",
        of=DatabaseSize(),
        every_seconds=MINUTE,
    ),
    Count(
        "flowfuse_table_size_bytes",
        "Size of the largest tables",
        "Size of the ten largest tables of FlowFuse's database, with their indexes. With SQLite only where the "
        "database has at most 256 MiB and SQLite's library has `dbstat`, which reads all of it.",
        "By",
        ("table",),
        of=TableSizes(),
        every_seconds=HOUR,
    ),
    Count(
        "flowfuse_database_disk_free_bytes",
        "Free disk space",
        "Space that is free on the disk with FlowFuse's SQLite database. With PostgreSQL only its server can tell: "
        "absent.",
        "By",
        of=DiskFree(),
        every_seconds=MINUTE,
    ),
)
