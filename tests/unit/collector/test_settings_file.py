"""`collector.yml` and the options of `ff-observe collector run`."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from ff_observe.collector.sender_address import ForwardedHeader
from ff_observe.collector.settings import (
    COLLECTOR,
    PREVIOUS_WRAPPING_COMMAND,
    WRAPPING_COMMAND,
    CollectorSettings,
    PostgreSQLServer,
    SQLiteFile,
)
from ff_observe.collector.settings_file import NamedDatabase, collector_settings
from ff_observe.collector.settings_kinds import ClickHouse
from ff_observe.config.secret import Secret
from ff_observe.errors import ConfigurationError, UsageError
from ff_observe.http.limits import Limits

NO_NETWORK = "1.2.3.4/8 is not where a network begins; write 1.0.0.0/8 or 1.2.3.4"
A_DATABASE = "write sqlite:PATH or postgresql://HOST:PORT/DATABASE, with USER:PASSWORD@ before HOST"
NO_URL = (
    "the PostgreSQL URL is not one that libpq reads; write postgresql://HOST:PORT/DATABASE, with USER:PASSWORD@ "
    "before HOST, %XX for what is special in them, and several hosts as HOST:PORT,HOST:PORT"
)
A_WRITER = (
    "found a string (not shown); a collector writes: leave target_session_attrs out; of several hosts it takes the one "
    "that takes writes. A replica for `ff-observe fleet` stands in fleet.database"
)
A_REPLICA = "write postgresql://HOST:PORT/DATABASE, with USER:PASSWORD@ before HOST"
A_COPY = "write clickhouse://HOST:8123/DATABASE, with USER:PASSWORD@ before HOST; clickhouses: is TLS"
A_NUMBER = "write a whole number from 1 to 36500, without quotes"
AN_EPSILON = "write a number from 0.001 to 100, without quotes"
A_BOOLEAN = "write true, without quotes (YAML 1.2 has only true and false)"
A_HEADER = "write x-forwarded-for or forwarded: the header that your proxies set"
A_LISTEN = "write HOST:PORT, such as 127.0.0.1:10465 or [::1]:10465"
A_LIST = "write a list of addresses or networks, such as [10.0.0.0/8, ::1]"
NOT_BOTH = "write this or keys.previous_wrapping_key_file, not both"
A_SUCCESSOR = "name its successor too, in keys.wrapping_key_file or keys.wrapping_command"
ANOTHER = "it names the wrapping that is in use: name the one before, or remove this key"
EVERYTHING = """\
listen: "[::1]:8080"
allowed_hosts: [pings.example.com]
data_dir: data
database: sqlite:elsewhere/pings.db
address:
  key_file: /run/keys/sender.key
  key_days: 7
  trusted_proxies: [10.0.0.0/8, "::1"]
  header: forwarded
keys:
  wrapping_key_file: wrapping.key
  previous_wrapping_key_file: previous.key
duplicates:
  window_minutes: 5
retention_days: 30
rollup_days: 60
fleet:
  k: 10
  public_k: 20
  public_days: 7
  release_days: 30
  epsilon: 0.5
  epsilon_budget: 20
  silent_after_days: 3
  interval_seconds: 60
  database: postgresql://a:1,b:2/pings?target_session_attrs=prefer-standby
  analytics: clickhouses://u:hidden@h:1/fleet
  public: true
limits:
  connections: 100
  request_seconds: 3
  idle_seconds: 4
"""


def written(directory: Path, text: str) -> Path:
    file = directory / "collector.yml"
    file.write_text(text)
    return file


def problems(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        collector_settings(written(directory, text))
    return [str(problem).removeprefix(f"{directory}/collector.yml:") for problem in caught.value.problems]


def test_without_a_file_the_defaults_need_no_set_up() -> None:
    settings = collector_settings()
    assert settings == CollectorSettings()
    assert settings.database_file == Path("ff-observe-collector/pings/pings.sqlite3")
    assert settings.sender_key_file.parent != settings.database_file.parent


def test_every_key_is_read(tmp_path: Path) -> None:
    file = written(tmp_path, EVERYTHING)
    assert collector_settings(file) == CollectorSettings(
        host="::1",
        port=8080,
        allowed_hosts=("pings.example.com",),
        data_dir=tmp_path / "data",
        database=SQLiteFile(tmp_path / "elsewhere/pings.db"),
        key_file=Path("/run/keys/sender.key"),
        key_lifetime=timedelta(days=7),
        wrapping_key_file=tmp_path / "wrapping.key",
        previous_wrapping_key_file=tmp_path / "previous.key",
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("::1")),
        forwarded_header=ForwardedHeader.FORWARDED,
        duplicate_window=timedelta(minutes=5),
        retention=timedelta(days=30),
        rollup_retention=timedelta(days=60),
        k=10,
        public_k=20,
        public_days=7,
        release_days=30,
        epsilon=0.5,
        epsilon_budget=20.0,
        silent_after_days=3,
        fleet_database=PostgreSQLServer(Secret("postgresql://a:1,b:2/pings?target_session_attrs=prefer-standby")),
        fleet_analytics=ClickHouse(Secret("clickhouses://u:hidden@h:1/fleet")),
        fleet_interval_seconds=60,
        public=True,
        limits=Limits(connections=100, request_seconds=3, idle_seconds=4),
        named_in=str(file),
    )
    for key in set(COLLECTOR.keys) - {WRAPPING_COMMAND, PREVIOUS_WRAPPING_COMMAND}:  # in the place of files
        assert f"{key.path.rpartition('.')[2]}:" in EVERYTHING


def test_a_command_can_wrap_the_keys(tmp_path: Path) -> None:
    text = "keys: {wrapping_command: [kms, --key, alias/pings], previous_wrapping_command: [kms, old]}"
    settings = collector_settings(written(tmp_path, text))
    assert settings.wrapping_command == ("kms", "--key", "alias/pings")
    assert settings.previous_wrapping_command == ("kms", "old")


def test_the_database_can_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgresql://u:p@127.0.0.1/pings\n")
    settings = collector_settings(written(tmp_path, "database_file: secret"))
    assert settings.database == PostgreSQLServer(Secret("postgresql://u:p@127.0.0.1/pings"))
    assert "u:p" not in repr(settings)


def test_options_win_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, EVERYTHING)
    settings = collector_settings(
        file,
        listen=":0",
        database=NamedDatabase("--database", Secret("postgresql://u@127.0.0.1/pings"), seen=True),
        data_dir=Path("/srv/pings"),
    )
    assert (settings.host, settings.port, settings.data_dir) == ("0.0.0.0", 0, Path("/srv/pings"))
    assert settings.database == PostgreSQLServer(Secret("postgresql://u@127.0.0.1/pings"))
    assert settings.fleet_database is None  # it would be a replica of another
    assert settings.fleet_analytics is None  # it would be a copy of another
    assert settings.retention == timedelta(days=30)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("database: postgresql://a,b/pings?target_session_attrs=standby", f"1:11: database: {A_WRITER}"),
        ("fleet: {database: 'sqlite:pings.db'}", f"1:19: fleet.database: found a string (not shown); {A_REPLICA}"),
        *(
            (
                f"fleet: {{analytics: '{url}'}}",
                f"1:20: fleet.analytics: found a string (not shown); {A_COPY}",
            )
            for url in (
                "https://u:hidden@h:8443/fleet",
                "clickhouse://u:hidden@h:8123",
                "clickhouse://u:hidden@:8123/fleet",
                "clickhouse://u:hidden@h:65536/fleet",
                "clickhouse://u:hidden@h/fleet?secure=1",
                "clickhouse://u:hidden@h/fleet; DROP",
            )
        ),
        ("listen: 10465", "1:9: listen: found the number 10465; write a string: put it in quotes"),
        ("listen: '::1:80'", f'1:9: listen: found the string "::1:80"; {A_LISTEN}'),
        ("listen: 'a:65536'", f'1:9: listen: found the string "a:65536"; {A_LISTEN}'),
        ("database: mysql://x", f"1:11: database: found a string (not shown); {A_DATABASE}"),
        (
            "database: postgresql://u:hidden@h:port/d",
            "1:11: database: found a string (not shown); the PostgreSQL URL has no valid port",
        ),
        (
            "database: postgresql://u:hidden@h:1,i:65536/d",
            "1:11: database: found a string (not shown); the PostgreSQL URL has no valid port",
        ),
        ("database: postgresql://u:hidden%zz@h/d", f"1:11: database: found a string (not shown); {NO_URL}"),
        ("retention_days: '30'", f'1:17: retention_days: found the string "30"; {A_NUMBER}'),
        ("fleet:\n  public: yes", f'2:11: fleet.public: found the string "yes"; {A_BOOLEAN}'),
        (
            "fleet:\n  public_k: 4",
            "2:13: fleet.public_k: write at least the 5 of fleet.k: the public sees no more than you",
        ),
        ("keys: {previous_wrapping_key_file: a}", f"1:36: keys.previous_wrapping_key_file: {A_SUCCESSOR}"),
        ("keys: {previous_wrapping_command: [a]}", f"1:35: keys.previous_wrapping_command: {A_SUCCESSOR}"),
        (
            "keys:\n  wrapping_key_file: a\n  previous_wrapping_key_file: a",
            f"3:31: keys.previous_wrapping_key_file: {ANOTHER}",
        ),
        (
            "keys:\n  wrapping_command: [a, b]\n  previous_wrapping_command: [a, b]",
            f"3:30: keys.previous_wrapping_command: {ANOTHER}",
        ),
        (
            "keys:\n  wrapping_key_file: a\n  previous_wrapping_key_file: b\n  previous_wrapping_command: [b]",
            f"4:30: keys.previous_wrapping_command: {NOT_BOTH}",
        ),
        (
            "fleet:\n  k: 1\n  public_k: 1\n  epsilon: 1",
            "4:12: fleet.epsilon: remove it, or set fleet.public_k to 2 or more: with 1 all is shown",
        ),
        ("fleet:\n  epsilon: 11", "2:12: fleet.epsilon: write at most the 10 of fleet.epsilon_budget"),
        ("fleet:\n  epsilon: true", f"2:12: fleet.epsilon: found the boolean true; {AN_EPSILON}"),
        ("fleet: 5", "1:8: fleet: found a number (not shown); write a map: the keys below it, indented"),
        (
            "address:\n  trusted_proxies: 10.0.0.1",
            f'2:20: address.trusted_proxies: found the string "10.0.0.1"; {A_LIST}',
        ),
        ("address:\n  trusted_proxies: [10.0.0.1/33]", f"2:21: address.trusted_proxies: {A_LIST}"),
        ("address:\n  trusted_proxies: ['::1', 1.2.3.4/8]", f"2:28: address.trusted_proxies: {NO_NETWORK}"),
        ("address:\n  trusted_proxies: [5]", f"2:21: address.trusted_proxies: {A_LIST}"),
        ("address:\n  header: x-real-ip", f'2:11: address.header: found the string "x-real-ip"; {A_HEADER}'),
        ("duplicates:\n  windows: 3", '2:3: duplicates.windows: unknown key; did you mean "window_minutes"?'),
        ("- a", "1:1: found a list; write a map: one 'key: value' per line"),
        ("a: 'b", "1:4: this is not YAML: while scanning a quoted scalar: found unexpected end of stream"),
        ("database_file: gone", "1:16: database_file: the file it names cannot be used: there is no such file"),
        (
            "database: sqlite:a\ndatabase_file: b",
            '2:16: database_file: both "database" and "database_file" are set: keep one of them',
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_write(tmp_path: Path, text: str, told: str) -> None:
    found = problems(tmp_path, text)
    assert found == [told]
    assert "hidden" not in found[0]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "listen: 1\nretention_days: 0\nnothing: 1\nfleet:\n  k: 0\n")) == 4


def test_a_secret_file_that_holds_something_else_is_told_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden")
    assert problems(tmp_path, "database_file: secret") == [
        f"1:16: database_file: found a string (not shown); {A_DATABASE}"
    ]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        collector_settings(tmp_path / "collector.yml")


def test_a_wrong_option_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--listen: write HOST:PORT"):
        collector_settings(listen="nowhere")
    with pytest.raises(UsageError, match="--database: write sqlite:PATH"):
        collector_settings(database=NamedDatabase("--database", Secret("pings.db"), seen=True))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://collector:hidden@127.0.0.1/pings",
        "postgres://:hidden@[::1]:5433/pings",
        "postgresql://collector@127.0.0.1/pings?sslmode=require&password=hidden",
        "postgresql:///pings?sslpassword=hidden",
    ],
)
def test_a_password_in_a_command_is_refused_and_everywhere_else_taken(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match=r"--database: .*--database-file") as caught:
        collector_settings(database=NamedDatabase("--database", Secret(url), seen=True))
    assert "hidden" not in str(caught.value)
    (tmp_path / "url").write_text(f"{url}\n")
    for named in (NamedDatabase("A_VARIABLE", Secret(url)), NamedDatabase("--database-file", file=tmp_path / "url")):
        assert collector_settings(database=named).database == PostgreSQLServer(Secret(url))


def test_a_database_without_a_password_may_be_in_a_command() -> None:
    url = "postgresql://collector@127.0.0.1/pings?passfile=/run/pgpass"
    named = NamedDatabase("--database", Secret(url), seen=True)
    assert collector_settings(database=named).database == PostgreSQLServer(Secret(url))


@pytest.mark.parametrize(
    ("content", "told"), [(None, "there is no such file"), ("hidden", f"in that file, {A_DATABASE}")]
)
def test_a_file_of_the_database_that_is_none_is_told(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "url").write_text(content)
    with pytest.raises(UsageError) as caught:
        collector_settings(database=NamedDatabase("--database-file", file=tmp_path / "url"))
    assert str(caught.value) == f"--database-file: {tmp_path}/url: {told}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h1:5432,h2:5433/pings?target_session_attrs=read-write",
        "postgresql://h1,h2:5433/pings",
        "postgresql://u@[::1]:5432,[::2]/pings",
        "postgresql:///pings?host=/run/postgresql",
    ],
)
def test_a_postgresql_url_may_be_any_that_libpq_takes(url: str) -> None:
    assert collector_settings(database=NamedDatabase("A_VARIABLE", Secret(url))).database == PostgreSQLServer(
        Secret(url)
    )
