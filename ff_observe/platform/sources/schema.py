"""FlowFuse's spelling of its tables and columns: the only place that knows it. Logical names are those of the
catalogue.

The names are the same on SQLite and PostgreSQL, and case-sensitive (FlowFuse forge/db/models; which version has which
table is determined from the database itself).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Table:
    """FlowFuse's name of a table, and of those columns that are read: logical name to FlowFuse's.

    Of `private` columns one value is taken out by the statement; what else they hold may be secret. A role that only
    reads (`privileges.py`) is not granted them; the counts that need them are then absent. Of a `dated` table, the
    history reads when its rows were made.
    """

    name: str
    columns: Mapping[str, str] = field(default_factory=dict)
    key: str = "id"
    private: tuple[str, ...] = ()
    dated: bool = False


CREATED_AT = "createdAt"
"""The time at which a row was made, in every table of FlowFuse's."""

TABLES: Mapping[str, Table] = {
    "users": Table(
        "Users",
        {
            "admin": "admin",
            "mfa": "mfa_enabled",
            "sso": "sso_enabled",
            "suspended": "suspended",
            "email_verified": "email_verified",
        },
        dated=True,
    ),
    "memberships": Table("TeamMembers", {"role": "role", "team": "TeamId"}, key="UserId"),
    "invitations": Table("Invitations"),
    "sessions": Table("Sessions", {"expires": "expiresAt"}, key="sid"),
    "access_tokens": Table("AccessTokens", {"expires": "expiresAt", "owner_type": "ownerType", "name": "name"}),
    "sso_providers": Table(
        "SAMLProviders",
        {"name": "name", "active": "active", "type": "type", "options": "options"},
        private=("options",),
    ),
    "teams": Table(
        "Teams", {"team_type": "TeamTypeId", "suspended": "suspended", "properties": "properties"}, dated=True
    ),
    "team_types": Table("TeamTypes", {"name": "name", "properties": "properties"}),
    "applications": Table("Applications"),
    "instances": Table(
        "Projects",
        {"state": "state", "team": "TeamId", "stack": "ProjectStackId", "instance_type": "ProjectTypeId"},
        dated=True,
    ),
    "instance_types": Table("ProjectTypes", {"name": "name"}),
    "instance_settings": Table(
        "ProjectSettings",
        {"instance": "ProjectId", "key": "key", "value": "value", "value_type": "valueType"},
        private=("value",),
    ),
    "devices": Table(
        "Devices",
        {
            "mode": "mode",
            "last_seen": "lastSeenAt",
            "state": "state",
            "team": "TeamId",
            "target": "targetSnapshotId",
            "active": "activeSnapshotId",
            "device_group": "DeviceGroupId",
            "agent_version": "agentVersion",
            "nodered_version": "nodeRedVersion",
            "nodejs_version": "nodejsVersion",
            "editor_connected": "editorConnected",
        },
        dated=True,
    ),
    "device_groups": Table("DeviceGroups", {"name": "name"}),
    "snapshots": Table("ProjectSnapshots", {"name": "name", "settings": "settings"}, private=("settings",), dated=True),
    "templates": Table("ProjectTemplates"),
    "stacks": Table("ProjectStacks", {"name": "name", "replaced_by": "replacedBy"}),
    "library_entries": Table("StorageLibraries"),
    "blueprints": Table("FlowTemplates"),
    "shared_library_entries": Table("StorageSharedLibraries"),
    "pipelines": Table("Pipelines"),
    "pipeline_stages": Table("PipelineStages"),
    "git_stages": Table("PipelineStageGitRepos", {"status": "status"}),
    "git_tokens": Table("GitTokens"),
    "team_tables": Table("Tables"),
    "mcp_registrations": Table("MCPRegistrations"),
    "topic_schemas": Table("MQTTTopicSchemas"),
    "team_broker_clients": Table("TeamBrokerClients"),
    "team_broker_agents": Table("TeamBrokerAgents", {"state": "state"}),
    "remote_brokers": Table("BrokerCredentials", {"state": "state"}),
    "subscriptions": Table(
        "Subscriptions", {"status": "status", "trial_status": "trialStatus", "trial_ends": "trialEndsAt"}
    ),
    "notifications": Table("Notifications", {"read": "read"}),
    "audit_log": Table(
        "AuditLogs",
        {
            "event": "event",
            "body": "body",
            "entity_type": "entityType",
            "source": "source",
            "user": "UserId",
            "created": "createdAt",
        },
    ),
}

AUDIT_LOG = TABLES["audit_log"]
"""FlowFuse only ever adds rows. `source` is there since 2.33."""

SETTINGS = Table("PlatformSettings", {"key": "key", "value": "value", "value_type": "valueType"}, key="key")
"""One row per setting. `valueType` 0: `value` is text; 1: `value` is JSON (forge/db/models/PlatformSettings.js)."""

INSTANCE_ID = "instanceId"
INITIALISED = "setup:initialised"
TELEMETRY_ENABLED = "telemetry:enabled"
LICENCE = "license"

SETTING_KEYS = (INSTANCE_ID, INITIALISED, TELEMETRY_ENABLED, LICENCE)
"""The settings that are read. The table also holds FlowFuse's own secrets, which never leave the database."""

REGISTRY_TOKEN = "platform:ff-npm-registry:token"  # noqa: S105 - the name of a setting
"""Whether it is there decides what FlowFuse reports of certified nodes; its value is not read."""
