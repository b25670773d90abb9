"""A platform on which everything there is to count is there, drawn at random: rows for both databases."""

import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Final

from tests.real_parts.certificates import self_signed
from tests.reduced.schema import TABLES, Row

PACKAGES: Final = ("@flowfuse-certified-nodes/opc", "@flowfuse-nodes/mqtt", "node-red-dashboard", "@flowfuse-nodesx/no")


def rows(random: Random, at: datetime) -> Iterator[Row]:
    """What today's counts tell apart, and some rows of each other table: a new count has something to count."""
    others = dict.fromkeys(TABLES)
    for table, values in _distinguished(random, at):
        others.pop(table, None)
        yield table, values
    for table in others:
        yield from [(table, {})] * 3


def _distinguished(random: Random, at: datetime) -> Iterator[Row]:
    """Moments are drawn on both sides of every edge, to the millisecond; texts hold what may be mistaken."""
    edges = [0, 1_800, 86_400, 7 * 86_400, 28 * 86_400]

    def moment() -> datetime:
        edge = timedelta(seconds=random.choice(edges))
        return at - edge + timedelta(milliseconds=random.choice((-1, 0, 1, random.randint(-(10**9), 10**9))))

    def maybe(value: object, share: float = 0.8) -> object:
        return value if random.random() < share else None

    yield "PlatformSettings", {"key": "setup:initialised", "value": "true", "valueType": 1}
    yield "PlatformSettings", {"key": "platform:ff-npm-registry:token", "value": "planted-token", "valueType": 0}
    limits = [{}, {"users": {"limit": 2}, "devices": {"limit": 3}}, {"runtimes": {"limit": 5}, "users": {"limit": -1}}]
    for number, limit in enumerate(limits, 1):
        yield "TeamTypes", {"id": number, "name": f"Type {number}", "properties": maybe(json.dumps(limit)) or ""}
    for number in range(1, 13):
        own = random.choice((None, "", "{}", '{"users": {"limit": 1}}', '{"devices": {"limit": 0}, "features": {}}'))
        suspended = random.choice((True, False, None))
        yield (
            "Teams",
            {"id": number, "TeamTypeId": maybe(random.randint(1, 3)), "suspended": suspended, "properties": own},
        )
    for number in range(1, 31):
        flags = ("admin", "mfa_enabled", "sso_enabled", "suspended", "email_verified")
        yield (
            "Users",
            {
                "id": number,
                "username": f"u{number}",
                **{flag: random.random() < 0.4 if flag == "admin" else maybe(random.random() < 0.5) for flag in flags},
            },
        )
        team = random.randint(1, 12)
        yield "TeamMembers", {"UserId": number, "TeamId": team, "role": random.choice((50, 30, 10, 5, 0))}
        yield "Sessions", {"sid": f"s{number}", "expiresAt": moment(), "UserId": number}
        yield "Notifications", {"read": maybe(random.random() < 0.5), "UserId": number}
    for number in range(60):
        owner = random.choice(("user", "device", "project", None))
        yield "AccessTokens", {"expiresAt": maybe(moment()), "ownerType": owner, "name": maybe(f"token {number}")}
    for number, (name, newer) in enumerate((("node-red-3", 2), ("node-red-4", None), ("node-red-2", 1)), 1):
        yield "ProjectStacks", {"id": number, "name": name, "replacedBy": newer}
    for number in range(1, 26):
        yield "ProjectTypes", {"id": number, "name": f"Type {number}"}
    for number in range(40):
        instance = uuid.UUID(int=random.getrandbits(128), version=4)
        yield (
            "Projects",
            {
                "id": instance,
                "state": random.choice(("running", "suspended", "stopped")),
                "TeamId": maybe(random.randint(1, 12)),
                "ProjectStackId": maybe(random.randint(1, 4)),  # one that is gone, too
                "ProjectTypeId": maybe(min(25, random.randint(1, 40))),
            },
        )
        modules = [{"name": name, "version": "1.0.0"} for name in PACKAGES if random.random() < 0.5]
        palette: object = random.choice(({}, {"palette": {}}, {"palette": {"modules": modules}}))
        if number % 5:
            settings = {"key": "settings", "value": json.dumps(palette), "valueType": 1}
            yield "ProjectSettings", {"ProjectId": instance, **settings}
        yield "ProjectSettings", {"ProjectId": instance, "key": "hostname", "value": "no JSON", "valueType": 0}
    for number in range(1, 26):
        listed = {name: "1.0.0" for name in PACKAGES if random.random() < 0.5}
        of_snapshot = random.choice((None, "", "{}", json.dumps({"modules": listed, "env": {"A": "planted-secret"}})))
        name = random.choice(("Auto Snapshot - 2026-01-02 03:04:05", "auto snapshot - x", "Auto Snapshot", "by hand"))
        yield "ProjectSnapshots", {"id": number, "name": name, "settings": of_snapshot}
    for number in range(1, 26):
        yield "DeviceGroups", {"id": number, "name": "Line" if number < 3 else f"Line {number}"}
    for _ in range(150):
        yield (
            "Devices",
            {
                "state": random.choice(("running", "stopped", "", *(f"state {number}" for number in range(25)))),
                "mode": maybe("autonomous"),
                "lastSeenAt": maybe(moment()),
                "TeamId": maybe(random.randint(1, 12)),
                "targetSnapshotId": maybe(random.randint(1, 3)),
                "activeSnapshotId": maybe(random.randint(1, 3)),
                "DeviceGroupId": maybe(random.randint(1, 26)),
                "agentVersion": maybe(f"3.{random.randint(0, 30)}.0"),
                "nodeRedVersion": random.choice((None, "", "4.0.9", "other", "none")),
                "nodejsVersion": maybe(f"v{random.randint(14, 44)}.0.0"),
                "editorConnected": maybe(random.random() < 0.5),
            },
        )
    for _ in range(5):
        yield "Applications", {"TeamId": 1}
        yield "Pipelines", {}
    yield from [("PipelineStages", {})] * 7 + [("GitTokens", {})] * 6 + [("Tables", {})] * 4
    yield from [("MCPRegistrations", {})] * 3 + [("MQTTTopicSchemas", {})] * 8
    for state in ("running", "suspended", "", "paused", "running"):
        yield "TeamBrokerAgents", {"state": state}
        yield "BrokerCredentials", {"state": state}
        yield "PipelineStageGitRepos", {"status": random.choice((None, "", "success", "error", state))}
    for _ in range(10):
        status = random.choice(("active", "trial", "trial", "canceled"))
        yield "Subscriptions", {"status": status, "trialStatus": "none", "trialEndsAt": maybe(moment())}
    ahead = at + timedelta(milliseconds=random.randint(0, 10**9))
    yield "AccessTokens", {"expiresAt": ahead, "ownerType": "user", "name": "soon"}
    yield "Subscriptions", {"status": "trial", "trialStatus": "created", "trialEndsAt": ahead}
    yield from _providers()
    # In the order of their keys, as FlowFuse writes them; some at the same time.
    for written in sorted(moment() for _ in range(200)):
        yield "AuditLogs", {"event": "account.login", "UserId": maybe(random.randint(1, 30)), "createdAt": written}


def _providers() -> Iterator[Row]:
    pem = self_signed(("sso.example.com",))[0].decode()
    bare = "".join(pem.splitlines()[1:-1])
    for name, active, kind, options in (
        ("Plant", True, "saml", {"cert": pem, "entryPoint": "https://sso.example.com"}),
        ("Office", True, "saml", {"cert": bare}),
        ("Left", False, "saml", {"cert": pem}),
        ("Broken", True, "saml", {"cert": "bm8gY2VydGlmaWNhdGU="}),
        ("None", True, "saml", {}),
        ("Directory", True, "ldap", {"password": "planted-ldap-password"}),
    ):
        yield "SAMLProviders", {"name": name, "active": active, "type": kind, "options": json.dumps(options)}
