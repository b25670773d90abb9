"""Questions with statements of their own, asked of SQLite in memory: what the recounts of whole platforms leave out."""

import contextlib
import json
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from ff_observe.catalogue.questions import (
    AgeBucket,
    CertificateExpiry,
    CertifiedNodes,
    DatabaseSize,
    DiskFree,
    DistinctSince,
    Question,
    TableSizes,
    TeamsOverLimit,
)
from ff_observe.platform.sources import own_statements
from ff_observe.platform.sources.model import Caps
from ff_observe.platform.sources.own_statements import (
    MAX_CERTIFICATE_CHARACTERS,
    Asking,
    Found,
    ask,
)
from ff_observe.platform.sources.sql import MAX_VALUES, Columns, Dialect, Row, UnexpectedAnswerError, moments
from ff_observe.platform.sources.sqlite import DIALECT, LARGEST_WALKED
from tests.real_parts.certificates import root_authority, self_signed
from tests.reduced.schema import Row as Written
from tests.reduced.schema import script
from tests.unit.platform.asked import EVERYTHING

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ACTIVE = DistinctSince("audit_log", "user", "created", (AgeBucket("day", 86_400), AgeBucket("week", 7 * 86_400)))
READ = {
    "AuditLogs": ("id", "UserId", "createdAt"),
    "Teams": ("id", "TeamTypeId", "properties"),
    "TeamTypes": ("id", "properties"),
    "TeamMembers": ("TeamId",),
    "Devices": ("TeamId", "state", "lastSeenAt", "activeSnapshotId"),
    "Projects": ("id", "TeamId", "state"),
    "SAMLProviders": ("id", "name", "active", "type", "options"),
    "ProjectSettings": ("ProjectId", "key", "value", "valueType"),
    "ProjectSnapshots": ("id", "settings"),
    "PlatformSettings": ("key", "value"),
}
"""What of FlowFuse's tables they may read."""
REPORTS = ("PlatformSettings", {"key": "platform:ff-npm-registry:token", "value": "planted", "valueType": 0})


@dataclass
class Platform:
    """A database in memory, and the statements that it was asked."""

    database: sqlite3.Connection
    columns: Columns = field(default_factory=lambda: EVERYTHING)
    directory: Path | None = None
    dialect: Dialect = DIALECT
    asked: list[str] = field(default_factory=list)

    def write(self, rows: Iterable[Written]) -> None:
        self.database.executescript(script(rows, AT, tables=()))

    def query(self, sql: str) -> list[Row]:
        self.asked.append(sql)
        return self.database.execute(sql, moments(sql, AT)).fetchall()

    def ask(self, question: Question) -> Found:
        return ask(question, Asking(self.query, self.columns, self.dialect, self.directory))


@pytest.fixture
def platform() -> Iterator[Platform]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript(script((), AT, tables=READ))
        yield Platform(database)


def answering(*answers: list[Row]) -> Asking:
    """A database that gives just these answers, one after the other."""
    given = iter(answers)
    return Asking(lambda sql: next(given), EVERYTHING, DIALECT, None)


def test_what_is_read_is_spelled_as_in_flowfuse_in_these_very_letters(platform: Platform) -> None:
    """PostgreSQL tells upper and lower case apart in names in quotes; SQLite does not."""
    platform.write([("AuditLogs", {"UserId": 1, "createdAt": AT})])
    for question in (ACTIVE, TeamsOverLimit(), CertificateExpiry(), CertifiedNodes()):
        platform.ask(question)
    names = {name for sql in platform.asked for name in re.findall('"([^"]*)"', sql)}
    assert names == {*READ, *(column for columns in READ.values() for column in columns)}


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        (DatabaseSize(), [[(-1,)]]),
        (DatabaseSize(), [[("1",)]]),
        (DatabaseSize(), [[(None,)]]),
        (TableSizes(), [[(1,)], [("Users", -1)]]),
        (ACTIVE, [[(1,)], [(1, -1)]]),
        (ACTIVE, [[("1",)]]),
        (TeamsOverLimit(), [[(0, 0, None)]]),
        (CertifiedNodes(), [[("@flowfuse-nodes/a", -1, 1)]]),
        (CertifiedNodes(), [[("@flowfuse-nodes/a", 1, None)]]),
        (ACTIVE, [[]]),
        (ACTIVE, [[(1,)], [(1,)]]),
        (ACTIVE, [[(1,)], [(1, 2, 3)]]),
        (TeamsOverLimit(), [[(0, 0)]]),
        (TeamsOverLimit(), [[(0, 0, 0, 0)]]),
    ],
)
def test_rows_of_another_shape_than_was_asked_for_are_refused(question: Question, answers: list[list[Row]]) -> None:
    with pytest.raises((UnexpectedAnswerError, ValueError, IndexError)):
        ask(question, answering(*answers))


def test_users_are_counted_once_in_each_window_from_its_first_millisecond(platform: Platform) -> None:
    assert platform.ask(ACTIVE) == ({("day",): 0, ("week",): 0}, None)
    millisecond = timedelta(milliseconds=1)
    for user, ago in [
        (1, timedelta(days=30)),
        (2, timedelta(days=7) + millisecond),
        (3, timedelta(days=7)),
        (3, timedelta(days=6)),
        (4, timedelta(days=1) + millisecond),
        (5, timedelta(days=1)),
        (3, timedelta()),
        (None, timedelta()),
    ]:
        platform.write([("AuditLogs", {"UserId": user, "createdAt": AT - ago})])
    assert platform.ask(ACTIVE) == ({("day",): 2, ("week",): 3}, None)


def test_a_later_moment_under_an_earlier_key_is_found_among_the_thousand_rows_before(platform: Platform) -> None:
    """Transactions that overlap write their rows in another order than that of their keys."""
    ages = {3: 30, 1_001: 0, 1_500: 30, 2_000: 30, 2_001: 0}
    platform.write(
        ("AuditLogs", {"id": key, "UserId": key, "createdAt": AT - timedelta(days=days)}) for key, days in ages.items()
    )
    assert platform.ask(ACTIVE)[0] == {("day",): 2, ("week",): 2}


TEAM = {"users": {"limit": 1}, "devices": {"limit": 1}, "runtimes": {"limit": 2}}


@pytest.mark.parametrize(
    ("own", "of_type", "members", "devices", "instances", "over"),
    [
        (None, TEAM, 1, 1, 1, ""),
        (None, TEAM, 2, 0, 0, "users"),
        (None, TEAM, 0, 2, 0, "devices"),
        (None, TEAM, 0, 0, 3, "runtimes"),
        (None, TEAM, 1, 1, 2, "runtimes"),
        (None, TEAM, 2, 2, 1, "users devices runtimes"),
        (None, {}, 3, 3, 3, ""),
        (None, {"users": {"limit": -1}, "devices": {"limit": 0}}, 3, 1, 0, "devices"),
        ({"users": {"limit": 3}}, TEAM, 3, 0, 0, ""),
        ({"users": {"limit": 0}}, TEAM, 1, 0, 0, "users"),
    ],
)
def test_a_team_is_over_a_limit_of_its_own_or_else_of_its_type(
    platform: Platform, own: object, of_type: object, members: int, devices: int, instances: int, over: str
) -> None:
    def of_team(table: str, number: int) -> list[Written]:
        return [(table, {"TeamId": 7})] * number

    platform.write([("TeamTypes", {"id": 3, "properties": json.dumps(of_type)})])
    platform.write([("Teams", {"id": 7, "TeamTypeId": 3, "properties": json.dumps(own) if own else None})])
    platform.write(of_team("TeamMembers", members) + of_team("Devices", devices) + of_team("Projects", instances))
    platform.write([(table, {"TeamId": 8}) for table in ("TeamMembers", "Devices", "Projects")])
    assert platform.ask(TeamsOverLimit()) == (
        {(kind,): int(kind in over.split()) for kind in ("users", "devices", "runtimes")},
        None,
    )


def test_where_teams_have_no_limits_of_their_own_those_of_their_types_hold(platform: Platform) -> None:
    platform.database.execute('ALTER TABLE "Teams" DROP COLUMN "properties"')
    platform.write([("TeamTypes", {"id": 3, "properties": json.dumps(TEAM)}), ("Teams", {"id": 7, "TeamTypeId": 3})])
    platform.write([("TeamMembers", {"TeamId": 7})] * 2)
    platform.columns = {**EVERYTHING, "Teams": {"id", "TeamTypeId"}}
    assert platform.ask(TeamsOverLimit())[0] == {("users",): 1, ("devices",): 0, ("runtimes",): 0}


LATER = self_signed(("sso.example.com",))[0].decode()
SOONER = root_authority().issue("sso.example.com", expired=True).decode()
"""With its key before it, as some keep it in one text."""


def expiry(pem: str) -> float:
    return x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN CERT") :].encode()).not_valid_after_utc.timestamp()


def provider(name: str, certificate: str | None, **values: object) -> Written:
    options = json.dumps({"cert": certificate})
    return "SAMLProviders", {"name": name, "active": True, "type": "saml", "options": options} | values


def padded(characters: int) -> str:
    return "".join(LATER.splitlines()[1:-1]).ljust(characters)


@pytest.mark.parametrize(
    ("certificate", "found"),
    [
        (LATER, expiry(LATER)),
        (SOONER, expiry(SOONER)),
        (padded(0), expiry(LATER)),
        (padded(MAX_CERTIFICATE_CHARACTERS), expiry(LATER)),
        (padded(MAX_CERTIFICATE_CHARACTERS + 1), None),
        (padded(0).replace("M", "M!", 1), None),
        ("AAAA", None),
        ("A", None),
        ("", None),
        (None, None),
    ],
    ids=["PEM", "with its key", "bare", "long", "too long", "another character", "else", "cut off", "empty", "none"],
)
def test_a_certificate_is_read_in_a_frame_or_without(
    platform: Platform, certificate: str | None, found: float | None
) -> None:
    platform.write([provider("Plant", certificate)])
    assert platform.ask(CertificateExpiry()) == ({} if found is None else {("Plant",): found}, Caps())


def test_of_providers_with_one_name_the_certificate_that_expires_first_counts(platform: Platform) -> None:
    platform.write([provider("Plant", LATER), provider("Plant", SOONER), provider("Plant", LATER)])
    platform.write([provider("Off", SOONER, active=False), provider("Directory", SOONER, type="ldap")])
    assert platform.ask(CertificateExpiry()) == ({("Plant",): expiry(SOONER)}, Caps())


def test_before_providers_had_a_type_all_were_of_saml(platform: Platform) -> None:
    platform.database.execute('ALTER TABLE "SAMLProviders" DROP COLUMN "type"')
    platform.columns = {**EVERYTHING, "SAMLProviders": {"id", "name", "active", "options"}}
    name, values = provider("Plant", LATER)
    platform.write([(name, {key: value for key, value in values.items() if key != "type"})])
    assert platform.ask(CertificateExpiry())[0] == {("Plant",): expiry(LATER)}


def test_of_many_certificates_those_that_expire_first_are_shown(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_statements, "MAX_VALUES", 2)
    long = "n" * 129
    platform.write([provider("B", LATER), provider("A", LATER), provider(long, SOONER), provider("D", LATER)])
    assert platform.ask(CertificateExpiry()) == (
        {("n" * 127 + "…",): expiry(SOONER), ("B",): expiry(LATER)},
        Caps(number=2, length=1),
    )


def test_no_more_than_a_thousand_providers_are_looked_at(platform: Platform) -> None:
    platform.write([provider(str(number), None) for number in range(10 * MAX_VALUES - 1)])
    platform.write([provider("the thousandth", LATER), provider("one more", LATER)])
    assert set(platform.ask(CertificateExpiry())[0]) == {("the thousandth",)}


def running(*packages: str) -> list[Written]:
    """An instance that runs with these packages."""
    modules = [{"name": name, "version": "1.0.0"} for name in packages]
    settings = json.dumps({"palette": {"modules": modules}})
    return [
        ("Projects", {"id": packages[0], "state": "running"}),
        ("ProjectSettings", {"ProjectId": packages[0], "key": "settings", "value": settings, "valueType": 1}),
    ]


def test_certified_nodes_are_those_of_flowfuses_scopes_wherever_they_run(platform: Platform) -> None:
    day = timedelta(days=1)
    certified, ours, longer = "@flowfuse-certified-nodes/opc", "@flowfuse-nodes/mqtt", "@flowfuse-nodesx/no"
    modules = {"modules": {ours: "1.0.0", "node-red": "4.0.0"}}
    platform.write([*running(certified, ours, longer), *running(ours, ours)])
    platform.write([("ProjectSnapshots", {"id": 1, "settings": json.dumps(modules)})])
    platform.write(
        ("Devices", {"state": state, "lastSeenAt": AT - ago, "activeSnapshotId": 1})
        for state, ago in (
            ("running", day),
            ("running", timedelta()),
            ("running", day + timedelta(milliseconds=1)),
            ("stopped", timedelta()),
        )
    )
    assert platform.ask(CertifiedNodes()) == ({}, Caps()), "without a token FlowFuse reports none"
    platform.write([REPORTS])
    assert platform.ask(CertifiedNodes()) == ({(certified,): 1, (ours,): 2 + 2}, Caps())


def test_rare_packages_are_summed_and_long_names_are_cut(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_statements, "MAX_VALUES", 3)
    begin = "@flowfuse-nodes/".ljust(128, "x")
    names = [begin + "a", begin + "b", "@flowfuse-nodes/often"]
    often = [written for place in range(3) for written in running(f"{place}", names[2])]
    twice = [written for place in range(2) for written in running(f"t{place}", *names[:2])]
    platform.write([REPORTS, *often, *twice, *running("@flowfuse-nodes/b", "@flowfuse-nodes/a")])
    assert platform.ask(CertifiedNodes()) == (
        {(names[2],): 3, (begin[:127] + "…",): 4, ("other",): 2},
        Caps(number=2, length=1),
    )


@pytest.mark.parametrize(
    "content",
    [
        '{"palette": ',
        "{'palette': 1}",
        '{"palette": {"modules": ["@flowfuse-nodes/a"]}}',
        '{"a": ' * 2_001 + "1" + "}" * 2_001,
    ],
    ids=["cut off", "no JSON", "of another form", "nested too deeply"],
)
def test_json_that_cannot_be_read_holds_nothing_and_takes_no_other_down(platform: Platform, content: str) -> None:
    package = "@flowfuse-nodes/mqtt"
    platform.write([REPORTS, *running(package), *running("@flowfuse-nodes/lost")])
    lost = "UPDATE ProjectSettings SET value = ? WHERE ProjectId = '@flowfuse-nodes/lost'"
    platform.database.execute(lost, [content])
    platform.write([("ProjectSnapshots", {"id": 1, "settings": content})])
    platform.write([("Devices", {"state": "running", "lastSeenAt": AT, "activeSnapshotId": 1})])
    assert platform.ask(CertifiedNodes()) == ({(package,): 1}, Caps())
    platform.write([provider("Plant", LATER), provider("Lost", None, options=content)])
    assert platform.ask(CertificateExpiry())[0] == {("Plant",): expiry(LATER)}
    platform.write(
        [("TeamTypes", {"id": place, "properties": of}) for place, of in enumerate((json.dumps(TEAM), content))]
    )
    platform.write([("Teams", {"id": 7 + place, "TeamTypeId": place, "properties": content}) for place in (0, 1)])
    platform.write([("TeamMembers", {"TeamId": 7 + place}) for place in (0, 0, 1, 1)])
    assert platform.ask(TeamsOverLimit())[0] == {("users",): 1, ("devices",): 0, ("runtimes",): 0}


MADE = "SELECT * FROM (VALUES ('c', 1), ('b', 3), ('a', 1), ('d', 3), (printf('%129s', 'e'), 0))"


@pytest.mark.parametrize(
    ("may", "most", "found"),
    [
        ("SELECT 1", 3, {"b": 3, "d": 3, "a": 1}),
        (None, 5, {"b": 3, "d": 3, "a": 1, "c": 1, " " * 127 + "…": 0}),
        ("SELECT 1 WHERE FALSE", 3, {}),
    ],
)
def test_the_largest_tables_come_first_and_those_of_one_size_by_name(
    platform: Platform, may: str | None, most: int, found: dict[str, int]
) -> None:
    platform.dialect = replace(DIALECT, table_sizes=MADE, may_size_tables=may)
    sizes, caps = platform.ask(TableSizes(most))
    assert list(sizes.items()) == [((name,), number) for name, number in found.items()]
    assert caps is None


def test_tables_are_not_sized_where_too_much_would_be_read(platform: Platform) -> None:
    may = DIALECT.may_size_tables
    assert may is not None
    ((size,),) = platform.query(DIALECT.database_size)
    compiled_in = platform.query("SELECT 1 FROM pragma_module_list WHERE name = 'dbstat'")
    for largest, expected in ((size, compiled_in), (int(str(size)) - 1, [])):
        assert platform.query(may.replace(str(LARGEST_WALKED), str(largest))) == expected


def test_the_size_of_a_database_is_that_of_its_pages(platform: Platform) -> None:
    (pages,), (size,) = (platform.database.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    assert platform.ask(DatabaseSize()) == ({(): pages * size}, None)


@pytest.mark.parametrize(
    ("question", "answers", "value"),
    [
        (TableSizes(), [[(1,)], [(None, 1)]], 1),
        (CertifiedNodes(), [[(None, 1, 1)]], 1),
        (CertificateExpiry(), [[(None, LATER)]], expiry(LATER)),
    ],
    ids=["table", "nodes", "certificate"],
)
def test_a_name_that_is_null_is_an_empty_one(question: Question, answers: list[list[Row]], value: float) -> None:
    assert ask(question, answering(*answers))[0] == {("",): value}


def test_the_disk_is_the_one_that_holds_the_file(platform: Platform, tmp_path: Path) -> None:
    assert platform.ask(DiskFree()) == ({}, None)
    platform.directory = tmp_path / "gone"
    assert platform.ask(DiskFree()) == ({}, None)
    platform.directory = tmp_path
    assert platform.ask(DiskFree())[0] == {(): pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.5)}
