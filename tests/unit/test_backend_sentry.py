"""Backend Sentry against a receiver that keeps every byte: what is sent, what is not, and how it ends."""

import itertools
import json
import logging
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sentry_relay.processing import StoreNormalizer

from ff_observe.catalogue.bridge import SENTRY_EVENTS
from ff_observe.clock import SystemClock
from ff_observe.config.environment import read_environment
from ff_observe.config.secret import Secret
from ff_observe.config.settings import (
    BackendSentrySettings,
    PlatformSettings,
    PostgreSQLDatabase,
    Settings,
    SQLiteDatabase,
)
from ff_observe.errors import ConfigurationError, DeliveryError
from ff_observe.outputs.backend_sentry import BackendSentry, RepeatLimit, send_test_event
from ff_observe.self_metrics import SelfMetrics
from ff_observe.service import Component
from tests.network_guard import guarded_environment
from tests.real_parts.certificates import make_certificate
from tests.real_parts.envelopes import KEY, Receiver, receiver
from tests.real_parts.processes import free_port, wait_until

VERSION = "2.33.2"
PASSWORD = "planted-database-password"


class Time(SystemClock):
    """The real clock, and an offset that a test can turn."""

    def __init__(self) -> None:
        self.offset = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.offset


def settings(dsn: str | None, **variables: str) -> Settings:
    return Settings(
        home=Path("/opt/flowforge"),
        file=Path("/opt/flowforge/etc/flowforge.yml"),
        database=PostgreSQLDatabase(password=Secret(PASSWORD)),
        platform=PlatformSettings(license=Secret("planted-licence-0123456789")),
        backend_sentry=BackendSentrySettings(Secret(dsn) if dsn else None),
        environment=read_environment(variables),
    )


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(autouse=True)
def breadcrumbs_start_afresh() -> Iterator[None]:
    """The SDK keeps breadcrumbs per thread, and pytest's is one for all tests."""
    yield
    if "sentry_sdk" in sys.modules:
        import sentry_sdk

        sentry_sdk.get_isolation_scope().clear()


class Bridge:
    """A started component with what a test asks of it."""

    def __init__(self, told: Settings, version: str | None = VERSION) -> None:
        self.clock = Time()
        self.metrics = SelfMetrics()
        self.sentry = BackendSentry(told, version, self.metrics, self.clock)

    def __enter__(self) -> "Bridge":
        self.sentry.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.sentry.stop(self.clock.monotonic() + 5)

    def counted(self) -> tuple[float, float]:
        values = self.metrics.readings()[SENTRY_EVENTS.name]
        return values["captured",], values["dropped",]

    def wait_for(self, events: int) -> None:
        """Until the fate of so many events is known."""
        wait_until(lambda: sum(self.counted()) >= events, f"the fate of {events} events")


def provoke(sentry: BackendSentry, error: Exception, thread: str = "core ping") -> None:
    try:
        raise error
    except type(error) as raised:
        sentry.capture(raised, thread)


def test_an_error_of_a_thread_arrives_with_its_context(server: Receiver) -> None:
    with Bridge(settings(server.dsn, NODE_ENV="production")) as bridge:
        provoke(bridge.sentry, ZeroDivisionError("division by zero"))
    [event] = server.events()
    assert event["release"] == "flowfuse@2.33.2"
    assert event["environment"] == "production"
    assert event["server_name"] == "ff-observe"
    assert event["tags"]["thread"] == "core ping"
    [error] = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("ZeroDivisionError", "division by zero")
    assert error["mechanism"]["handled"] is True
    assert error["stacktrace"]["frames"][-1]["function"] == "provoke"
    assert bridge.counted() == (1, 0)


def test_an_error_that_ends_a_thread_arrives_and_the_hook_before_ours_is_still_asked(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: seen.append(arguments.exc_type.__name__))
    before = threading.excepthook
    with Bridge(settings(server.dsn)):
        thread = threading.Thread(target=lambda: [1].index(2), name="otlp push")
        thread.start()
        thread.join()
    [event] = server.events()
    assert event["tags"]["thread"] == "otlp push"
    assert event["exception"]["values"][0]["type"] == "ValueError"
    assert event["exception"]["values"][0]["mechanism"]["handled"] is False
    assert seen == ["ValueError"]
    assert threading.excepthook is before


def test_the_component_is_the_innermost_module_of_the_bridge(server: Receiver) -> None:
    with Bridge(settings(server.dsn)) as bridge:
        try:
            read_environment(None)  # type: ignore[arg-type]
        except AttributeError as error:
            bridge.sentry.capture(error, "core ping")
    assert server.events()[0]["tags"]["component"] == "ff_observe.config.environment"


VALUES = {"unset": None, "empty": "", "value": "staging"}


@pytest.mark.parametrize(("sentry_env", "node_env"), list(itertools.product(VALUES, VALUES)))
def test_the_environment_is_sentry_env_else_node_env_else_unknown(
    server: Receiver, sentry_env: str, node_env: str
) -> None:
    variables = {"SENTRY_ENV": VALUES[sentry_env], "NODE_ENV": VALUES[node_env] and "production"}
    told = settings(server.dsn, **{name: value for name, value in variables.items() if value is not None})
    send_test_event(told, VERSION)
    [event] = server.events()
    expected = "staging" if sentry_env == "value" else "production" if node_env == "value" else "unknown"
    assert event["environment"] == expected
    normalised = StoreNormalizer(project_id=1).normalize_event(dict(event))
    assert normalised["environment"] == expected
    assert normalised["release"] == "flowfuse@2.33.2"
    assert not normalised.get("errors")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ("customer/eu", "customer-eu"),
        ("a\tb", "a-b"),
        ("none", "unknown"),
        ("  ", "unknown"),
        ("x" * 70, "x" * 64),
        ("..", "unknown"),
        ("Prod EU", "Prod EU"),
    ],
)
def test_an_environment_that_sentry_would_discard_is_made_legal(
    server: Receiver, environment: str, expected: str
) -> None:
    send_test_event(settings(server.dsn, SENTRY_ENV=environment), "2.33.2/\n1")
    [event] = server.events()
    assert event["environment"] == expected
    normalised = StoreNormalizer(project_id=1).normalize_event(dict(event))
    assert (normalised["environment"], normalised["release"]) == (expected, "flowfuse@2.33.2-1")
    assert not normalised.get("errors")


def test_an_error_event_is_valid_for_sentry_itself(server: Receiver) -> None:
    with Bridge(settings(server.dsn)) as bridge:
        logging.getLogger("ff_observe.test").warning("something went before")
        provoke(bridge.sentry, ValueError("x" * 20_000))
    [event] = server.events()
    assert not StoreNormalizer(project_id=1, remove_other=True).normalize_event(dict(event)).get("errors")


def test_without_a_version_there_is_no_release_whatever_the_environment_says(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_RELEASE", "somebody-else@1")
    monkeypatch.setenv("SENTRY_ENVIRONMENT", "somebody-else")
    send_test_event(settings(server.dsn), None)
    [event] = server.events()
    assert "release" not in event
    assert event["environment"] == "unknown"
    assert b"somebody-else" not in server.everything


def test_without_a_dsn_in_the_file_it_is_off_whatever_the_environment_says(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_DSN", server.dsn)
    with Bridge(settings(None)) as bridge:
        provoke(bridge.sentry, ValueError("unheard"))
    assert server.requests == []


def test_the_sdk_is_not_imported_while_it_is_off() -> None:
    code = """
import pathlib, sys
from ff_observe.clock import SystemClock
from ff_observe.config.settings import Settings, SQLiteDatabase
from ff_observe.outputs.backend_sentry import BackendSentry
from ff_observe.self_metrics import SelfMetrics

path = pathlib.Path("/nowhere")
sentry = BackendSentry(Settings(path, path, SQLiteDatabase(path)), None, SelfMetrics(), SystemClock())
sentry.start()
sentry.capture(ValueError(), "core ping")
sentry.stop(0)
print("sentry_sdk" in sys.modules, "urllib3" in sys.modules)
"""
    environment = guarded_environment(SENTRY_DSN="https://key@127.0.0.1/1")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_what_was_initialised_before_is_there_again_afterwards(server: Receiver) -> None:
    import sentry_sdk

    before = sentry_sdk.get_global_scope().client
    with Bridge(settings(server.dsn)):
        assert sentry_sdk.get_client().dsn == server.dsn
    assert sentry_sdk.get_global_scope().client is before


# What must never leave, whatever carries it. The first two are only known because the settings hold them.
PLANTED = {
    "database password": PASSWORD,
    "licence": "planted-licence-0123456789",
    "key of the DSN": KEY,
    "IPv4": "198.51.100.23",
    "IPv6": "2001:db8::beef",
    "e-mail": "jane.doe@example.org",
    "URL": "hunter2hunter2",
    "local": "local-variable-of-a-frame",
}


class Unlucky:
    """Its representation tells everything."""

    def __repr__(self) -> str:
        return f"<Unlucky password={PLANTED['URL']!r} of {PLANTED['e-mail']} at {PLANTED['IPv6']}>"


def lose(*arguments: object) -> None:
    raise ConnectionError(*arguments)


def fail_with_everything() -> None:
    local = PLANTED["local"]
    assert local
    everything = " ".join(f"[{name}] {secret}" for name, secret in PLANTED.items() if name not in ("local", "URL"))
    url = f"postgresql://flowforge:{PLANTED['URL']}@db.internal/flowforge"
    log = logging.getLogger("ff_observe.test")
    log.warning("about to fail: %s", everything, extra={"peer": PLANTED["IPv4"], "password": "only here, in a key"})
    log.error("with %s and %r", url, Unlucky())
    try:
        lose(everything, {PLANTED["e-mail"]: url})
    except ConnectionError as error:
        error.add_note(f"while talking to {PLANTED['IPv6']}")
        raise RuntimeError(f"could not open {url}", everything.encode()) from error


def test_no_secret_leaves_in_any_part_of_an_event(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ff-observe", "--config", "argument-of-the-command-line"])
    with Bridge(settings(server.dsn)) as bridge:
        try:
            fail_with_everything()
        except RuntimeError as error:
            bridge.sentry.capture(error, f"thread of {PLANTED['e-mail']}")
    [event] = server.events()
    assert "about to fail" in str(event["breadcrumbs"])  # else the rest would prove nothing
    assert "while talking to" in str(event["exception"])
    sent = server.everything.decode()
    for name, secret in PLANTED.items():
        assert secret not in sent, name
    assert "only here" not in sent
    assert "argument-of-the-command-line" not in sent
    assert str(Path(__file__).parent) not in sent


def test_source_lines_and_other_modules_are_not_sent(server: Receiver) -> None:
    with Bridge(settings(server.dsn)) as bridge:
        provoke(bridge.sentry, ValueError("plain"))
    [event] = server.events()
    frames = [frame for error in event["exception"]["values"] for frame in error["stacktrace"]["frames"]]
    assert frames
    assert {key for frame in frames for key in frame} <= {"filename", "function", "module", "lineno", "in_app"}
    assert "modules" not in event
    assert "extra" not in event or "sys.argv" not in event["extra"]


def test_nothing_but_events_leaves_even_if_the_host_program_asks(server: Receiver) -> None:
    import sentry_sdk

    with Bridge(settings(server.dsn)):
        with sentry_sdk.start_transaction(name="a transaction", sampled=True):
            pass
        sentry_sdk.get_isolation_scope().start_session()
        sentry_sdk.get_isolation_scope().end_session()
        sentry_sdk.set_user({"email": "jane.doe@example.org", "id": "4711"})
        sentry_sdk.capture_message("an event of the host")
        sentry_sdk.get_isolation_scope().set_user(None)
    kinds = [head["type"] for request in server.requests for head, _ in request.items()]
    assert kinds == ["event"]
    assert "user" not in server.events()[0]


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


def test_the_limit_forgets_the_oldest_place_first_and_stays_small() -> None:
    limit = RepeatLimit(Time())
    for place in range(5000):
        assert limit.admit((place,)) == 0
    assert limit.admit((4999,)) is None
    assert limit.admit((0,)) == 0


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
    with pytest.raises(DeliveryError, match=r"could not be reached \(Connection refused\)") as failure:
        send_test_event(settings(f"http://{KEY}@127.0.0.1:{free_port()}/7"), VERSION)
    without_credentials(str(failure.value))


def test_a_test_event_to_a_server_without_tls_says_so(server: Receiver) -> None:
    with pytest.raises(DeliveryError, match="no trusted TLS connection") as failure:
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
    with pytest.raises(ConfigurationError, match=r"sentry\.dsn: is not a Sentry DSN: .*https://KEY@HOST/") as failure:
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
        assert server.asked.wait(5)
        began = time.monotonic()
        bridge.sentry.stop(bridge.clock.monotonic() + 0.3)
        assert time.monotonic() - began < 0.6
        assert bridge.counted() == (0, 2)
        assert "2 events for Sentry could not be sent" in caplog.text
    assert bridge.counted() == (0, 2)


def test_after_the_stop_it_takes_nothing_and_may_be_stopped_again(server: Receiver) -> None:
    bridge = Bridge(settings(server.dsn))
    bridge.sentry.stop(bridge.clock.monotonic())
    bridge.sentry.start()
    bridge.sentry.stop(bridge.clock.monotonic() + 5)
    provoke(bridge.sentry, ValueError("too late"))
    bridge.sentry.stop(bridge.clock.monotonic() + 5)
    assert server.requests == []


def test_it_is_a_component() -> None:
    component: Component = BackendSentry(settings(None), None, SelfMetrics(), SystemClock())
    assert component.name == "backend sentry"
    assert Settings(Path(), Path(), SQLiteDatabase(Path())).backend_sentry.dsn is None


def test_a_server_that_fails_is_logged_once_and_so_is_its_recovery(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ff_observe.outputs.backend_sentry")
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


def test_a_proxy_is_honoured(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    send_test_event(settings(f"http://{KEY}@sentry.internal.example/7"), VERSION)
    assert server.requests[0].line.startswith("POST http://sentry.internal.example/api/7/envelope/ ")


def test_a_private_authority_is_honoured_and_an_unknown_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiver(context) as server:
        with pytest.raises(DeliveryError, match=r"no trusted TLS connection .*SSL_CERT_FILE"):
            send_test_event(settings(server.dsn), VERSION)
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send_test_event(settings(server.dsn), VERSION)
    assert len(server.events()) == 1


def test_no_copy_goes_to_a_sidecar_that_the_environment_names(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as sidecar:
        monkeypatch.setenv("SENTRY_SPOTLIGHT", f"http://127.0.0.1:{sidecar.port}/stream")
        send_test_event(settings(server.dsn), VERSION)
    assert len(server.events()) == 1
    assert sidecar.requests == []


def test_the_key_is_in_the_header_that_needs_it_and_nowhere_else(server: Receiver) -> None:
    import sentry_sdk

    with Bridge(settings(server.dsn)) as bridge, sentry_sdk.start_transaction(name="of the host", sampled=True):
        provoke(bridge.sentry, ValueError("within a trace of the host program"))
    [request] = server.requests
    assert KEY in request.headers["X-Sentry-Auth"]
    assert KEY.encode() not in server.everything
    assert json.loads(request.body.split(b"\n")[0]).keys() == {"event_id", "sent_at"}
