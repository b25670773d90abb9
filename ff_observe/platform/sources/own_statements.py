"""Questions that no scan of one table answers: each with a statement, or two, of its own."""

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ff_observe.catalogue.model import OTHER_VALUES, Reading
from ff_observe.catalogue.questions import (
    CertificateExpiry,
    CertifiedNodes,
    DatabaseSize,
    DiskFree,
    DistinctSince,
    Question,
    TableSizes,
    TeamsOverLimit,
)
from ff_observe.platform.sources.model import Caps
from ff_observe.platform.sources.schema import REGISTRY_TOKEN, TABLES, Table
from ff_observe.platform.sources.sql import (
    MAX_LABEL_CHARACTERS,
    MAX_VALUES,
    Columns,
    Dialect,
    Row,
    as_number,
    as_text,
    beginning,
    cut,
    literal,
    quoted,
)

MAX_CERTIFICATE_CHARACTERS = 65_536
_SLACK_ROWS = 1_000  # rows written at the same time may have their keys in another order than their moments
_SCOPES = ("@flowfuse-certified-nodes/", "@flowfuse-nodes/")  # forge/housekeeper/tasks/certifiedNodes.js
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Asking:
    """What an own statement may use: `query` runs one, `directory` is that of the database's file."""

    query: Callable[[str], list[Row]]
    columns: Columns
    dialect: Dialect
    directory: Path | None

    def has(self, table: Table, name: str) -> bool:
        return name in self.columns[table.name]


Found = tuple[Reading, Caps | None]


def is_own(question: Question) -> bool:
    """Whether the question has a statement of its own."""
    return type(question) in _ASK


def ask(question: Question, asking: Asking) -> Found:
    """The reading, and what was capped of it where label values come from the database.

    Raises `StatementError`, `SourceError`, `UnexpectedAnswerError`.
    """
    return _ASK[type(question)](question, asking)


def _distinct_since(question: DistinctSince, asking: Asking) -> Found:
    """Without an index on the moment: the first row of the longest window is found by halving the range of keys."""
    table = TABLES[question.table]
    name, key = quoted(table.name), quoted(table.key)
    written = asking.dialect.moment(f"t.{quoted(table.columns[question.moment_column])}")
    longest = max(window.under_seconds for window in question.windows)
    middle = f"FROM {name} t WHERE t.{key} >= (low + high) / 2 ORDER BY t.{key} LIMIT 1"
    look = f"(SELECT ({written} >= :before_{longest}) {middle})"
    found = asking.query(
        f"WITH RECURSIVE look(low, high) AS (SELECT CAST((SELECT min({key}) FROM {name}) AS bigint),"
        f" CAST((SELECT max({key}) FROM {name}) + 1 AS bigint)"
        f" UNION ALL SELECT CASE WHEN {look} THEN low ELSE (low + high) / 2 + 1 END,"
        f" CASE WHEN {look} THEN (low + high) / 2 ELSE high END FROM look WHERE low < high"
        ") SELECT CAST(max(low) AS bigint) FROM look",
    )
    first = found[0][0]
    if first is None:
        return {(window.name,): 0 for window in question.windows}, None
    user = f"t.{quoted(table.columns[question.column])}"
    windows = ", ".join(
        f"count(DISTINCT {user}) FILTER (WHERE {written} >= :before_{window.under_seconds})"
        for window in question.windows
    )
    rows = asking.query(
        f"SELECT {windows} FROM {name} t WHERE t.{key} >= {as_number(first) - _SLACK_ROWS}",
    )
    return {(window.name,): as_number(value) for window, value in zip(question.windows, rows[0], strict=True)}, None


def _teams_over_limit(_: TeamsOverLimit, asking: Asking) -> Found:
    """forge/db/models/Team.js, getProperty: the team's own value, else its type's, else -1, which is no limit."""
    overrides = asking.has(TABLES["teams"], "properties")

    def limit(path: tuple[str, str]) -> str:
        values = [asking.dialect.json_integer('t."properties"', path)] if overrides else []
        return f"coalesce({', '.join([*values, asking.dialect.json_integer('o.' + quoted('properties'), path)])}, -1)"

    def of(alias: str, table: str) -> str:
        return (
            f' LEFT JOIN (SELECT "TeamId", count(*) AS n FROM {quoted(TABLES[table].name)} GROUP BY "TeamId") {alias}'
            f' ON {alias}."TeamId" = t."id"'
        )

    numbers = {
        "users": "coalesce(m.n, 0)",
        "devices": "coalesce(d.n, 0)",
        "runtimes": "coalesce(d.n, 0) + coalesce(i.n, 0)",
    }
    over = ", ".join(
        f"count(*) FILTER (WHERE {limit((kind, 'limit'))} > -1 AND {number} > {limit((kind, 'limit'))})"
        for kind, number in numbers.items()
    )
    rows = asking.query(
        f'SELECT {over} FROM "Teams" t LEFT JOIN "TeamTypes" o ON o."id" = t."TeamTypeId"'
        + of("m", "memberships")
        + of("d", "devices")
        + of("i", "instances")
    )
    return {(kind,): as_number(value) for kind, value in zip(numbers, rows[0], strict=True)}, None


def _certificate_expiry(_: CertificateExpiry, asking: Asking) -> Found:
    """Nothing else of a provider's options is read: those of LDAP hold a password."""
    table = TABLES["sso_providers"]
    certificate = beginning(asking.dialect.json_text(quoted("options"), ("cert",)), MAX_CERTIFICATE_CHARACTERS)
    saml = """ AND "type" = 'saml'""" if asking.has(table, "type") else ""
    rows = asking.query(
        f"SELECT {beginning(quoted('name'), MAX_LABEL_CHARACTERS)}, {certificate} FROM {quoted(table.name)}"
        f' WHERE "active" IS TRUE{saml} ORDER BY "id" LIMIT {10 * MAX_VALUES}',
    )
    found: dict[tuple[str, ...], float] = {}
    for name, text in rows:
        expires = _not_after(as_text(text) or "")
        if expires is not None:
            key = (cut(as_text(name) or ""),)
            found[key] = min(expires, found.get(key, expires))
    soonest = dict(sorted(found.items(), key=lambda one: one[1])[:MAX_VALUES])
    return soonest, Caps(len(found) - len(soonest), sum(key[0].endswith("…") for key in soonest))


def _not_after(text: str) -> float | None:
    """Base64 in the frame of PEM or without, as forge/ee/db/models/SAMLProvider.js takes it."""
    if not text or len(text) > MAX_CERTIFICATE_CHARACTERS:
        return None
    from cryptography import x509  # costs memory: only where a platform has SSO

    framed = _PEM.search(text)
    try:
        der = base64.b64decode("".join((framed[1] if framed else text).split()), validate=True)
        return x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()
    except (binascii.Error, ValueError):
        return None


def _certified_nodes(_: CertifiedNodes, asking: Asking) -> Found:
    """forge/housekeeper/tasks/certifiedNodes.js and forge/db/controllers/Project.js, getRuntimeSettings."""
    dialect = asking.dialect
    ours = " OR ".join(f"substr(f.package, 1, {len(scope)}) = {literal(scope)}" for scope in _SCOPES)
    seen = dialect.moment('d."lastSeenAt"')
    installed = (
        f'SELECT DISTINCT p."id" AS place, {dialect.json_text("m.value", ("name",))} AS package'
        ' FROM "Projects" p JOIN "ProjectSettings" s ON s."ProjectId" = p."id" AND s."key" = \'settings\''
        f' AND s."valueType" = 1 CROSS JOIN {dialect.json_elements("s." + quoted("value"), ("palette", "modules"))} m'
        " WHERE p.\"state\" = 'running'"
    )
    active = (
        'SELECT d."activeSnapshotId" AS snapshot, count(*) AS n FROM "Devices" d'
        f" WHERE d.\"state\" = 'running' AND ({seen} >= :before_86400) GROUP BY 1"
    )
    rolled_out = (
        f'SELECT k.key AS package, a.n FROM ({active}) a JOIN "ProjectSnapshots" s ON s."id" = a.snapshot'
        f" CROSS JOIN {dialect.json_keys('s.' + quoted('settings'), ('modules',))} k"
    )
    reports = f'EXISTS (SELECT 1 FROM "PlatformSettings" WHERE "key" = {literal(REGISTRY_TOKEN)} AND "value" <> \'\')'
    packages = (
        "SELECT f.package, sum(f.n) AS n FROM"
        f" (SELECT i.package, 1 AS n FROM ({installed}) i UNION ALL {rolled_out}) f"
        f" WHERE ({ours}) AND {reports} GROUP BY f.package"
    )
    ranked = f"SELECT package, n, row_number() OVER (ORDER BY n DESC, package) AS place FROM ({packages}) g"
    package = beginning("package", MAX_LABEL_CHARACTERS)
    shown = f"CASE WHEN place <= {MAX_VALUES} THEN {package} ELSE {literal(OTHER_VALUES)} END"
    rows = asking.query(
        f"SELECT {shown}, CAST(sum(n) AS bigint), max(place) FROM ({ranked}) r GROUP BY 1",
    )
    found: dict[tuple[str, ...], float] = {}
    for name, number, _place in rows:
        key = (cut(as_text(name) or ""),)
        found[key] = found.get(key, 0) + as_number(number)
    most = max((as_number(place) for _, _, place in rows), default=0)
    return found, Caps(max(0, most - MAX_VALUES), sum(key[0].endswith("…") for key in found))


def _database_size(_: DatabaseSize, asking: Asking) -> Found:
    return {(): as_number(asking.query(asking.dialect.database_size)[0][0])}, None


def _table_sizes(question: TableSizes, asking: Asking) -> Found:
    if asking.dialect.may_size_tables is not None and asking.query(asking.dialect.may_size_tables) == []:
        return {}, None
    rows = asking.query(f"{asking.dialect.table_sizes} ORDER BY 2 DESC, 1 LIMIT {question.most}")
    return {(cut(as_text(name) or ""),): as_number(bytes_) for name, bytes_ in rows}, None


def _disk_free(_: DiskFree, asking: Asking) -> Found:
    if asking.directory is None:
        return {}, None
    try:
        disk = os.statvfs(asking.directory)
    except OSError:
        return {}, None
    return {(): disk.f_bavail * disk.f_frsize}, None


_ASK: Mapping[type, Callable[..., Found]] = {
    DistinctSince: _distinct_since,
    TeamsOverLimit: _teams_over_limit,
    CertificateExpiry: _certificate_expiry,
    CertifiedNodes: _certified_nodes,
    DatabaseSize: _database_size,
    TableSizes: _table_sizes,
    DiskFree: _disk_free,
}
