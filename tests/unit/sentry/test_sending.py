"""How events get there, how many, and how it ends; and the test event of the command line."""

import contextlib
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ff_observe.config.secret import Secret
from ff_observe.config.settings import (
    BackendSentrySettings,
    Settings,
    SQLiteDatabase,
)
from ff_observe.errors import ConfigurationError, DeliveryError
from ff_observe.lifecycle.service import Component
from ff_observe.outputs.sentry.component import BackendSentry, send_test_event
from ff_observe.system.clock import SystemClock
from tests.pace import within
from tests.real_parts.certificates import make_certificate
from tests.real_parts.envelopes import KEY, Receiver, receiver
from tests.real_parts.processes import free_port
from tests.unit.outputs.examples import context
from tests.unit.ping.receivers import tcp_server, trickling
from tests.unit.sentry.samples import VERSION, Bridge, another_error, monitored, provoke, settings


def test_the_same_error_is_sent_once_an_hour(server: Receiver) -> None:
    with Bridge(settings(server.dsn)) as bridge:
        for count in range(5):
            provoke(bridge.sentry, ValueError(f"attempt {count}"))
        provoke(bridge.sentry, KeyError("another type"))
        bridge.clock.offset += 3599
        provoke(bridge.sentry, ValueError("still the same hour"))
        bridge.clock.offset += 2
        provoke(bridge.sentry, ValueError("an hour later"))
    values = [event["exception"]["values"][0]["value"] for event in server.events()]
    assert values == ["attempt 0", "'another type'", "an hour later"]
    assert server.events()[-1]["tags"]["held_back"] == "5"
    assert bridge.counted() == (3, 5)


def test_a_test_event_returns_the_id_the_server_has(server: Receiver) -> None:
    event_id = send_test_event(settings(server.dsn), VERSION)
    assert re.fullmatch("[0-9a-f]{32}", event_id)
    assert [event["event_id"] for event in server.events()] == [event_id]


def without_credentials(message: str) -> None:
    assert KEY not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (
            {"status": 403, "headers": {"X-Sentry-Error": "bad sentry DSN public key"}},
            "403 (bad sentry DSN public key)",
        ),
        ({"status": 403, "headers": {"X-Sentry-Error": f"no project has the key {KEY}"}}, "no project has the key ***"),
        ({"status": 413}, "413"),
        ({"status": 429}, "429"),
        ({"status": 500}, "500"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, "302"),
    ],
)
def test_a_test_event_that_the_server_refuses_is_an_error_with_the_reason(how: dict[str, Any], reason: str) -> None:
    with receiver(**how) as server, pytest.raises(DeliveryError) as failure:
        send_test_event(settings(server.dsn), VERSION)
    assert reason in str(failure.value)
    assert f"127.0.0.1:{server.port}" in str(failure.value)
    without_credentials(str(failure.value))
    assert len(server.requests) == 1


def test_a_test_event_to_nobody_is_an_error_with_the_reason() -> None:
    with pytest.raises(DeliveryError, match=r"could not be reached: Connection refused") as failure:
        send_test_event(settings(f"http://{KEY}@127.0.0.1:{free_port()}/7"), VERSION)
    without_credentials(str(failure.value))


def test_a_test_event_to_a_server_without_tls_says_so(server: Receiver) -> None:
    with pytest.raises(DeliveryError, match=r"no TLS connection \(wrong version number\)") as failure:
        send_test_event(settings(server.dsn.replace("http:", "https:")), VERSION)
    without_credentials(str(failure.value))


def test_a_test_event_to_a_server_that_hangs_is_an_error_in_time() -> None:
    with receiver(hangs=True) as server, pytest.raises(DeliveryError, match=r"no answer within 0\.2 s"):
        send_test_event(settings(server.dsn), VERSION, timeout_seconds=0.2)


def test_a_test_event_without_a_dsn_says_where_to_write_it() -> None:
    with pytest.raises(ConfigurationError, match=r"flowforge\.yml: telemetry\.backend\.sentry\.dsn: is not set"):
        send_test_event(settings(None), VERSION)


@pytest.mark.parametrize(
    "dsn",
    [
        "planted-nonsense",
        "ftp://planted@127.0.0.1/7",
        "https://127.0.0.1/7",
        "https://planted@/7",
        "https://planted@127.0.0.1/planted",
        "https://planted@127.0.0.1:planted/7",
        "https://planted@[::1/7",
        "",
    ],
)
@pytest.mark.parametrize("act", [lambda told: Bridge(told).sentry.start(), lambda told: send_test_event(told, VERSION)])
def test_an_invalid_dsn_is_a_configuration_error_that_does_not_show_it(
    dsn: str, act: Callable[[Settings], object]
) -> None:
    told = settings("https://placeholder")
    told = Settings(told.home, told.file, told.database, backend_sentry=BackendSentrySettings(Secret(dsn)))
    with pytest.raises(ConfigurationError, match=r"sentry\.dsn: is not a Sentry DSN: .*, with KEY@ before") as failure:
        act(told)
    assert "planted" not in str(failure.value)
    assert failure.value.exit_status == 78


def test_what_waits_is_sent_at_the_stop(server: Receiver) -> None:
    bridge = Bridge(settings(server.dsn))
    bridge.sentry.start()
    for error in (ValueError("1"), KeyError("2"), IndexError("3")):
        provoke(bridge.sentry, error)
    bridge.sentry.stop(bridge.clock.monotonic() + 5)
    assert len(server.events()) == 3
    assert bridge.counted() == (3, 0)


def test_the_stop_ends_by_its_deadline_even_if_the_server_hangs(caplog: pytest.LogCaptureFixture) -> None:
    with receiver(hangs=True) as server:
        bridge = Bridge(settings(server.dsn))
        bridge.sentry.start()
        provoke(bridge.sentry, ValueError("first"))
        provoke(bridge.sentry, KeyError("second"))
        assert server.asked.wait(60)
        with within(0.6):
            bridge.sentry.stop(bridge.clock.monotonic() + 0.3)
        assert bridge.counted() == (0, 2)
        assert "2 events for Sentry could not be sent" in caplog.text
    assert bridge.counted() == (0, 2)


def test_the_stop_does_not_use_up_a_later_deadline_for_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ff_observe.outputs.sentry.client.REQUEST_SECONDS", 60.0)
    with receiver(hangs=True) as server:
        bridge = Bridge(settings(server.dsn))
        bridge.sentry.start()
        provoke(bridge.sentry, ValueError())
        assert server.asked.wait(60)
        with within(5):
            bridge.sentry.stop(bridge.clock.monotonic() + 60)
    assert bridge.counted() == (0, 1)


def test_what_the_stop_counts_as_dropped_is_not_sent_later_and_the_sending_thread_ends() -> None:
    told = settings("http://placeholder@127.0.0.1/7")
    with receiver(hangs=True) as server:
        bridge = Bridge(replace(told, backend_sentry=BackendSentrySettings(Secret(server.dsn), per_minute=1000)))
        bridge.sentry.start()
        for number in range(150):  # more than the SDK's queue holds
            provoke(bridge.sentry, another_error(number))
        assert server.asked.wait(60)
        bridge.sentry.stop(bridge.clock.monotonic() + 0.1)
        server.hangs = False
        server.released.set()
        for thread in threading.enumerate():
            if thread.name.startswith("sentry-sdk"):
                thread.join(60)
                assert not thread.is_alive()
    assert len(server.requests) == 1
    assert bridge.counted() == (0, 150)


def test_after_the_stop_it_takes_nothing_and_may_be_stopped_again(server: Receiver) -> None:
    bridge = Bridge(settings(server.dsn))
    bridge.sentry.stop(bridge.clock.monotonic())
    bridge.sentry.start()
    bridge.sentry.stop(bridge.clock.monotonic() + 5)
    provoke(bridge.sentry, ValueError("too late"))
    bridge.sentry.stop(bridge.clock.monotonic() + 5)
    assert server.requests == []


def test_it_is_a_component() -> None:
    component: Component = BackendSentry(context(settings(None), None, SystemClock()))
    assert component.name == "backend sentry"
    assert Settings(Path(), Path(), SQLiteDatabase(Path())).backend_sentry.dsn is None


def test_a_server_that_fails_is_logged_once_and_so_is_its_recovery(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ff_observe.outputs.sentry.component")
    with receiver(status=500) as server, Bridge(settings(server.dsn)) as bridge:
        provoke(bridge.sentry, ValueError("1"))
        provoke(bridge.sentry, KeyError("2"))
        bridge.wait_for(2)
        server.status = 200
        provoke(bridge.sentry, IndexError("3"))
        bridge.wait_for(3)
    assert bridge.counted() == (1, 2)
    ours = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ours == [
        ("WARNING", "Sentry did not take an event: it answered HTTP 500"),
        ("INFO", "Sentry takes events"),
    ]


def test_a_pause_the_server_asks_for_is_kept(server: Receiver) -> None:
    server.headers = {"X-Sentry-Rate-Limits": "60:error:organization"}
    with Bridge(settings(server.dsn)) as bridge:
        provoke(bridge.sentry, ValueError("1"))
        bridge.wait_for(1)
        provoke(bridge.sentry, KeyError("2"))
    assert len(server.requests) == 1
    assert bridge.counted() == (1, 1)


@pytest.mark.parametrize("scope", ["", "error;monitor"])
def test_a_check_in_within_a_pause_is_dropped_at_once(server: Receiver, scope: str) -> None:
    server.headers = {"X-Sentry-Rate-Limits": f"60:{scope}:organization"}
    with Bridge(monitored(server.dsn)) as bridge:
        provoke(bridge.sentry, ValueError("1"))
        bridge.wait_for(1)
        bridge.sentry.check_in(True)
        bridge.wait_for(2)
    assert len(server.requests) == 1
    assert bridge.counted() == (1, 1)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("http_proxy", "socks5://127.0.0.1:1", "only http:// and https:// proxies are supported"),
        ("http_proxy", "http://127.0.0.1:planted", "its name is not one that a host can have"),
        ("REQUESTS_CA_BUNDLE", "/nonexistent/authorities.pem", "No such file or directory"),
    ],
)
def test_a_proxy_or_authorities_that_cannot_be_used_cost_events_and_not_the_start(
    variable: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(variable, value)
    scheme = "https" if variable == "REQUESTS_CA_BUNDLE" else "http"
    with Bridge(settings(f"{scheme}://{KEY}@127.0.0.1:{free_port()}/7")) as bridge:
        provoke(bridge.sentry, ValueError())
        bridge.wait_for(1)
    assert bridge.counted() == (0, 1)
    assert reason in caplog.text


def test_a_proxy_is_honoured(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    send_test_event(settings(f"http://{KEY}@sentry.internal.example/7"), VERSION)
    assert server.requests[0].line.startswith("POST http://sentry.internal.example/api/7/envelope/ ")


def test_an_ipv6_address_keeps_its_brackets(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    send_test_event(settings(f"http://{KEY}@[2001:db8::1]:9000/7"), VERSION)
    assert server.requests[0].line == "POST http://[2001:db8::1]:9000/api/7/envelope/ HTTP/1.1"


def test_a_proxy_that_wants_a_password_is_shown_it(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://us%40r:planted@127.0.0.1:{server.port}")
    send_test_event(settings(f"http://{KEY}@sentry.internal.example/7"), VERSION)
    assert server.requests[0].headers["Proxy-Authorization"] == "Basic dXNAcjpwbGFudGVk"


def test_an_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ff_observe.outputs.sentry.client.REQUEST_SECONDS", 0.3)
    endless = trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    with tcp_server(endless) as (port, _), pytest.raises(DeliveryError, match="it did not answer in time"):
        send_test_event(settings(f"http://{KEY}@127.0.0.1:{port}/7"), VERSION, timeout_seconds=60)


def test_of_an_answer_without_end_only_the_beginning_is_read() -> None:
    gone = threading.Event()

    def talk(client: socket.socket) -> None:
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                client.sendall(bytes(65536))
        gone.set()

    with tcp_server(talk) as (port, _):
        send_test_event(settings(f"http://{KEY}@127.0.0.1:{port}/7"), VERSION, timeout_seconds=60)
        assert gone.wait(60)


def test_a_private_authority_is_honoured_and_an_unknown_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiver(context) as server:
        with pytest.raises(DeliveryError, match=r"its certificate is not trusted .*SSL_CERT_FILE"):
            send_test_event(settings(server.dsn), VERSION)
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send_test_event(settings(server.dsn), VERSION)
    assert len(server.events()) == 1
