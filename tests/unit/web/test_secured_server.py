"""The served bridge behind TLS and its door, over real connections: who gets in, and files that change meanwhile."""

import asyncio
import base64
import contextlib
import http.client
import logging
import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.errors import ConfigurationError
from ff_observe.system.clock import SystemClock
from ff_observe.web.secured_app import SecuredApp
from ff_observe.web.security import WebSecurity
from ff_observe.web.server import WebServer
from tests.pace import within
from tests.real_parts.certificates import make_certificate, require_x25519
from tests.unit.web.asgi import ask, get
from tests.unit.web.platforms import Provider, app, snapshot

ALICE = "basic_auth_users:\n  alice: $2y$04$l1DVfP1Nj5yOBgpCtPncDugbEQt2Kypq5ZkWbB3ZiZl4a7TuZGpFO\n"  # secret
TLS = "tls_server_config:\n  cert_file: certificate.pem\n  key_file: key.pem\n"
FRIENDS_ONLY = f"{TLS}  client_ca_file: friend/certificate.pem\n  client_auth_type: RequireAndVerifyClientCert\n"
REFUSED = r"alert|reset|closed|EOF|Broken|without response"
OURS = {"authorization": "Basic " + base64.b64encode(b"alice:secret").decode()}


def basic(user: str, password: str = "secret") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def secured(tmp_path: Path, text: str, token: Path | None = None) -> tuple[SecuredApp, WebSecurity, Path]:
    file = tmp_path / "web-config.yml"
    file.write_text(text)
    security = WebSecurity(file, token)
    return SecuredApp(app(Provider(snapshot())), security), security, file


@contextlib.contextmanager
def served(tmp_path: Path, text: str) -> Iterator[tuple[WebServer, Path]]:
    make_certificate(tmp_path)
    application, security, file = secured(tmp_path, text)
    server = WebServer(application, "127.0.0.1", 0, SystemClock(), security.context)
    server.start()
    try:
        yield server, file
    finally:
        server.stop(time.monotonic() + 5)


def client(tmp_path: Path, identity: Path | None = None) -> ssl.SSLContext:
    """A client that trusts the certificate in `tmp_path`, and shows the one in `identity`."""
    context = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    if identity is not None:
        context.load_cert_chain(identity / "certificate.pem", identity / "key.pem")
    return context


def status(server: WebServer, context: ssl.SSLContext, path: str = "/metrics", **headers: str) -> int:
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=context)
    try:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as reply:
            reply.read()
            return reply.status
    finally:
        connection.close()


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def identity(directory: Path) -> Path:
    directory.mkdir()
    make_certificate(directory)
    return directory


def test_it_serves_tls_and_says_so_in_its_url(tmp_path: Path) -> None:
    with served(tmp_path, TLS) as (server, _):
        assert server.url == f"https://127.0.0.1:{server.port}"
        assert status(server, client(tmp_path)) == 200
        with socket.create_connection(("127.0.0.1", server.port), 5) as plain:
            plain.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert not plain.recv(100).startswith(b"HTTP/")


@pytest.mark.parametrize(("lowest", "spoken"), [("TLS12", ssl.TLSVersion.TLSv1_2), ("TLS13", None)])
def test_a_client_below_the_lowest_version_is_refused(
    tmp_path: Path, lowest: str, spoken: ssl.TLSVersion | None
) -> None:
    with served(tmp_path, f"{TLS}  min_version: {lowest}\n") as (server, _):
        context = client(tmp_path)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        if spoken is None:
            with pytest.raises(ssl.SSLError):
                status(server, context)
        else:
            assert status(server, context) == 200


@pytest.mark.parametrize("curve", ["X25519", "CurveP521"])
def test_a_chosen_curve_is_the_one_spoken(tmp_path: Path, curve: str) -> None:
    if curve == "X25519":
        require_x25519()
    other = {"X25519": "secp384r1", "CurveP521": "prime256v1"}[curve]
    with served(tmp_path, f"{TLS}  curve_preferences: [{curve}]\n") as (server, _):
        assert status(server, client(tmp_path)) == 200
        context = client(tmp_path)
        context.set_ecdh_curve(other)
        with pytest.raises(ssl.SSLError):
            status(server, context)


def test_only_a_client_whose_certificate_is_signed_by_the_authority_gets_in(tmp_path: Path) -> None:
    friend, stranger = identity(tmp_path / "friend"), identity(tmp_path / "stranger")
    for kind, without in (("RequireAndVerifyClientCert", None), ("VerifyClientCertIfGiven", 200)):
        text = f"{TLS}  client_ca_file: friend/certificate.pem\n  client_auth_type: {kind}\n"
        with served(tmp_path, text) as (server, _):
            assert status(server, client(tmp_path, friend)) == 200
            with pytest.raises(OSError, match=REFUSED):
                status(server, client(tmp_path, stranger))
            if without is None:
                with pytest.raises(OSError, match=REFUSED):
                    status(server, client(tmp_path))
            else:
                assert status(server, client(tmp_path)) == without


def test_a_new_certificate_is_used_by_the_next_connection_and_old_connections_live_on(tmp_path: Path) -> None:
    with served(tmp_path, TLS) as (server, _):
        old = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=client(tmp_path))
        old.request("GET", "/-/healthy")
        old.getresponse().read()
        make_certificate(tmp_path)
        assert status(server, client(tmp_path)) == 200  # trusts the new one only
        old.request("GET", "/-/healthy")
        reply = old.getresponse()
        assert reply.status == 200
        reply.read()
        old.close()


def test_a_certificate_that_is_half_replaced_changes_nothing_until_it_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = identity(tmp_path / "other")
    caplog.set_level(logging.INFO)
    with served(tmp_path, TLS) as (server, _):
        trusts_old = client(tmp_path)
        (other / "certificate.pem").replace(tmp_path / "certificate.pem")
        for _ in range(3):
            assert status(server, trusts_old) == 200
        warnings = warnings_in(caplog)
        assert len(warnings) == 2  # once, in two lines
        assert "do not belong together" in warnings[0]
        assert warnings[1] == "the old web configuration stays in use"
        (other / "key.pem").replace(tmp_path / "key.pem")
        assert status(server, client(tmp_path)) == 200
    assert caplog.messages[-1] == "the web configuration was read again"


def test_client_certificates_can_be_demanded_without_a_restart(tmp_path: Path) -> None:
    friend = identity(tmp_path / "friend")
    with served(tmp_path, TLS) as (server, file):
        assert status(server, client(tmp_path)) == 200
        file.write_text(FRIENDS_ONLY)
        with pytest.raises(OSError, match=REFUSED):
            status(server, client(tmp_path))
        assert status(server, client(tmp_path, friend)) == 200


def test_a_connection_from_before_certificates_were_demanded_gets_no_further_answer(tmp_path: Path) -> None:
    identity(tmp_path / "friend")
    with served(tmp_path, TLS) as (server, file):
        old = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=client(tmp_path))
        with contextlib.closing(old):
            old.request("GET", "/metrics")
            assert old.getresponse().read()
            file.write_text(FRIENDS_ONLY)
            old.request("GET", "/metrics")
            with pytest.raises(OSError, match=REFUSED):
                old.getresponse()


def test_a_handshake_that_never_ends_does_not_delay_the_stop(tmp_path: Path) -> None:
    with served(tmp_path, TLS) as (server, _), socket.create_connection(("127.0.0.1", server.port), 5) as silent:
        assert status(server, client(tmp_path)) == 200  # so the silent one was accepted before
        with within(2):
            server.stop(time.monotonic() + 5)
        silent.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(10) == b""


def test_a_password_is_asked_of_everybody_but_the_probes(tmp_path: Path) -> None:
    with served(tmp_path, TLS + ALICE) as (server, _):
        context = client(tmp_path)
        assert status(server, context) == 401
        assert status(server, context, **OURS) == 200
        assert [status(server, context, path) for path in ("/", "/nothing", "/-/healthy/", "/-/reload")] == [401] * 4
        assert [status(server, context, path) for path in ("/-/healthy", "/-/ready")] == [200, 200]


def test_a_refusal_says_how_to_show_a_password_and_nothing_else(tmp_path: Path) -> None:
    application, _, _ = secured(tmp_path, ALICE)
    reply = get(application, "/metrics")
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Basic realm="ff-observe", charset="UTF-8"'
    assert "flowfuse_" not in reply.text
    assert get(application, "/metrics", method="HEAD").body == b""
    assert get(application, "/metrics", method="POST").status == 401
    assert get(application, "/metrics", **OURS).status == 200


def test_the_probes_are_open_where_the_application_is_mounted(tmp_path: Path) -> None:
    application, _, _ = secured(tmp_path, ALICE)
    assert get(application, "/bridge/-/healthy", root_path="/bridge").status == 200
    assert get(application, "/bridge/metrics", root_path="/bridge").status == 401


def test_two_authorization_headers_are_as_none(tmp_path: Path) -> None:
    application, _, _ = secured(tmp_path, ALICE)
    assert get(application, "/metrics", authorization=OURS["authorization"], Authorization="x").status == 200
    sent: list[int] = []

    async def send(message: dict[str, object]) -> None:
        if "status" in message:
            sent.append(int(str(message["status"])))

    value = OURS["authorization"].encode()
    scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": [(b"authorization", value)] * 2}
    asyncio.run(application(scope, None, send))  # type: ignore[arg-type]  # nothing is received here
    assert sent == [401]


def test_users_and_token_are_read_again_as_soon_as_they_change(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    application, _, file = secured(tmp_path, ALICE, token)

    def opens(authorization: str) -> bool:
        return get(application, "/metrics", authorization=authorization).status == 200

    assert opens(OURS["authorization"])
    assert opens("Bearer first")
    token.write_text("other\n")
    assert (opens("Bearer first"), opens("Bearer other")) == (False, True)
    file.write_text(ALICE.replace("alice", "bobby"))  # the same size
    assert not opens(OURS["authorization"])
    assert opens(basic("bobby"))


@pytest.mark.parametrize("bad", ["basic_auth_users: {alice: hush}\n", "a: [", None, TLS])
def test_a_bad_new_file_keeps_the_old_users_and_warns_once(
    tmp_path: Path, bad: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    make_certificate(tmp_path)
    application, _, file = secured(tmp_path, ALICE)
    file.unlink()
    if bad is not None:
        file.write_text(bad)
    for _ in range(3):
        assert get(application, "/metrics").status == 401
        assert get(application, "/metrics", **OURS).status == 200
    messages = warnings_in(caplog)
    assert messages[-1] == "the old web configuration stays in use"
    assert len(messages) == 2
    assert str(file) in messages[0]
    assert "hush" not in caplog.text
    file.write_text(ALICE.replace("alice", "bobby"))
    assert get(application, "/metrics", **OURS).status == 401
    assert get(application, "/metrics", authorization=basic("bobby")).status == 200


CLIENTS = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: certificate.pem\n"
HSTS = "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=31536000\n"
SECURED = {
    "users": ALICE,
    "tls, then users": TLS + ALICE,
    "users, then tls": ALICE + TLS,
    "client certificates": TLS + CLIENTS,
    "all of it": f"# ours\n{HSTS}{ALICE}  bob: {ALICE.split()[-1]}\n{TLS}{CLIENTS}  min_version: TLS13\n",
    "in braces": "{" + ALICE.replace("\n  ", " {").replace("\n", "}}\n"),
    "quoted, with a document start": "---\n" + ALICE.replace("$2y", '"$2y').replace("\n", '"\n').replace(':"\n', ":\n"),
}


@pytest.mark.parametrize("text", SECURED.values(), ids=SECURED)
def test_a_file_cut_short_wherever_while_it_is_written_opens_nothing(tmp_path: Path, text: str) -> None:
    make_certificate(tmp_path)
    _, security, file = secured(tmp_path, text)
    before = security.current()
    for size in range(len(text)):
        file.write_text(text[:size])
        now = security.current()
        assert now.authenticator.is_open == before.authenticator.is_open, text[:size]
        assert (now.context is None) == (before.context is None), text[:size]
        if now.context is not None and before.context is not None:
            assert now.context.verify_mode == before.context.verify_mode, text[:size]
            assert now.context.minimum_version == before.context.minimum_version, text[:size]
        assert {name for name, _ in now.config.headers} == {name for name, _ in before.config.headers}, text[:size]
    file.write_text(text)
    assert security.current().config == before.config


def test_a_token_cut_short_while_it_is_written_does_not_open(tmp_path: Path) -> None:
    token, whole = tmp_path / "token", "mF_9.B5f-4.1JqM"
    token.write_text(whole)
    application = SecuredApp(app(Provider(snapshot())), WebSecurity(None, token))
    for size in range(len(whole)):
        token.write_text(whole[:size])
        assert get(application, "/metrics", authorization=f"Bearer {whole[:size]}").status == 401
        assert get(application, "/metrics", authorization=f"Bearer {whole}").status == 200


def test_what_a_file_takes_away_is_said_once_and_taken_by_a_new_reading(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    application, _, file = secured(tmp_path, ALICE)
    file.write_text("# no more users\n")
    for _ in range(3):
        assert get(application, "/metrics").status == 401
    said, kept = warnings_in(caplog)
    assert "basic_auth_users" in said
    assert "send SIGHUP or restart" in said
    assert kept == "the old web configuration stays in use"
    reloaded = SecuredApp(app(Provider(snapshot())), WebSecurity(file, None))  # as SIGHUP makes it
    assert get(reloaded, "/metrics").status == 200


def test_what_secures_more_is_taken_at_once(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    _, security, file = secured(tmp_path, TLS)
    file.write_text(SECURED["all of it"])
    now = security.current()
    assert now.context is not None
    assert now.context.verify_mode is ssl.CERT_REQUIRED
    assert not now.authenticator.is_open


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application, security, file = secured(tmp_path, ALICE)
    before = security.current()
    assert get(application, "/metrics").status == 401
    assert security.current() is before
    os.utime(file)
    assert security.current() is not before


def test_headers_of_the_file_are_in_every_answer_and_win(tmp_path: Path) -> None:
    headers = (
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Content-Security-Policy: default-src 'self'\n"
    )
    application, _, _ = secured(tmp_path, headers)
    for path in ("/", "/metrics", "/nothing", "/-/healthy"):
        reply = get(application, path)
        assert reply.headers["x-frame-options"] == "deny"
        assert reply.headers["content-security-policy"] == "default-src 'self'"
    locked, _, _ = secured(tmp_path, headers + ALICE)
    assert get(locked).status == 401
    assert get(locked).headers["x-frame-options"] == "deny"


@pytest.mark.parametrize("content", ["", "\n", "two words", "ümlaut", "a" * 5000])
def test_a_token_that_is_none_is_told_and_not_shown(tmp_path: Path, content: str) -> None:
    token = tmp_path / "token"
    token.write_text(content)
    with pytest.raises(ConfigurationError, match=str(token)) as caught:
        WebSecurity(None, token)
    assert "words" not in str(caught.value)


def test_users_without_bcrypt_are_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ff_observe.web.security.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"web-config\.yml:2:3: basic_auth_users: .*ff-observe\[web-auth\]"):
        secured(tmp_path, ALICE)


def test_a_scrape_that_waits_goes_on_while_a_password_is_computed(tmp_path: Path) -> None:
    slow = ALICE.replace("$04$l1DVfP1Nj5yOBgpCtPncDugbEQt2Kypq5ZkWbB3ZiZl4a7TuZGpFO", f"$12${'a' * 53}")
    application, _, _ = secured(tmp_path, slow)

    async def both() -> tuple[bool, int]:
        guess = asyncio.create_task(ask(application, "/metrics", **OURS))
        await asyncio.sleep(0)
        probe = await ask(application, "/-/healthy")
        still_computing = not guess.done()
        return still_computing and probe.status == 200, (await guess).status

    assert asyncio.run(both()) == (True, 401)
