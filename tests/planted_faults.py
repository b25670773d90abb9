"""A platform that is well, faults to plant there, and what `ff-observe doctor` has to say of each."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.platforms import case_named, database_name, postgresql_source
from tests.real_parts.bridge import home_with
from tests.real_parts.certificates import root_authority
from tests.real_parts.pgbouncer import pooler
from tests.real_parts.postgresql import PASSWORD, Cluster
from tests.real_parts.processes import free_port

RECORDED = case_named("v2.4.0-sqlite-ce")
ON_POSTGRESQL = case_named("v2.4.0-postgres-ce")


@dataclass
class World:
    """A platform that is well, and where a fault is planted. Sections are YAML, indented by two."""

    home: Path
    monkeypatch: pytest.MonkeyPatch
    postgres: Callable[[], Cluster]
    until_the_end: ExitStack
    database: str = "  type: sqlite\n"
    telemetry: str = "  enabled: true\n"
    rest: str = ""
    options: list[str] = field(default_factory=list)

    def write(self) -> None:
        home_with(self.home, self.database, self.telemetry)
        file = self.home / "etc" / "flowforge.yml"
        file.write_text(file.read_text() + self.rest)
        file.chmod(0o600)
        shutil.copyfile(RECORDED.home / "var" / "forge.db", self.home / "var" / "forge.db")

    def backend(self, section: str) -> None:
        self.telemetry = f"  enabled: true\n  backend:\n{section}"

    def on_postgresql(self, **other: str | int) -> None:
        """FlowFuse's database with its owner, but for what is other."""
        values = {
            "type": "postgres",
            "host": "127.0.0.1",
            "user": "postgres",
            "password": PASSWORD,
            "database": database_name(ON_POSTGRESQL),
            **other,
        }
        if "port" not in values:
            values["port"] = self.postgres().port
            postgresql_source(ON_POSTGRESQL, self.postgres()).close()
        self.database = "".join(f"  {name}: {value}\n" for name, value in values.items())

    def role(self, sql: str) -> None:
        """As a role of its own, made by this SQL."""
        self.on_postgresql(user="doctored", password="x")
        with self.postgres().connect(database_name(ON_POSTGRESQL)) as owner:
            owner.execute(f"CREATE ROLE doctored LOGIN PASSWORD 'x'; {sql}".encode())

        def drop() -> None:
            with self.postgres().connect(database_name(ON_POSTGRESQL)) as owner:
                owner.execute(b"DROP OWNED BY doctored; DROP ROLE doctored")

        self.until_the_end.callback(drop)


def certificate(world: World) -> None:
    (world.home / "etc").mkdir(parents=True)
    (world.home / "etc" / "tls.pem").write_bytes(root_authority().issue("a", ips=["127.0.0.1"], expired=True))
    (world.home / "etc" / "web.yml").write_text("tls_server_config: {cert_file: tls.pem, key_file: tls.pem}")
    world.backend("    prometheus: {web_config_file: web.yml}\n")


def taken_port(world: World) -> None:
    taken = world.until_the_end.enter_context(socket.create_server(("127.0.0.1", 0)))
    world.backend(f"    prometheus: {{port: {taken.getsockname()[1]}}}\n")


def damaged_ledger(world: World) -> None:
    state = world.home / "var" / "ff-observe"
    state.mkdir(parents=True)
    (state / "pings.jsonl").write_text("{}\n")


def not_allowed(world: World, name: str) -> None:
    """As for a user who may not. (The tests may run as root, who may do everything.)"""
    allowed = os.access
    world.monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != name and allowed(path, mode))


def state_of_others(world: World) -> None:
    (world.home / "var" / "ff-observe").mkdir(parents=True)
    not_allowed(world, "ff-observe")


def state_is_a_file(world: World) -> None:
    (world.home / "var").mkdir(parents=True)
    (world.home / "var" / "ff-observe").write_text("")


def through_a_pooler(world: World) -> None:
    world.on_postgresql()
    port = world.until_the_end.enter_context(pooler(world.postgres(), ignores="extra_float_digits"))
    world.on_postgresql(port=port)


def empty_database(world: World) -> None:
    world.on_postgresql(database=world.postgres().create("empty_for_doctor"))


def template(world: World, name: str) -> None:
    world.database = f"  type: sqlite\n  storage: {name}\n"
    shutil.copytree(case_named("v2.4.0-sqlite-ce-uninitialised").home / "var", world.home / "var")
    (world.home / "var" / "forge.db").rename(world.home / "var" / name)


GRANT_TOO_LITTLE = 'GRANT SELECT ON "Users", "PlatformSettings", "Projects", "Teams" TO doctored'
GRANT_TOO_MUCH = 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO doctored; GRANT UPDATE ON "Users" TO doctored'


NO_BRIDGE = "with it, no bridge starts"
ON_REQUEST = "looked for on request alone: a bridge contacts no machine that it was not asked to"


@dataclass(frozen=True)
class Fault:
    """`id` and `advice` are what doctor says. `unseen` is why no page of a bridge shows it; the others' pages do."""

    id: str
    advice: str
    plant: Callable[[World], object]
    unseen: str = ""


def setting(name: str, value: str) -> Callable[[World], object]:
    return lambda world: setattr(world, name, value)


def option(*options: str) -> Callable[[World], object]:
    return lambda world: world.options.extend(options)


def variable(name: str, value: str) -> Callable[[World], object]:
    return lambda world: world.monkeypatch.setenv(name, value)


def over_the_network(url: str) -> Callable[[World], object]:
    def plant(world: World) -> None:
        world.telemetry = f"  url: {url}\n"
        world.options.append("--network")

    return plant


def no_prometheus(world: World) -> None:
    world.backend("    prometheus: {enabled: true}\n")
    world.options.extend(["--prometheus", f"http://127.0.0.1:{free_port()}"])


FAULTS: dict[str, Fault] = {
    "no file": Fault("configuration", "--home", option("--home", "/nowhere"), unseen=NO_BRIDGE),
    "a wrong value": Fault("configuration", "write false", setting("telemetry", "  enabled: no\n"), unseen=NO_BRIDGE),
    "a wrong variable": Fault(
        "configuration",
        "FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PORT: ",
        variable("FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PORT", "x"),
        unseen=NO_BRIDGE,
    ),
    "a malformed DSN": Fault(
        "configuration",
        "write the DSN that Sentry shows",
        lambda world: world.backend("    sentry: {dsn: 'https://sentry.example.com/1'}\n"),
        unseen=NO_BRIDGE,
    ),
    "an open door": Fault(
        "configuration",
        "allow_public",
        lambda world: world.backend("    prometheus: {host: 0.0.0.0}\n"),
        unseen=NO_BRIDGE,
    ),
    "a misspelt key": Fault("unknown-keys", "ff-observe check", setting("telemetry", "  enable: false\n")),
    "nothing listens": Fault("database-refused", "db.port", lambda world: world.on_postgresql(port=free_port())),
    "a wrong password": Fault("database-password", "db.password", lambda world: world.on_postgresql(password="wrong")),
    "another name": Fault("database-name", "db.database", lambda world: world.on_postgresql(database="nowhere")),
    "a host that is none": Fault("database-host", "db.host", lambda world: world.on_postgresql(host="a..b", port=1)),
    "TLS that is not there": Fault("database-tls", "ca_file", lambda world: world.on_postgresql(ssl="true")),
    "another database": Fault("database-empty", "start FlowFuse once", empty_database),
    "no file of SQLite": Fault(
        "database-unreachable", "db.storage", setting("database", "  type: sqlite\n  storage: nowhere.db\n")
    ),
    "a role that lacks rights": Fault(
        "role-lacks-privileges", "ff-observe database grants", lambda world: world.role(GRANT_TOO_LITTLE)
    ),
    "a role that writes": Fault("role-can-write", "FF_OBSERVE_DB_USER", lambda world: world.role(GRANT_TOO_MUCH)),
    "a superuser": Fault("role-can-write", "ff-observe database grants", lambda world: world.on_postgresql()),
    "a pooler": Fault("pooler", "Connect to PostgreSQL itself", through_a_pooler),
    "FlowFuse is down": Fault(
        "flowfuse-unreachable",
        "probe_url",
        lambda world: setattr(world, "rest", f"base_url: http://127.0.0.1:{free_port()}\n"),
    ),
    "FlowFuse is not set up": Fault("not-initialised", "complete the set-up", lambda world: template(world, "new.db")),
    "an unknown version": Fault("flowfuse-version", "FF_OBSERVE_FLOWFUSE_VERSION", lambda world: None),
    "root": Fault("runs-as-root", "runAsUser", lambda world: world.monkeypatch.setattr("os.geteuid", lambda: 0)),
    "a home of others": Fault("home-unreadable", "chmod g+rx", lambda world: not_allowed(world, "var")),
    "state in a file": Fault("state-directory", "STATE_DIRECTORY", state_is_a_file),
    "state of others": Fault("state-directory", "StateDirectory=", state_of_others),
    "a ledger that was changed": Fault("ledger-damaged", "ping log --verify", damaged_ledger),
    "an expired certificate": Fault("certificate-expired", "Renew it", certificate),
    "a proxy that is none": Fault("proxy", "http://HOST:PORT", variable("HTTPS_PROXY", "nonsense://")),
    "a secret in the DSN": Fault(
        "sentry-dsn-secret", ":SECRET", lambda world: world.backend("    sentry: {dsn: 'https://k:s@127.0.0.1/1'}\n")
    ),
    "errors in the clear": Fault(
        "sentry-dsn-plain", "https://", lambda world: world.backend("    sentry: {dsn: 'http://k@192.0.2.1/1'}\n")
    ),
    "a taken port": Fault("port", "choose a port that is free", taken_port, unseen=NO_BRIDGE),
    "a receiver that does not listen": Fault(
        "ping-connect",
        "NetworkPolicy",
        over_the_network(f"http://127.0.0.1:{free_port()}/"),
        unseen=ON_REQUEST,
    ),
    "a receiver that is not found": Fault(
        "ping-dns",
        "resolv.conf",
        over_the_network("http://a..b/"),
        unseen=ON_REQUEST,
    ),
    "no Prometheus": Fault(
        "prometheus",
        "--prometheus",
        no_prometheus,
        unseen=ON_REQUEST,
    ),
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as until_the_end:
        yield World(tmp_path / "home", monkeypatch, lambda: request.getfixturevalue("postgres"), until_the_end)
