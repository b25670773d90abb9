"""The company on the demo platform: its people, teams, instances and devices on the first day."""

import sqlite3
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

FLOWFUSE_VERSION = "2.33.2"
NODEJS_VERSION = "v20.20.2"
LAST_MIGRATION = "20260727-01-add-asyncloginsession.js"  # of that version

# FlowFuse's development licence, printed in its npm package (forge/licensing/index.js): "Development-mode Only. Not
# for production". It allows 150 users, 50 teams, and 100 hosted instances and devices together.
DEVELOPMENT_LICENCE = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6ImE0MjhjMGRhLTUxYTQtNGU3NS1iYjkwLWU4OTMyYjQ5OGRkYSIsInZlciI6IjIwMjQt"
    "MDMtMDQiLCJpc3MiOiJGbG93Rm9yZ2UgSW5jLiIsInN1YiI6IkZsb3dGb3JnZSBJbmMuIERldmVsb3BtZW50IiwibmJmIjoxNzA5NTEwNDAwLCJleH"
    "AiOjc5ODY4MTYwMDAsIm5vdGUiOiJEZXZlbG9wbWVudC1tb2RlIE9ubHkuIE5vdCBmb3IgcHJvZHVjdGlvbiIsInVzZXJzIjoxNTAsInRlYW1zIjo1"
    "MCwiaW5zdGFuY2VzIjoxMDAsInRpZXIiOiJlbnRlcnByaXNlIiwiZGV2Ijp0cnVlLCJpYXQiOjE3MDk1NjI5NTZ9.f9ZDE-IelVeM53JsHWyHd9Fg"
    "gZ30CRFCJ_jhxebALwt--TFnmL5d7f9CBd9g6fmGjro_y0ZINBJKkzYPSeXKrw"
)

FIRST_NAMES = (
    *("Aino", "Amara", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Kavya", "Lena"),
    *("Mateo", "Nadia", "Olu", "Priya", "Quentin", "Rosa", "Sven", "Tomasz", "Uma", "Viktor", "Wanda", "Yusuf", "Zoe"),
)
LAST_NAMES = (
    *("Adeyemi", "Bianchi", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Horvat", "Ivanova", "Jansen", "Kaya"),
    *("Lindqvist", "Moreau", "Novak", "Okafor", "Pereira", "Rossi", "Silva", "Tanaka", "Virtanen", "Weber", "Yilmaz"),
)
TEAM_TYPES = ("Starter", "Team", "Enterprise")
TEAMS = (
    *("Intake", "Pasteurisation", "Bottling", "Cold Store", "Energy", "Maintenance", "Quality", "Logistics"),
    *("Packaging", "Utilities", "Laboratory", "Dairy Farms"),
)
STACKS = ("3.1.15", "4.0.9", "4.1.2")
INSTANCE_TYPES = ("Small", "Medium", "Large")
TEMPLATES = ("Default", "Locked down", "With dashboards", "Edge gateway")
PURPOSES = ("oee", "alarms", "energy-meter", "batch-report", "mqtt-bridge", "historian", "dashboard", "erp-sync", "sms")
DEVICE_TYPES = ("Raspberry Pi 5", "Revolution Pi", "IOT2050", "UNO-2484G", "Moxa UC-8200", "Dell Edge 3200")
AGENT_VERSIONS = ("3.3.2", "3.5.0", "3.6.1")


@dataclass(frozen=True, slots=True)
class Company:
    """Size of the company on its first day. With the defaults it stays, growth included, within its licence."""

    users: int = 25
    teams: int = 6
    instances: int = 26
    devices: int = 58
    snapshots: int = 160
    library_entries: int = 34
    shared_library_entries: int = 17
    blueprints: int = 8
    broker_clients: int = 12
    licensed: bool = True


COMPANY = Company()


def stamp(moment: datetime) -> str:
    """A moment as FlowFuse writes it to SQLite: UTC, milliseconds, a space before the offset."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " +00:00"


def insert(database: sqlite3.Connection, table: str, at: datetime, **values: object) -> None:
    """Add one row, made at `at`, to a table with both of FlowFuse's timestamps."""
    insert_row(database, table, **values, createdAt=stamp(at), updatedAt=stamp(at))


def insert_row(database: sqlite3.Connection, table: str, **row: object) -> None:
    """Add one row. The names are this module's own, never input."""
    columns = ", ".join(f'"{column}"' for column in row)
    places = ", ".join("?" * len(row))
    database.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({places})', tuple(row.values()))  # noqa: S608 (own names)


def times(random: Random, expected: float) -> int:
    """A random whole number with the mean `expected`."""
    whole = int(expected)
    return whole + (random.random() < expected - whole)


def some(random: Random, database: sqlite3.Connection, table: str, share: float, where: str = "1") -> list[object]:
    """The ids of a random `share` of the rows of `table`, in the order in which they were added."""
    rows = database.execute(f'SELECT "id" FROM "{table}" WHERE {where} ORDER BY rowid')  # noqa: S608 (own names)
    return [row[0] for row in rows.fetchall() if random.random() < share]


class Newcomers:
    """Creates plausible new rows, numbered so that names are unique."""

    def __init__(self, database: sqlite3.Connection, random: Random) -> None:
        self._database = database
        self._random = random

    def _number(self, table: str) -> int:
        """A number that no row of `table` has had."""
        found = self._database.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return int(found[0]) + 1 if found else 1

    def _team(self) -> int:
        teams: int = self._database.execute('SELECT count(*) FROM "Teams"').fetchone()[0]
        return self._random.randint(1, teams)

    def person(self) -> tuple[str, str]:
        """A name, and an e-mail address in a reserved domain (RFC 2606)."""
        first, last = self._random.choice(FIRST_NAMES), self._random.choice(LAST_NAMES)
        number = self._number("Users") + self._number("Invitations")
        return f"{first} {last}", f"{first}.{last}.{number}@example.com".lower()

    def user(self, at: datetime, *, admin: bool = False) -> None:
        name, email = self.person()
        values = {"username": email.partition("@")[0], "name": name, "email": email, "email_verified": 1}
        insert(self._database, "Users", at, **values, admin=int(admin), defaultTeamId=self._team())

    def invitation(self, at: datetime) -> None:
        _, email = self.person()
        expires = stamp(at + timedelta(days=7))
        insert(
            self._database, "Invitations", at, external=1, expiresAt=expires, email=email, role=30, teamId=self._team()
        )

    def instance(self, at: datetime, state: str) -> None:
        identity = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        name = f"{self._random.choice(PURPOSES)}-{identity[:4]}"
        values = {"id": identity, "name": name, "safeName": f"{name}-{identity[9:13]}", "type": "", "state": state}
        references = {
            "TeamId": self._team(),
            "ProjectStackId": self._random.randint(1, len(STACKS)),
            "ProjectTemplateId": self._random.randint(1, len(TEMPLATES)),
            "ProjectTypeId": self._random.randint(1, len(INSTANCE_TYPES)),
        }
        insert(self._database, "Projects", at, **values, **references, url=f"http://{name}.example.com")

    def device(self, at: datetime, last_seen: datetime | None, state: str) -> None:
        values = {
            "name": f"edge-{self._number('Devices'):04d}",
            "type": self._random.choice(DEVICE_TYPES),
            "agentVersion": self._random.choice(AGENT_VERSIONS),
            "mode": "developer" if self._random.random() < 0.2 else "autonomous",
            "lastSeenAt": None if last_seen is None else stamp(last_seen),
        }
        insert(self._database, "Devices", at, **values, state=state, TeamId=self._team())

    def snapshot(self, at: datetime) -> None:
        """Of an instance or, less often, a device."""
        table, column = ("Projects", "ProjectId") if self._random.random() < 0.8 else ("Devices", "DeviceId")
        owners = [row[0] for row in self._database.execute(f'SELECT "id" FROM "{table}" ORDER BY rowid')]  # noqa: S608 (own names)
        if owners:
            name = f"Auto Snapshot - {stamp(at)[:19]}"
            insert(self._database, "ProjectSnapshots", at, name=name, **{column: self._random.choice(owners)})

    def library_entry(self, at: datetime) -> None:
        insert(self._database, "StorageLibraries", at, name=f"flow-{self._number('StorageLibraries')}", type="flows")

    def shared_library_entry(self, at: datetime) -> None:
        name = f"function-{self._number('StorageSharedLibraries')}"
        insert(self._database, "StorageSharedLibraries", at, name=name, type="functions", TeamId=self._team())

    def blueprint(self, at: datetime) -> None:
        insert(self._database, "FlowTemplates", at, name=f"Blueprint {self._number('FlowTemplates')}", category="plant")

    def broker_client(self, at: datetime) -> None:
        name = f"client-{self._number('TeamBrokerClients')}"
        insert(self._database, "TeamBrokerClients", at, username=name, TeamId=self._team())


def found(database: sqlite3.Connection, company: Company, at: datetime, random: Random) -> None:
    """Fill the empty tables: the platform at `at`, in use for a while by then."""

    def earlier(days: float) -> datetime:
        return at - timedelta(days=random.uniform(0.01, days))

    instance_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
    settings = [("setup:initialised", "true", 1), ("telemetry:enabled", "true", 1), ("instanceId", instance_id, 0)]
    if company.licensed:
        settings.append(("license", DEVELOPMENT_LICENCE, 0))
    for key, value, value_type in settings:
        insert(database, "PlatformSettings", at - timedelta(days=400), key=key, value=value, valueType=value_type)
    database.execute(
        'INSERT INTO "MetaVersions" ("version", "updatedAt") VALUES (?, ?)',
        (LAST_MIGRATION, stamp(at - timedelta(days=30))),
    )
    for name in TEAM_TYPES:
        insert(database, "TeamTypes", at - timedelta(days=400), name=name)
    for index in range(company.teams):
        name = TEAMS[index % len(TEAMS)] + ("" if index < len(TEAMS) else f" {index // len(TEAMS) + 1}")
        values = {"name": name, "slug": name.lower().replace(" ", "-"), "TeamTypeId": 1 + random.choice((0, 1, 1, 2))}
        insert(database, "Teams", earlier(400), **values)
    for version in STACKS:
        label = f"Node-RED {version}"
        insert(database, "ProjectStacks", earlier(400), name=f"node-red-{version.replace('.', '-')}", label=label)
    for name in INSTANCE_TYPES:
        insert(database, "ProjectTypes", earlier(400), name=name)
    for name in TEMPLATES:
        insert(database, "ProjectTemplates", earlier(400), name=name)
    built_in = {"host": "127.0.0.1", "port": 1883, "protocol": "mqtt:", "state": "running"}
    insert(database, "BrokerCredentials", at - timedelta(days=300), name="ff-team-broker", **built_in)
    insert(database, "BrokerCredentials", at - timedelta(days=90), name="plant-broker", **built_in, TeamId=1)

    new = Newcomers(database, random)
    for index in range(company.users):
        new.user(earlier(400), admin=index < 3)
    for _ in range(3):
        new.invitation(earlier(6))
    for index in range(company.instances):
        new.instance(earlier(400), "suspended" if index % 7 == 6 else "running")
    for index in range(company.devices):
        last_seen, state = _condition(index, at, random)
        new.device(at - timedelta(days=random.uniform(40, 300)), last_seen, state)
    for _ in range(company.snapshots):
        new.snapshot(earlier(200))
    for count, add in (
        (company.library_entries, new.library_entry),
        (company.shared_library_entries, new.shared_library_entry),
        (company.blueprints, new.blueprint),
        (company.broker_clients, new.broker_client),
    ):
        for _ in range(count):
            add(earlier(300))


def _condition(index: int, at: datetime, random: Random) -> tuple[datetime | None, str]:
    """Last call and state of the device `index`: of twenty, fifteen are connected, the others spread over all ages."""
    match index % 20:
        case 3:
            return None, ""
        case 8:
            return at - timedelta(hours=random.uniform(2, 20)), "stopped"
        case 11:
            return at - timedelta(days=random.uniform(1.2, 6)), "stopped"
        case 14:
            return at - timedelta(days=random.uniform(8, 26)), "stopped"
        case 17:
            return at - timedelta(days=random.uniform(30, 200)), "stopped"
        case _:
            return at - timedelta(seconds=random.uniform(0, 60)), "running"
