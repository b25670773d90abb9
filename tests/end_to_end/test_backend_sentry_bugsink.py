"""Backend Sentry with a real server of Sentry's protocol: what it keeps is what an operator sees."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.catalogue.bridge import SENTRY_EVENTS, SENTRY_SUPPRESSED
from ff_observe.config.environment import read_environment
from ff_observe.config.secret import Secret
from ff_observe.config.settings import BackendSentrySettings, PlatformSettings, PostgreSQLDatabase, Settings
from ff_observe.errors import DeliveryError
from ff_observe.lifecycle.periodic import Periodic
from ff_observe.lifecycle.service import Service
from ff_observe.outputs.sentry.component import BackendSentry, send_test_event
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.fakes import FakeClock
from tests.real_parts import bugsink as real_bugsink
from tests.real_parts.bugsink import Server
from tests.real_parts.processes import wait_until
from tests.unit.outputs.examples import context
from tests.unit.sentry.samples import provoke

PASSWORD = "planted-database-password"
LICENCE = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJwbGFudGVkIjoibGljZW5jZSJ9.cGxhbnRlZC1zaWduYXR1cmU"
OTHER_DSN_KEY = "fedcba9876543210fedcba9876543210"
PLANTED = (PASSWORD, LICENCE, OTHER_DSN_KEY, "198.51.100.23", "2001:db8::beef", "jane.doe@example.org", "in-a-local")


def settings(dsn: str, variables: dict[str, str]) -> Settings:
    return Settings(
        home=Path("/opt/flowforge"),
        file=Path("/opt/flowforge/etc/flowforge.yml"),
        database=PostgreSQLDatabase(password=Secret(PASSWORD)),
        platform=PlatformSettings(license=Secret(LICENCE)),
        backend_sentry=BackendSentrySettings(Secret(dsn)),
        environment=read_environment(variables),
    )


@pytest.fixture(scope="module")
def bugsink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that hears of nobody but us: what it keeps is what we told it."""
    if not real_bugsink.installed():
        pytest.skip(real_bugsink.HOW_TO_INSTALL)
    with real_bugsink.server(tmp_path_factory.mktemp("bugsink") / "server") as server:
        yield server


@pytest.fixture(autouse=True)
def the_server_finds_nothing_wrong_with_our_events(bugsink: Server) -> Iterator[None]:
    """It checks each event against the schema of Sentry's protocol, and only logs what does not fit."""
    yield
    assert "validation failed" not in (bugsink.directory / "gunicorn.log").read_text()


@pytest.mark.parametrize("sentry_env", [None, "", "staging"])
@pytest.mark.parametrize("node_env", [None, "", "production"])
def test_a_test_event_is_there_under_the_id_that_was_returned(
    bugsink: Server, sentry_env: str | None, node_env: str | None
) -> None:
    environment = sentry_env or node_env or "unknown"
    named = {"SENTRY_ENV": sentry_env, "NODE_ENV": node_env}
    variables = {name: value for name, value in named.items() if value is not None}
    project = bugsink.create_project("test event")
    event_id = send_test_event(settings(project.dsn, variables), "2.33.2")
    [event] = bugsink.wait_for_events(project)
    assert event["event_id"].replace("-", "") == event_id
    assert event["data"]["environment"] == environment
    assert event["data"]["release"] == "flowfuse@2.33.2"


def test_the_server_refuses_a_key_it_does_not_know(bugsink: Server) -> None:
    project = bugsink.create_project("wrong key")
    key = project.dsn.split("//")[1].split("@")[0]
    with pytest.raises(DeliveryError, match="HTTP 40"):
        send_test_event(settings(project.dsn.replace(key, OTHER_DSN_KEY), {}), "2.33.2")


def test_an_error_of_a_periodic_task_is_there_without_any_secret(bugsink: Server) -> None:
    project = bugsink.create_project("thread error")
    failed = threading.Event()

    def gather(argument: str) -> float:
        local = "in-a-local"
        peer = ("198.51.100.23", "2001:db8::beef")
        logging.getLogger("ff_observe.test").warning("asked by jane.doe@example.org from %s: %s", peer[0], argument)
        failed.set()
        raise RuntimeError(
            f"postgresql://flowforge:{PASSWORD}@{peer[0]}/x and {peer[1]} with {argument}, licence {LICENCE}",
            {"user": "jane.doe@example.org", "dsn": f"https://{OTHER_DSN_KEY}@sentry.example.org/1"},
            len(local),
        )

    clock = SystemClock()
    sentry = BackendSentry(
        context(settings(project.dsn, {"NODE_ENV": "production"}), None, clock, flowfuse_version=lambda: "2.33.2")
    )
    task = Periodic("core ping", lambda: gather(f"password={PASSWORD}"), clock, on_error=sentry.capture)
    service = Service([sentry, task], clock)
    service.start()
    assert failed.wait(5)
    service.stop()

    [event] = bugsink.wait_for_events(project)
    data = event["data"]
    assert (data["environment"], data["release"]) == ("production", "flowfuse@2.33.2")
    assert data["exception"]["values"][-1]["type"] == "RuntimeError"
    assert (data["tags"]["thread"], data["tags"]["component"]) == ("core ping", "ff_observe.lifecycle.periodic")
    assert "asked by" in str(data["breadcrumbs"])
    kept = bugsink.everything_stored()
    assert data["exception"]["values"][-1]["value"].split(" ")[0].encode() in kept  # it is kept as plain text
    for secret in (*PLANTED, json.dumps(socket.gethostname()), str(Path.home())):
        assert secret.encode() not in kept, secret


def test_a_loop_of_ten_thousand_errors_keeps_to_the_budget_and_its_last_event_names_the_rest(bugsink: Server) -> None:
    project = bugsink.create_project("failing loop")
    clock, metrics = FakeClock(), SelfMetrics()
    sentry = BackendSentry(context(settings(project.dsn, {}), None, clock, metrics, flowfuse_version=lambda: "2.33.2"))
    kinds = [type(f"Error{number}", (Exception,), {}) for number in range(100)]  # each is an error of its own

    sentry.start()
    since = clock.now().isoformat(timespec="seconds")
    for number in range(9_999):
        provoke(sentry, kinds[number % len(kinds)](f"error {number}"))
    wait_until(lambda: sum(metrics.readings()[SENTRY_EVENTS.name].values()) == 9_999, "the fate of 9,999 errors")
    clock.advance(3_600)
    provoke(sentry, kinds[-1]("error 9999"))
    sentry.stop(clock.monotonic() + 20)
    *first, last = bugsink.wait_for_events(project, 11)
    assert [event["data"]["exception"]["values"][-1]["value"] for event in first] == [f"error {n}" for n in range(10)]
    assert last["data"]["exception"]["values"][-1]["value"] == "error 9999"
    said = last["data"]["contexts"]["suppressed"]
    assert (said["events"], said["since"]) == (9_989, since)
    assert sum(metrics.readings()[SENTRY_SUPPRESSED.name].values()) == 9_989
