"""Operation of the demo platform: roll-outs to groups of devices, upgrades, pipelines, sign-in, tokens, limits."""

import base64
import json
import sqlite3
from datetime import datetime, timedelta
from random import Random

from ff_observe.demo.company import STACKS, insert, insert_row, some, stamp

GROUPS = ("Filling line", "Conveyors", "Cold chain", "Energy meters", "Milk trucks")
AGENT_VERSIONS = ("3.3.2", "3.5.0", "3.6.1", "3.7.0")
NODERED_VERSIONS = ("3.1.15", "4.0.9", "4.1.2")
NODEJS_VERSIONS = ("v18.20.8", "v20.20.2", "v22.14.0")
CERTIFIED = ("@flowfuse-certified-nodes/opc-ua", "@flowfuse-certified-nodes/s7", "@flowfuse-nodes/nr-ai-nodes")
_ROLES = (50, 30, 30, 30, 10, 5)
_LIMITS: tuple[dict[str, int], ...] = ({"users": 5, "devices": 4}, {"users": 25, "devices": 25}, {})
"""Of the team types, in their order."""


class Operations:
    """Creates the rows of the first day and changes them as time passes. The same `random` gives the same rows."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def found(self, database: sqlite3.Connection, at: datetime) -> None:
        """Fill the tables that `company.found` leaves empty."""

        def earlier(days: float) -> datetime:
            return at - timedelta(days=self._random.uniform(0.01, days))

        token = {"key": "platform:ff-npm-registry:token", "value": "a token for the demo", "valueType": 0}
        insert(database, "PlatformSettings", earlier(300), **token)
        for number, limits in enumerate(_LIMITS, 1):
            properties = json.dumps({kind: {"limit": limit} for kind, limit in limits.items()})
            database.execute('UPDATE "TeamTypes" SET "properties" = ? WHERE "id" = ?', (properties, number))
        for number in range(1, len(STACKS)):
            database.execute('UPDATE "ProjectStacks" SET "replacedBy" = ? WHERE "id" = ?', (number + 1, number))
        database.execute('UPDATE "Users" SET "mfa_enabled" = "id" % 3 = 0, "sso_enabled" = "id" % 5 < 3')
        database.execute('UPDATE "Teams" SET "suspended" = 1 WHERE "id" = 6')
        database.execute('UPDATE "Users" SET "suspended" = 1, "email_verified" = 0 WHERE "id" IN (7, 11)')
        for (team,) in database.execute('SELECT "id" FROM "Teams" ORDER BY "id"').fetchall():
            insert(database, "Applications", earlier(300), name=f"Line {team}", TeamId=team)
            insert(database, "Pipelines", earlier(200), name="To production", ApplicationId=team)
            for name in ("Development", "Test", "Production"):
                insert(database, "PipelineStages", earlier(200), name=name, PipelineId=team)
            insert_row(database, "PipelineStageGitRepos", **_repository(team))
            repository = {"name": "Plant's repository", "token": "x", "type": "github"}
            insert(database, "GitTokens", earlier(200), **repository, TeamId=team)
            insert(database, "TeamBrokerAgents", earlier(100), state="running", auth="x", TeamId=team)
        insert(database, "Tables", earlier(100), name="Batches", TeamId=1)
        for number in range(1, 4):
            node = {"targetId": str(number), "nodeId": f"n{number}", "name": f"Line {number}", "TeamId": number}
            insert(database, "MCPRegistrations", earlier(50), targetType="instance", endpointRoute="/mcp", **node)
        for number, name in enumerate(GROUPS, 1):
            insert(database, "DeviceGroups", earlier(200), name=name, ApplicationId=1 + number % 3)
        self._providers(database, at)
        self._tokens(database, at)
        self._newcomers(database, at)
        for group in range(1, len(GROUPS) + 1):
            self._release(database, earlier(20), group)
        database.execute(
            'UPDATE "Devices" SET "activeSnapshotId" = "targetSnapshotId" '
            'WHERE "state" = \'running\' AND ("DeviceGroupId" < 5 OR "id" % 3 = 0)'
        )

    def pass_time(self, database: sqlite3.Connection, at: datetime, hours: float, busyness: float) -> None:
        self._newcomers(database, at)
        if self._random.random() < 0.04 * hours * busyness:
            self._release(database, at, self._random.randint(1, len(GROUPS)))
        for assignment, condition, share in (
            ('"activeSnapshotId" = "targetSnapshotId"', '"state" = \'running\' AND "DeviceGroupId" < 5', 0.5),
            ('"activeSnapshotId" = "targetSnapshotId"', '"state" = \'running\' AND "DeviceGroupId" = 5', 0.01),
            ("\"agentVersion\" = '3.7.0'", "\"state\" = 'running'", 0.004),
            ("\"nodeRedVersion\" = '4.1.2'", "\"state\" = 'running'", 0.003),
            ("\"nodejsVersion\" = 'v22.14.0'", "\"state\" = 'running'", 0.002),
            ('"editorConnected" = 0', "1", 0.5),
            ('"editorConnected" = 1', "\"state\" = 'running'", 0.02 + 0.05 * busyness),
        ):
            for identity in some(self._random, database, "Devices", share * hours, condition):
                database.execute(f'UPDATE "Devices" SET {assignment} WHERE "id" = ?', (identity,))  # noqa: S608 - own words
        for identity in some(self._random, database, "Projects", 0.003 * hours * busyness):
            newest = f'UPDATE "Projects" SET "ProjectStackId" = {len(STACKS)} WHERE "id" = ?'  # noqa: S608 - own words
            database.execute(newest, (identity,))
        for identity in some(self._random, database, "PipelineStageGitRepos", 0.1 * hours):
            status = self._random.choice(("success", "success", "success", "error", "pushing"))
            database.execute('UPDATE "PipelineStageGitRepos" SET "status" = ? WHERE "id" = ?', (status, identity))
        self._sessions(database, at, hours, busyness)
        database.execute(
            'DELETE FROM "Notifications" WHERE "id" < (SELECT max("id") FROM "Notifications") - 400'
        )  # demo's own: FlowFuse keeps them

    def _release(self, database: sqlite3.Connection, at: datetime, group: int) -> None:
        """Assign a new snapshot to a whole group; its devices follow when they next connect."""
        modules = {"node-red": "4.1.2", self._random.choice(CERTIFIED): "1.0.0"}
        insert(
            database,
            "ProjectSnapshots",
            at,
            name=f"Release for {GROUPS[group - 1]}",
            settings=json.dumps({"modules": modules}),
        )
        (snapshot,) = database.execute('SELECT max("id") FROM "ProjectSnapshots"').fetchone()
        database.execute('UPDATE "DeviceGroups" SET "targetSnapshotId" = ? WHERE "id" = ?', (snapshot, group))
        database.execute('UPDATE "Devices" SET "targetSnapshotId" = ? WHERE "DeviceGroupId" = ?', (snapshot, group))

    def _newcomers(self, database: sqlite3.Connection, at: datetime) -> None:
        """New users join teams, new devices join groups, new instances list their modules."""
        for (user,) in database.execute(
            'SELECT "id" FROM "Users" WHERE "id" NOT IN (SELECT "UserId" FROM "TeamMembers") ORDER BY "id"'
        ).fetchall():
            (teams,) = database.execute('SELECT count(*) FROM "Teams"').fetchone()
            team = self._random.randint(1, teams)
            insert_row(database, "TeamMembers", role=self._random.choice(_ROLES), UserId=user, TeamId=team)
        for (device,) in database.execute(
            'SELECT "id" FROM "Devices" WHERE "nodejsVersion" IS NULL ORDER BY "id"'
        ).fetchall():
            group = self._random.choice((*range(1, len(GROUPS) + 1), None))
            versions = [self._random.choice(some) for some in (AGENT_VERSIONS, NODERED_VERSIONS, NODEJS_VERSIONS)]
            database.execute(
                'UPDATE "Devices" SET "agentVersion" = ?, "nodeRedVersion" = ?, "nodejsVersion" = ?, '
                '"DeviceGroupId" = ?, "targetSnapshotId" = (SELECT "targetSnapshotId" FROM "DeviceGroups" '
                'WHERE "id" = ?) WHERE "id" = ?',
                (*versions, group, group, device),
            )
        for (instance,) in database.execute(
            'SELECT "id" FROM "Projects" WHERE "id" NOT IN (SELECT "ProjectId" FROM "ProjectSettings") ORDER BY rowid'
        ).fetchall():
            modules = [{"name": name, "version": "1.0.0"} for name in CERTIFIED if self._random.random() < 0.3]
            settings = {"key": "settings", "value": json.dumps({"palette": {"modules": modules}}), "valueType": 1}
            insert(database, "ProjectSettings", at, ProjectId=instance, **settings)

    def _sessions(self, database: sqlite3.Connection, at: datetime, hours: float, busyness: float) -> None:
        """People sign in, receive notifications, and read some of them."""
        database.execute('DELETE FROM "Sessions" WHERE "expiresAt" < ?', (stamp(at),))
        for user in some(self._random, database, "Users", 0.15 * hours * busyness):
            sid, expires = f"{self._random.getrandbits(64):016x}", stamp(at + timedelta(hours=9))
            insert(database, "Sessions", at, sid=sid, expiresAt=expires, UserId=user)
            database.execute('UPDATE "Notifications" SET "read" = 1 WHERE "UserId" = ? AND "id" % 3 <> 0', (user,))
        for user in some(self._random, database, "Users", 0.03 * hours):
            insert_row(database, "Notifications", type="instance-crashed", read=0, UserId=user, createdAt=stamp(at))

    def _tokens(self, database: sqlite3.Connection, at: datetime) -> None:
        for number in range(1, 10):
            expires = (None, stamp(at - timedelta(days=number)), stamp(at + timedelta(days=9 * number)))[number % 3]
            owner = {"ownerType": "user", "ownerId": str(number), "scope": "", "expiresAt": expires}
            insert(database, "AccessTokens", at, token=f"u{number}", name=f"Script {number}", **owner)
        for (device,) in database.execute('SELECT "id" FROM "Devices" ORDER BY "id"').fetchall():
            insert(database, "AccessTokens", at, token=f"d{device}", ownerType="device", ownerId=device, scope="device")

    def _providers(self, database: sqlite3.Connection, at: datetime) -> None:
        for name, days in (("Head office", 190), ("Plant", 25)):
            options = json.dumps(
                {"cert": _certificate(self._random, at, days), "entryPoint": "https://sso.example.com"}
            )
            domain = {"domainFilter": f"@{name.split()[0].lower()}.example.com", "type": "saml", "options": options}
            insert(database, "SAMLProviders", at - timedelta(days=100), name=name, active=1, **domain)


def _repository(team: int) -> dict[str, object]:
    repository = "https://git.example.com/plant/flows"
    return {"url": repository, "branch": "main", "status": "success", "PipelineStageId": 3 * team}


def _certificate(random: Random, at: datetime, days: int) -> str:
    """A certificate as FlowFuse stores it, for a key from the random source (Ed25519, RFC 8032)."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding

    key = Ed25519PrivateKey.from_private_bytes(random.randbytes(32))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sso.example.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1 + random.getrandbits(64))
    begun = builder.not_valid_before(at - timedelta(days=365)).not_valid_after(at + timedelta(days=days))
    return base64.b64encode(begun.sign(key, None).public_bytes(Encoding.DER)).decode()
