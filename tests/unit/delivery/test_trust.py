"""Private authorities are trusted alike on every Python, and what is wrong with a certificate is said."""

import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ff_observe.delivery import trust
from ff_observe.delivery.errors import unreached
from tests.other_users import unable_to_enter
from tests.real_parts.certificates import root_authority, self_signed


@pytest.fixture
def no_system_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system without authorities, where the test can put its own; returns the directory that OpenSSL looks in."""
    directory = tmp_path / "system"
    directory.mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(directory))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    return directory


def advance_handshake(context: ssl.SSLContext, server: bytes, directory: Path, name: str = "localhost") -> str | None:
    """None where the client trusts the server; else what OpenSSL says."""
    file = directory / "server.pem"
    file.write_bytes(server)
    showing = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    showing.load_cert_chain(file)
    near, far = socket.socketpair()
    with near, far:

        def serve() -> None:
            try:
                showing.wrap_socket(far, server_side=True).close()
            except (ssl.SSLError, OSError):
                far.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            context.wrap_socket(near, server_hostname=name).close()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        finally:
            near.close()
            thread.join()
    return None


def test_an_authority_without_the_extensions_of_rfc_5280_is_trusted_on_every_python(tmp_path: Path) -> None:
    """From Python 3.13 on `ssl.create_default_context` refuses it: Missing Authority Key Identifier."""
    authority = root_authority()
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    server = authority.issue("server", ["localhost"])
    assert advance_handshake(trust.client_context(tmp_path / "authority.pem"), server, tmp_path) is None


def test_the_flags_of_a_client_are_the_same_on_every_python() -> None:
    assert trust.client_context().verify_flags & (ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN) == 0
    assert trust.client_context().verify_mode is ssl.CERT_REQUIRED
    assert trust.client_context().check_hostname


def test_an_intermediate_is_no_root_on_any_python(tmp_path: Path) -> None:
    intermediate = root_authority().intermediate("intermediate")
    (tmp_path / "authority.pem").write_bytes(intermediate.pem)
    context = trust.client_context(tmp_path / "authority.pem")
    why = advance_handshake(context, intermediate.issue("server", ["localhost"]), tmp_path)
    assert why is not None
    assert "name the root in KEY" in trust.explain(why, "KEY", tmp_path)


@pytest.mark.parametrize("place", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "a directory of those"])
def test_a_context_and_the_pem_of_authorities_trust_the_same(
    place: str, no_system_authorities: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = root_authority()
    file = tmp_path / "authority.pem"
    file.write_bytes(b"# what people write\n" + authority.pem)
    hashed = no_system_authorities / _hash(authority.pem, tmp_path)
    if place == "SSL_CERT_DIR":
        hashed.write_bytes(authority.pem)
    elif place == "a directory of those":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "more"))
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / hashed.name).write_bytes(authority.pem)
    else:
        monkeypatch.setenv(place, str(file))
    by_pem = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    by_pem.load_verify_locations(cadata=trust.authorities().decode("ascii"))
    for context in (trust.client_context(), by_pem):
        assert advance_handshake(context, authority.issue("server", ["localhost"]), tmp_path) is None
        assert advance_handshake(context, root_authority("x").issue("server", ["localhost"]), tmp_path) is not None


@pytest.mark.usefixtures("no_system_authorities")
def test_authorities_that_may_not_be_looked_at_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenSSL passes over them."""
    closed = tmp_path / "closed"
    closed.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(closed / "authority.pem"))
    with unable_to_enter(closed):
        context = trust.client_context()
    assert context.verify_mode is ssl.CERT_REQUIRED


def _hash(pem: bytes, directory: Path) -> str:
    """The name under which OpenSSL looks for an authority."""
    file = directory / "hashed.pem"
    file.write_bytes(pem)
    made = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", file], capture_output=True, text=True)
    if made.returncode:
        pytest.skip("needs the command openssl: apt-get install openssl")
    return f"{made.stdout.strip()}.0"


@pytest.mark.usefixtures("no_system_authorities")
def test_a_system_without_authorities_trusts_those_of_certifi() -> None:
    import certifi

    assert trust.authorities().count(b"BEGIN CERTIFICATE") == Path(certifi.where()).read_bytes().count(b"-----BEGIN ")
    assert trust.client_context().cert_store_stats()["x509_ca"] > 100


def test_an_authority_that_is_named_twice_is_trusted_once(tmp_path: Path, no_system_authorities: Path) -> None:
    pem = root_authority().pem
    for number in range(3):
        (no_system_authorities / f"0a1b2c3d.{number}").write_bytes(pem)
    (no_system_authorities / "README").write_text("no authority")
    assert trust.authorities().count(b"BEGIN CERTIFICATE") == 1


def refusals(tmp_path: Path) -> dict[str, str]:
    """What OpenSSL of this Python says, by what is wrong."""
    authority = root_authority()
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    context = trust.client_context(tmp_path / "authority.pem")
    servers = {
        "unknown": (root_authority("x").issue("server", ["localhost"]), "localhost"),
        "self-signed": (b"".join(self_signed(["localhost"])), "localhost"),
        "expired": (authority.issue("server", ["localhost"], expired=True), "localhost"),
        "name": (authority.issue("server", ["other.example.com"]), "localhost"),
        "address": (authority.issue("server", ["localhost"]), "127.0.0.1"),
    }
    found = {what: advance_handshake(context, server, tmp_path, name) for what, (server, name) in servers.items()}
    return {what: why or "trusted" for what, why in found.items()}


def test_what_is_wrong_is_said_and_nobody_is_sent_to_set_what_is_set(tmp_path: Path) -> None:
    why = refusals(tmp_path)
    for what in ("unknown", "self-signed"):
        assert trust.explain(why[what], "KEY").endswith("name that authority's file in KEY")
        assert trust.explain(why[what], "KEY", "own.pem").endswith(
            "own.pem, which KEY names, does not hold its authority"
        )
    assert "has expired: renew it on the server" in trust.explain(why["expired"], "KEY")
    for what in ("name", "address"):
        assert "is for another host" in trust.explain(why[what], "KEY")
    assert "breaks a rule" in trust.explain("Missing Authority Key Identifier", "KEY")
    for said in (trust.explain(why[what], "KEY") for what in ("expired", "name", "address")):
        assert "KEY" not in said


def test_the_variable_that_is_set_already_is_named_with_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/own.pem")
    assert "/etc/own.pem, which SSL_CERT_FILE names" in trust.explain("self-signed certificate")
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "name that authority's file in SSL_CERT_FILE" in trust.explain("self-signed certificate")


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read: No such file or directory"), ("none", "holds no certificate in PEM")],
)
@pytest.mark.parametrize("load", [trust.client_context, trust.authorities])
def test_a_bundle_that_cannot_be_used_is_named_with_its_variable(
    load: Callable[[], object], content: str | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with pytest.raises(OSError, match=re.escape(f"{bundle} {problem} (REQUESTS_CA_BUNDLE names it)")) as error:
        load()
    assert unreached(error.value) == f"it could not be reached: {error.value}"


@pytest.mark.parametrize("call", ["create_default_context(", "create_urllib3_context(", "PROTOCOL_TLS_CLIENT"])
def test_no_other_module_makes_a_context_for_clients(call: str) -> None:
    package = Path(trust.__file__).parents[1]
    users = {str(file.relative_to(package)) for file in package.rglob("*.py") if call in file.read_text()}
    # Two load PEM that they hold; health checks ask their own machine's port, whatever certificate is there.
    others = {"config/pem.py", "platform/sources/postgresql_tls.py", "web/local.py"}
    assert users <= {"delivery/trust.py", *others}
