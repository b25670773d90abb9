"""FlowFuse's PostgreSQL over TLS, where `db.ssl` asks for it: held against what the npm package `pg` did."""

import contextlib
import json
import os
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ff_observe.config import load_settings
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.delivery.trust import certificates_in
from ff_observe.errors import ConfigurationError, SourceError
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.postgresql_tls import explain_refusal, tls_options
from tests.platforms import cluster_database
from tests.real_parts.postgresql import BINARIES, PASSWORD, Cluster
from tests.real_parts.postgresql_tls import SITUATIONS, Situation, TLSServers, tls_servers, write_certificates
from tests.real_parts.processes import free_port
from tests.recordings import ROOT

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RECORDING: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "pg_tls.json").read_text())
NEWEST_PG = "8.23.1"
CONNECTED = "none of FlowFuse's tables"  # the databases here are empty

MORE_THAN_PG = {"common name alone, address"}
"""libpq takes an address for a common name; `pg` wants it among the alternative names."""

WHAT_IS_WRONG = {
    "self-signed": r"self.signed certificate\): if .* telemetry\.database\.ca_file",
    "private authority not trusted": r"local issuer certificate\): if .* telemetry\.database\.ca_file",
    "another authority trusted": r"other\.pem, which telemetry\.database\.ca_file names, does not hold its authority",
    "for another name, host name": r'for "db\.example\.com".* does not match host name "localhost": use a name',
    "for another name, address": r'does not match host name "127\.0\.0\.1": use a name',
    "for localhost alone, address": r'does not match host name "127\.0\.0\.1": use a name',
    "for the address alone, host name": r'does not match host name "localhost": use a name',
    "expired": r"its certificate has expired: renew it",
    "through an intermediate, it alone trusted": r"name the root in telemetry\.database\.ca_file",
    "server without TLS": r"server does not support SSL, but SSL was required",
}


@pytest.fixture(scope="module")
def servers() -> Iterator[TLSServers]:
    if BINARIES is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="ff-observe-") as name:
        Path(name).chmod(0o755)
        with tls_servers(Path(name)) as made:
            yield made


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Those that servers show, without the servers."""
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def only_the_systems_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NODE_EXTRA_CA_CERTS", "PGSSLROOTCERT", "PGSSLMODE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def libpqs_own_authority(certificates: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another authority where libpq finds one by itself."""
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_bytes(certificates["other"].read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))


def connected(database: PostgreSQLDatabase) -> str:
    """What the source says: `CONNECTED` where it got as far as the tables."""
    with contextlib.closing(PostgreSQLSource(database)) as source, pytest.raises(SourceError) as caught:
        source.read(AT)
    return str(caught.value)


def over_tls(cluster: Cluster, host: str = "localhost", **fields: Any) -> PostgreSQLDatabase:
    return replace(cluster_database(cluster, "postgres"), host=host, ssl=True, **fields)


def recorded(name: str) -> dict[str, Any]:
    [found] = [each for each in RECORDING["situations"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name.replace(" ", "-"))
def test_a_server_is_trusted_where_flowfuse_trusts_it_and_else_the_reason_is_told(
    situation: Situation, servers: TLSServers
) -> None:
    known = recorded(situation.name)
    assert {name: known[name] for name in ("certificate", "host", "trusted")} == {
        "certificate": situation.certificate,
        "host": situation.host,
        "trusted": situation.trusted,
    }
    authority = servers.certificates[situation.trusted] if situation.trusted else None
    with servers.showing(situation.certificate) as cluster:
        said = connected(over_tls(cluster, situation.host, ca_file=authority))
    accepted = known["pg"][NEWEST_PG]["accepted"] or situation.name in MORE_THAN_PG
    assert (CONNECTED in said) == accepted
    if not accepted:
        assert_matches(WHAT_IS_WRONG[situation.name], said)
    assert PASSWORD not in said


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text


@pytest.mark.parametrize("written", RECORDING["db_ssl"])
def test_tls_is_asked_for_by_the_values_that_flowfuse_takes_for_true(written: str, tmp_path: Path) -> None:
    settings = load(tmp_path, f"db:\n  type: postgres\n  ssl: {written}\n")
    assert isinstance(settings.database, PostgreSQLDatabase)
    assert settings.database.ssl is (RECORDING["db_ssl"][written] == {"ssl": True})
    notes = [note.message for note in settings.notes]
    surprising = settings.database.ssl and written != "true"
    assert ["takes any such value for true" in note for note in notes] == [True] * surprising


def load(home: Path, text: str, **variables: str) -> Any:
    (home / "etc").mkdir(exist_ok=True)
    (home / "etc" / "flowforge.yml").write_text(text)
    return load_settings(home=home, variables=variables)


@pytest.mark.parametrize(
    ("keys", "variables", "trusted"),
    [
        ("", {}, False),
        ("ca_file: {authority}", {}, True),
        ("", {"NODE_EXTRA_CA_CERTS": "{authority}"}, True),
        ("", {"NODE_EXTRA_CA_CERTS": "/nonexistent"}, False),
        ("", {"PGSSLROOTCERT": "{authority}"}, True),
        ("", {"PGSSLROOTCERT": "{other}", "NODE_EXTRA_CA_CERTS": "{authority}"}, False),
        ("", {"PGSSLROOTCERT": "system", "NODE_EXTRA_CA_CERTS": "{authority}"}, True),
        ("ca_file: {authority}", {"PGSSLROOTCERT": "{other}"}, True),
        ("ca_file: {other}", {"NODE_EXTRA_CA_CERTS": "{authority}"}, False),
    ],
)
def test_a_private_authority_is_named_by_the_key_or_by_a_variable(
    keys: str, variables: dict[str, str], trusted: bool, servers: TLSServers, tmp_path: Path
) -> None:
    def filled(text: str) -> str:
        return text.format(**{name: str(path) for name, path in servers.certificates.items() if name.isidentifier()})

    with servers.showing("both") as cluster:
        section = f"telemetry:\n  database:\n    {filled(keys)}\n" if keys else ""
        text = (
            f"db: {{type: postgres, ssl: true, host: localhost, port: {cluster.port}, user: postgres,"
            f" password: {PASSWORD}, database: postgres}}\n{section}"
        )
        said = connected(load(tmp_path, text, **{name: filled(value) for name, value in variables.items()}).database)
    assert (CONNECTED in said) == trusted, said


@pytest.mark.parametrize("place", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_the_systems_authorities_are_trusted_by_a_libpq_that_does_not_know_their_place(
    place: str, servers: TLSServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "authorities"
    system.mkdir()
    (system / "0a1b2c3d.0").write_bytes(servers.certificates["authority"].read_bytes())
    (tmp_path / "none").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(servers.certificates["other"]))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    with servers.showing("both") as cluster:
        assert "not trusted" in connected(over_tls(cluster))
        monkeypatch.setenv(place, str(system if place == "SSL_CERT_DIR" else servers.certificates["authority"]))
        assert CONNECTED in connected(over_tls(cluster))


@pytest.mark.parametrize("variable", ["PGSSLMODE", "PGGSSENCMODE", "PGREQUIRESSL"])
def test_no_variable_of_libpq_loosens_the_check(
    variable: str, servers: TLSServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers.showing("self-signed") as cluster:
        monkeypatch.setenv(variable, {"PGSSLMODE": "disable", "PGGSSENCMODE": "require", "PGREQUIRESSL": "0"}[variable])
        assert "its certificate is not trusted" in connected(over_tls(cluster, "127.0.0.1"))


@contextlib.contextmanager
def man_in_the_middle(certificate: Path, answer: bytes = b"S") -> Iterator[tuple[int, bytearray]]:
    """Shows `certificate` and asks for the password in clear text; its port, and all that it decrypted. Or gives
    another `answer` to a client that asks for TLS, and waits."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    seen = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), raw:
                    raw.settimeout(10)
                    raw.recv(8)  # SSLRequest
                    raw.sendall(answer)
                    if answer != b"S":
                        raw.recv(1)
                        continue
                    with context.wrap_socket(raw, server_side=True) as encrypted:
                        seen.extend(encrypted.recv(65536))
                        encrypted.sendall(b"R\0\0\0\x08\0\0\0\x03")  # AuthenticationCleartextPassword
                        seen.extend(encrypted.recv(65536))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], seen
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def to_port(port: int, **fields: Any) -> PostgreSQLDatabase:
    return PostgreSQLDatabase("127.0.0.1", port, "postgres", Secret(PASSWORD), "postgres", ssl=True, **fields)


def test_a_man_in_the_middle_gets_neither_password_nor_user(certificates: dict[str, Path]) -> None:
    with man_in_the_middle(certificates["self-signed"]) as (port, seen):
        assert "its certificate is not trusted" in connected(to_port(port))
    assert seen == b""


def test_a_man_in_the_middle_gets_no_password_where_any_certificate_is_accepted(
    certificates: dict[str, Path], libpqs_own_authority: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "disable")
    monkeypatch.setenv("PGGSSENCMODE", "require")
    with man_in_the_middle(certificates["self-signed"]) as (port, seen):
        said = connected(to_port(port, accept_any_certificate=True))
    assert_matches("password in clear text, and does not get it.*telemetry.database.ca_file", said)
    assert b"postgres" in seen  # it got as far as the name
    assert PASSWORD.encode() not in seen


@pytest.mark.parametrize(
    ("shown", "trusted", "says"),
    [
        ("self-signed", {}, r"^its certificate is not trusted .* name that .* in telemetry\.database\.ca_file$"),
        ("both", {"ca_file": "other", "ca_file_from": "PGSSLROOTCERT"}, r"other\.pem, which PGSSLROOTCERT names, does"),
        ("both", {"ca_file": "commented"}, r"commented\.pem, which telemetry\.database\.ca_file names, does"),
        ("another-name", {"ca_file": "authority"}, "IP address mismatch.*: use a name it holds"),
        ("both", {"ca_file": "authority"}, None),
        ("both", {"extra_ca_file": "authority"}, None),
    ],
)
def test_why_a_certificate_is_refused_is_asked_of_pythons_own_tls(
    shown: str, trusted: dict[str, str], says: str | None, certificates: dict[str, Path]
) -> None:
    commented = certificates["other"].with_name("commented.pem")
    commented.write_bytes("# Hitelesítő\n".encode() + certificates["other"].read_bytes())
    files = {**certificates, "commented": commented}
    fields = {name: files.get(value, value) for name, value in trusted.items()}
    with man_in_the_middle(certificates[shown]) as (port, _):
        found = explain_refusal(to_port(port, **fields), 30)
    assert (found is None) == (says is None)
    assert_matches(says or "", found or "")


@pytest.mark.parametrize("answer", [b"N", b""], ids=["no TLS", "none"])
def test_a_server_that_shows_no_certificate_has_none_to_explain(answer: bytes, certificates: dict[str, Path]) -> None:
    with man_in_the_middle(certificates["self-signed"], answer) as (port, _):
        assert explain_refusal(to_port(port), 0.05) is None
    assert explain_refusal(to_port(free_port()), 30) is None
    assert explain_refusal(replace(to_port(1), host="a..b"), 30) is None


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert explain_refusal(to_port(silent.getsockname()[1]), 0.05) is None


@pytest.mark.parametrize("in_memory", [True, False])
def test_libpq_is_given_the_authorities_in_a_file_for_one_attempt(
    in_memory: bool, certificates: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates["other"]))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    system, private = ([certificates[name].read_bytes().strip()] for name in ("other", "authority"))
    for fields, expected in (
        ({}, system),
        ({"extra_ca_file": certificates["authority"]}, [*system, *private]),
        ({"extra_ca_file": tmp_path / "gone.pem"}, system),
        ({"ca_file": certificates["authority"], "extra_ca_file": certificates["other"]}, private),
    ):
        with tls_options(to_port(1, **fields)) as options:
            file = Path(options["sslrootcert"])
            assert certificates_in(file) == expected
            assert file.is_relative_to("/proc/self/fd") is in_memory
        assert not file.exists()


@pytest.mark.parametrize("method", ["scram-sha-256", "password"])
def test_any_certificate_is_accepted_by_a_switch_but_no_password_in_clear_text(
    method: str, servers: TLSServers, libpqs_own_authority: None
) -> None:
    with servers.asking_for(method), servers.showing("self-signed") as cluster:
        said = connected(over_tls(cluster, accept_any_certificate=True))
    if method == "password":
        assert_matches("password in clear text.*telemetry.database.ca_file", said)
    else:
        assert CONNECTED in said


def test_a_server_that_has_proved_itself_gets_the_password_as_it_asks_for_it(servers: TLSServers) -> None:
    with servers.asking_for("password"), servers.showing("both") as cluster:
        assert CONNECTED in connected(over_tls(cluster, ca_file=servers.certificates["authority"]))


def test_without_ssl_nothing_is_verified_as_in_flowfuse(servers: TLSServers) -> None:
    with servers.showing("self-signed") as cluster:
        assert CONNECTED in connected(replace(over_tls(cluster), ssl=False))


POSTGRES = "db: {type: postgres, ssl: true}\ntelemetry:\n  database:\n"


def test_the_mode_is_named(tmp_path: Path, servers: TLSServers) -> None:
    authority = servers.certificates["authority"]

    def mode(text: str, **variables: str) -> str:
        settings = load(tmp_path, text, **variables)
        return str(settings.database.tls_mode)

    assert mode("db: {type: postgres}") == "TLS is not asked for (db.ssl is not true)"
    verified = "TLS, certificate and host name verified; authorities: "
    assert mode("db: {type: postgres, ssl: true}") == f"{verified}the system's"
    assert mode(f"{POSTGRES}    ca_file: {authority}") == f"{verified}{authority} (telemetry.database.ca_file)"
    assert (
        mode("db: {type: postgres, ssl: true}", NODE_EXTRA_CA_CERTS=str(authority))
        == f"{verified}the system's and {authority} (NODE_EXTRA_CA_CERTS)"
    )
    assert mode(f"{POSTGRES}    accept_any_certificate: true").startswith("TLS with any certificate")


def test_the_switch_is_loud_and_what_has_no_effect_is_noted(tmp_path: Path, servers: TLSServers) -> None:
    [note] = load(tmp_path, f"{POSTGRES}    accept_any_certificate: true\n").notes
    assert note.key == "telemetry.database.accept_any_certificate"
    assert "NOT verified" in note.message
    [note] = load(tmp_path, "db: {type: postgres}\ntelemetry: {database: {accept_any_certificate: true}}").notes
    assert "without effect" in note.message
    [note] = load(tmp_path, "db: {type: postgres, ssl: true}", NODE_EXTRA_CA_CERTS="/nonexistent").notes
    assert "NODE_EXTRA_CA_CERTS is ignored" in note.message


def test_a_wrong_authority_is_a_mistake_in_the_file(tmp_path: Path, servers: TLSServers) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "empty.pem").write_text("none")
    both = f"ca_file: {servers.certificates['authority']}\n    accept_any_certificate: true"
    for keys, says in (("ca_file: empty.pem", "no certificate"), ("ca_file: gone.pem", "no such file"), (both, "keep")):
        with pytest.raises(ConfigurationError, match=says):
            load(tmp_path, f"{POSTGRES}    {keys}\n")


def test_a_file_of_libpqs_variable_that_is_gone_is_an_error_and_not_less_trust(servers: TLSServers) -> None:
    with servers.showing("both") as cluster:
        said = connected(over_tls(cluster, ca_file=Path("/nonexistent.pem"), ca_file_from="PGSSLROOTCERT"))
    assert_matches(r"/nonexistent\.pem cannot be read: No such file.*PGSSLROOTCERT", said)
