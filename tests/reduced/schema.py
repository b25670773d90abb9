"""All tables of FlowFuse 2.33, and rows for them, as SQL of SQLite and of PostgreSQL."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

Row = tuple[str, Mapping[str, object]]
"""A table, and the values of one row by column."""

_COLUMNS: Final = """
MetaVersions id version!
PlatformSettings key! value valueType:int!
TeamTypes id name! active:bool order:int description properties
Teams id name! slug avatar TeamTypeId:int suspended:bool properties
Users id username! name email email_verified:bool sso_enabled:bool mfa_enabled:bool password password_expired:bool
  admin:bool! avatar tcs_accepted:time suspended:bool defaultTeamId:int SSOGroups
AuditLogs id event body entityId entityType source UserId:int ProjectId ownerId:int
Invitations id token external:bool! expiresAt:time email sentAt:time role:int invitorId:int inviteeId:int teamId:int
  reminderSentAt:time
ProjectStacks id name! label active:bool properties ProjectTypeId:int replacedBy:int
ProjectTemplates id name! active:bool description settings policy ownerId:int
Projects id:uuid name! type! url! state! safeName! ApplicationId:int TeamId:int ProjectTypeId:int ProjectStackId:int
  ProjectTemplateId:int versions
Devices id name! type! credentialSecret! state! lastSeenAt:time settingsHash agentVersion mode TeamId:int
  targetSnapshotId:int activeSnapshotId:int ProjectId:uuid ApplicationId:int DeviceGroupId:int editorAffinity
  editorToken editorConnected:bool nodeRedVersion nodejsVersion
ProjectSnapshots id name! description settings flows ProjectId:uuid UserId:int DeviceId:int credentialSecret
StorageLibraries id name! type! meta body! ProjectId:uuid
StorageSharedLibraries id name! type! meta body! TeamId:int
FlowTemplates id name! active:bool description category order:int default:bool icon flows modules createdById:int
  teamTypeScope externalUrl importedId
TeamBrokerClients id username! password acls TeamId:int ownerId ownerType
BrokerCredentials id name! host! port:int! protocol! protocolVersion:int! ssl:bool! verifySSL:bool! clientId!
  credentials! state! settings TeamId:int topicPrefix
Subscriptions id customer! subscription! status:status! trialStatus:trial! trialEndsAt:time TeamId:int interval
TeamMembers role:int! UserId:int! TeamId:int! permissions
Sessions sid! expiresAt:time! idleAt:time mfa_verified:bool refreshToken UserId:int
AccessTokens id token! expiresAt:time scope! ownerId ownerType refreshToken name readOnly:bool! adminOptIn:bool!
SAMLProviders id name! domainFilter! active:bool options type
Applications id name! description TeamId:int!
ProjectTypes id name! active:bool order:int description properties defaultStackId:int
ProjectSettings id ProjectId:uuid key! value valueType:int!
DeviceGroups id name! description targetSnapshotId:int ApplicationId:int settings
Pipelines id name! ApplicationId:int
PipelineStages id name! deployToDevices:bool action! NextStageId:int PipelineId:int
PipelineStageGitRepos id url! branch! lastPushAt:time status statusMessage credentialSecret PipelineStageId:int!
  GitTokenId:int pushPath lastPushPath pullBranch pullPath lastPullAt:time
GitTokens id name! token! TeamId:int type! username caCertificate
Tables id name! credentials meta TeamId:int
MCPRegistrations id name protocol targetType! targetId! nodeId! endpointRoute! TeamId:int title! version! description!
MQTTTopicSchemas id topic metadata BrokerCredentialsId:int TeamId:int inferredSchema
TeamBrokerAgents id state! settings auth! TeamId:int
Notifications id type! reference read:bool data UserId:int
AuthClients clientID! clientSecret ownerId ownerType
BrokerClients username! password! ownerId ownerType
DeviceSettings id DeviceId:int key! value valueType:int!
StorageFlows id flow! ProjectId:uuid
StorageCredentials id credentials! ProjectId:uuid
StorageSettings id settings! ProjectId:uuid
StorageSessions id sessions! ProjectId:uuid
OAuthSessions id:text! value
AsyncLoginSessions sessionToken! doneToken status result
MFATokens id token! verified:bool UserId:int
UserBillingCodes id code UserId:int
AccessTokenTeamScopes id AccessTokenId:int! TeamId:int! UserId:int!
Organizations id name!
PipelineStageInstances PipelineStageId:int! InstanceId:uuid!
PipelineStageDevices PipelineStageId:int! DeviceId:int!
PipelineStageDeviceGroups PipelineStageId:int! DeviceGroupId:int! targetSnapshotId:int
"""
"""Text where no type is named; `!` is NOT NULL. Tables have `createdAt` and `updatedAt` too, but for `_TIMES`."""

_TIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "MetaVersions": ("updatedAt:time!",),
    "TeamMembers": (),
    "PipelineStageGitRepos": (),
    "PipelineStageInstances": (),
    "PipelineStageDevices": (),
    "PipelineStageDeviceGroups": (),
    "Notifications": ("createdAt:time!",),
    "AuditLogs": ("createdAt:time!",),
}

TABLES: Final = {
    table: (*columns, *_TIMES.get(table, ("createdAt:time!", "updatedAt:time!")))
    for table, *columns in (line.split() for line in _COLUMNS.strip().replace("\n  ", " ").splitlines())
}

_KEYS: Final = {
    ("PlatformSettings", "key!"),
    ("Sessions", "sid!"),
    ("AuthClients", "clientID!"),
    ("BrokerClients", "username!"),
    ("AsyncLoginSessions", "sessionToken!"),
}
"""Primary keys that have another name than `id`."""

_SQLITE: Final = {"int": "INTEGER", "bool": "TINYINT(1)", "time": "DATETIME", "uuid": "UUID"}
_POSTGRESQL: Final = {
    "int": "INTEGER",
    "bool": "BOOLEAN",
    "time": "TIMESTAMP WITH TIME ZONE",
    "uuid": "UUID",
    "status": '"enum_Subscriptions_status"',
    "trial": '"enum_Subscriptions_trialStatus"',
}
_POSTGRESQL_ENUMS: Final = """
CREATE TYPE "enum_Subscriptions_status" AS ENUM ('active', 'canceled', 'past_due', 'trial', 'unmanaged');
CREATE TYPE "enum_Subscriptions_trialStatus" AS ENUM ('none', 'created', 'week_email_sent', 'day_email_sent', 'ended');
"""


def script(rows: Iterable[Row], at: datetime, *, postgresql: bool = False, tables: Iterable[str] = TABLES) -> str:
    """SQL that makes `tables` and fills them; rows were written at `at`."""
    made = [_POSTGRESQL_ENUMS] if postgresql else ["BEGIN;"]
    made += [_create(table, postgresql) for table in tables]
    made += [_insert(number, table, values, at, postgresql) for number, (table, values) in enumerate(rows)]
    return "\n".join([*made, "" if postgresql else "COMMIT;"])


def _create(table: str, postgresql: bool) -> str:
    columns = []
    for text in TABLES[table]:
        name, kind = _split(text)
        if (name, kind) == ("id", ""):
            columns.append('"id" SERIAL PRIMARY KEY' if postgresql else '"id" INTEGER PRIMARY KEY AUTOINCREMENT')
            continue
        sql = (_POSTGRESQL if postgresql else _SQLITE).get(kind, "TEXT")
        rest = " PRIMARY KEY" if name == "id" or (table, text) in _KEYS else " NOT NULL" if text.endswith("!") else ""
        columns.append(f'"{name}" {sql}{rest}')
    return f'CREATE TABLE "{table}" ({", ".join(columns)});'


def _insert(number: int, table: str, values: Mapping[str, object], at: datetime, postgresql: bool) -> str:
    """What a column must have and the row does not give is filled in by type."""
    filled: dict[str, object] = {}
    for text in TABLES[table]:
        name, kind = _split(text)
        if name in values:
            filled[name] = values[name]
        elif text.endswith("!"):
            filled[name] = {"int": 0, "bool": False, "time": at, "uuid": UUID(int=number)}.get(kind, f"{name} {number}")
    assert values.keys() <= filled.keys(), f"{table} has no {values.keys() - filled.keys()}"
    names = ", ".join(f'"{name}"' for name in filled)
    return f'INSERT INTO "{table}" ({names}) VALUES ({", ".join(_literal(it, postgresql) for it in filled.values())});'


def _split(text: str) -> tuple[str, str]:
    name, _, kind = text.removesuffix("!").partition(":")
    return name, kind


def _literal(value: object, postgresql: bool) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper() if postgresql else str(int(value))
        case int():
            return str(value)
        case datetime():
            return f"'{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d} +00:00'"
        case _:
            return "'" + str(value).replace("'", "''") + "'"
