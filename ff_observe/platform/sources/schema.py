"""FlowFuse's spelling of its tables and columns: the only place that knows it. Logical names are those of the
catalogue.

The names are the same on SQLite and PostgreSQL, and case-sensitive (FlowFuse forge/db/models; which version has which
table is determined from the database itself).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Table:
    """FlowFuse's name of a table, and of those columns that are read: logical name to FlowFuse's."""

    name: str
    columns: Mapping[str, str] = field(default_factory=dict)
    key: str = "id"


TABLES: Mapping[str, Table] = {
    "users": Table("Users", {"admin": "admin"}),
    "invitations": Table("Invitations"),
    "teams": Table("Teams", {"team_type": "TeamTypeId"}),
    "team_types": Table("TeamTypes", {"name": "name"}),
    "instances": Table("Projects", {"state": "state"}),
    "devices": Table("Devices", {"mode": "mode", "last_seen": "lastSeenAt"}),
    "snapshots": Table("ProjectSnapshots"),
    "templates": Table("ProjectTemplates"),
    "stacks": Table("ProjectStacks"),
    "library_entries": Table("StorageLibraries"),
    "blueprints": Table("FlowTemplates"),
    "shared_library_entries": Table("StorageSharedLibraries"),
    "team_broker_clients": Table("TeamBrokerClients"),
    "remote_brokers": Table("BrokerCredentials"),
    "subscriptions": Table("Subscriptions", {"status": "status", "trial_status": "trialStatus"}),
}

AUDIT_LOG = Table(
    "AuditLogs",
    {"event": "event", "body": "body", "entity_type": "entityType", "source": "source", "created": "createdAt"},
)
"""FlowFuse only ever adds rows. `source` is there since 2.33."""

SETTINGS = Table("PlatformSettings", {"key": "key", "value": "value", "value_type": "valueType"}, key="key")
"""One row per setting. `valueType` 0: `value` is text; 1: `value` is JSON (forge/db/models/PlatformSettings.js)."""

INSTANCE_ID = "instanceId"
INITIALISED = "setup:initialised"
TELEMETRY_ENABLED = "telemetry:enabled"
LICENCE = "license"

SETTING_KEYS = (INSTANCE_ID, INITIALISED, TELEMETRY_ENABLED, LICENCE)
"""The settings that are read. The table also holds FlowFuse's own secrets, which never leave the database."""
