"""Large platforms for the benchmarks: FlowFuse's own schema (of the recordings), filled with realistic rows."""

import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tests.real_parts import postgresql
from tests.recordings import COMMITTED


@dataclass(frozen=True)
class Size:
    """How many devices (and as many snapshots) there are, and how many characters the flows of a snapshot have."""

    devices: int
    flow_characters: int = 600

    @property
    def instances(self) -> int:
        return self.devices // 20

    @property
    def users(self) -> int:
        return self.devices // 20

    @property
    def teams(self) -> int:
        return self.devices // 100


# One statement for each table; {n} is the number of rows. `i` counts from 1, `now` is the present.
_ROWS = {
    "Users": (
        'insert into "Users" (username, name, email, password, admin, "createdAt", "updatedAt")'
        " select 'bench-user-' || i, 'Bench User ' || i, 'user-' || i || '@example.com', {text60}, {admin},"
        " {now}, {now}"
        " from {series}"
    ),
    "Teams": (
        'insert into "Teams" (name, slug, "createdAt", "updatedAt", "TeamTypeId")'
        " select 'Bench Team ' || i, 'bench-team-' || i, {now}, {now}, (select min(id) from \"TeamTypes\")"
        " from {series}"
    ),
    "Projects": (
        'insert into "Projects" (id, name, type, url, state, "safeName", "createdAt", "updatedAt")'
        " select {uuid}, 'bench-instance-' || i, 'bench', 'https://instance-' || i || '.example.com',"
        " case when i % 3 = 0 then 'suspended' else 'running' end, 'bench-instance-' || i, {now}, {now} from {series}"
    ),
    "Devices": (
        'insert into "Devices" (name, type, "credentialSecret", "lastSeenAt", "settingsHash", "agentVersion",'
        ' mode, "createdAt", "updatedAt")'
        " select 'bench-device-' || i, 'Gateway 4711', {text60},"
        " case when i % 10 = 0 then null else {seen} end,"
        " {text60}, '3.1.4', case when i % 4 = 0 then 'developer' else 'autonomous' end, {now}, {now} from {series}"
    ),
    "ProjectSnapshots": (
        'insert into "ProjectSnapshots" (name, description, settings, flows, "createdAt", "updatedAt")'
        " select 'Snapshot ' || i, 'taken before an update', {settings}, {flows}, {now}, {now} from {series}"
    ),
}


def _rows_of(size: Size) -> dict[str, int]:
    return {
        "Users": size.users,
        "Teams": size.teams,
        "Projects": size.instances,
        "Devices": size.devices,
        "ProjectSnapshots": size.devices,
    }


_AUDIT = """
    insert into "AuditLogs" (event, body, "entityId", "entityType", "createdAt")
    select case when i % 97 = 0 then 'account.login' when i % 11 = 0 then 'flows.set' when i % 501 = 0 then 'crashed'
    when i % 13 = 0 then 'invented.' || i else 'project.started' end,
    case when i % 970 = 0 then '{{"error":{{"code":"unauthorized"}}}}'
    else '{{"project":{{"id":"4f9e0c8e-6ca1-4e46-b7c5-' || (100000000000 + i) || '","name":"bench-instance"}}}}' end,
    i % 5000, case when i % 5 = 0 then 'device' else 'project' end, {now} from {series}"""


def audit_rows(number: int, *, sqlite: bool) -> str:
    """A statement that adds so many entries to the audit log, one in thirteen of a name that a tenant invented."""
    if sqlite:
        now = "strftime('%Y-%m-%d %H:%M:%f', 'now') || ' +00:00'"
        series = f"(with recursive s(i) as (select 1 union all select i + 1 from s where i < {number}) select i from s)"
    else:
        now, series = "now()", f"generate_series(1, {number}) i"
    return _AUDIT.format(now=now, series=series)


def sqlite_platform(path: Path, size: Size) -> Path:
    """Make a database file of that size at `path`."""
    shutil.copy(COMMITTED / "v2.4.0-sqlite-dev" / "var" / "forge.db", path)
    path.chmod(0o644)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma synchronous = off")
    connection.execute("pragma foreign_keys = off")
    connection.execute("begin")
    for table, rows in _rows_of(size).items():
        series = f"(with recursive s(i) as (select 1 union all select i + 1 from s where i < {rows}) select i from s)"
        connection.execute(
            _ROWS[table].format(
                series=series,
                now="strftime('%Y-%m-%d %H:%M:%f', 'now') || ' +00:00'",
                seen="strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || (i * 37 % 3456000) || ' seconds') || ' +00:00'",
                uuid="lower(hex(randomblob(16)))",
                text60="lower(hex(randomblob(30)))",
                admin="i % 50 = 0",
                settings="lower(hex(randomblob(100)))",
                flows=f"lower(hex(randomblob({size.flow_characters // 2})))",
            )
        )
    connection.execute("commit")
    connection.close()
    os.sync()  # or writing it out goes on during the measurement
    return path


def read_anew(path: Path) -> None:
    """Have the file in memory as it comes from the disk, not as it was written."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while file.read(2**20):
            pass


def postgresql_platform(cluster: postgresql.Cluster, name: str, size: Size) -> str:
    """Make a database of that size; returns its name."""
    cluster.load(name, COMMITTED / "v2.4.0-postgres-dev" / "dump.sql")
    # md5 of changing text: as hard to compress as real flows, so that they are stored in their full width
    flows = " || ".join(f"md5(i::text || '-{part}')" for part in range(size.flow_characters // 32))
    with cluster.connect(name) as connection:
        for table, rows in _rows_of(size).items():
            statement = _ROWS[table].format(
                series=f"generate_series(1, {rows}) i",
                now="now()",
                seen="now() - (i::bigint * 37 % 3456000) * interval '1 second'",
                uuid="gen_random_uuid()",
                text60="md5(i::text) || left(md5('a' || i), 28)",
                admin="i % 50 = 0",
                settings="md5('s' || i) || md5('t' || i) || md5('u' || i)",
                flows=flows,
            )
            connection.execute(statement.encode())
            connection.execute(f'vacuum analyze "{table}"'.encode())  # as autovacuum does after so many insertions
    return name
