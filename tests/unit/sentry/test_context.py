"""What an event tells: thread, component, environment and release; and when there is none at all."""

import contextlib
import itertools
import json
import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from sentry_relay.processing import StoreNormalizer

from ff_observe.config.environment import read_environment
from ff_observe.outputs.sentry.component import send_test_event
from ff_observe.telemetry.platform_context import working_for
from tests.network_guard import guarded_environment
from tests.real_parts.envelopes import Receiver, receiver
from tests.unit.sentry.samples import VERSION, Bridge, provoke, settings

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint


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


def test_after_an_upgrade_of_flowfuse_an_event_names_the_new_release(server: Receiver) -> None:
    with Bridge(settings(server.dsn)) as bridge:
        provoke(bridge.sentry, ZeroDivisionError())
        bridge.version = "2.34.0"
        provoke(bridge.sentry, KeyError())
    assert [event["release"] for event in server.events()] == ["flowfuse@2.33.2", "flowfuse@2.34.0"]


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


def test_an_error_that_the_sdk_cannot_report_still_reaches_the_hook_before_ours(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: seen.append(arguments.exc_type))
    error: Exception = ValueError("the innermost")
    for _ in range(2000):
        error = ExceptionGroup("nested", [error])

    arguments = threading.ExceptHookArgs((type(error), error, None, None))
    with Bridge(settings(server.dsn)), contextlib.suppress(RecursionError):  # of the SDK's
        threading.excepthook(arguments)
    assert seen == [ExceptionGroup]


def test_the_component_is_the_innermost_module_of_the_bridge(server: Receiver) -> None:
    with Bridge(settings(server.dsn)) as bridge:
        try:
            read_environment(None)  # type: ignore[arg-type]  # on purpose: the fault
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
        ("caf\udce9", "caf-"),
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
        latin_1 = "caf\udce9.yml"  # as Python names such a file
        logging.getLogger("ff_observe.test").warning("something went before, for %s", latin_1)
        provoke(bridge.sentry, ValueError(f"{latin_1} is missing" + "x" * 20_000))
    [event] = server.events()
    normalizer = StoreNormalizer(project_id=1, remove_other=True)
    assert not normalizer.normalize_event(raw_event=json.dumps(event)).get("errors")


def test_a_log_line_that_cannot_be_formatted_is_no_error_of_the_one_who_logs(server: Receiver) -> None:
    log = logging.getLogger("ff_observe.test")
    with working_for("acme"), Bridge(settings(server.dsn)) as bridge:
        log.warning("this went before")
        [ours] = [each for each in logging.getLogger("ff_observe").handlers if type(each).__name__ == "_LogLines"]
        ours.handle(log.makeRecord(log.name, logging.WARNING, __file__, 1, "%d", ("no number",), None))
        provoke(bridge.sentry, ValueError())
    assert [line["message"] for line in server.events()[0]["breadcrumbs"]["values"]] == ["this went before"]


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
import sys
from ff_observe.system.clock import SystemClock
from ff_observe.outputs.sentry.component import BackendSentry
from tests.unit.outputs.examples import context
from tests.unit.ping.samples import settings

sentry = BackendSentry(context(settings(), None, SystemClock()))
sentry.start()
sentry.capture(ValueError(), "core ping")
sentry.stop(0)
print("sentry_sdk" in sys.modules, "urllib3" in sys.modules)
"""
    environment = guarded_environment(SENTRY_DSN="https://key@127.0.0.1/1")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_a_program_keeps_its_own_sentry_for_its_own_errors(server: Receiver) -> None:
    import sentry_sdk
    from sentry_sdk.integrations.argv import ArgvIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration

    before = sentry_sdk.get_global_scope().client
    with receiver() as theirs:
        integrations = [ArgvIntegration(), DedupeIntegration()]
        own = sentry_sdk.Client(theirs.dsn, default_integrations=False, integrations=integrations)
        sentry_sdk.get_global_scope().set_client(own)
        try:
            with Bridge(settings(server.dsn)) as bridge:
                assert sentry_sdk.get_client() is own
                sentry_sdk.capture_message("of the program")
                error = ValueError("of the bridge")
                provoke(bridge.sentry, error)
                sentry_sdk.capture_exception(error)  # as of an application that ours is mounted in
            assert sentry_sdk.get_client() is own
            own.close()
        finally:
            sentry_sdk.get_global_scope().set_client(before)
        first, second = theirs.events()
        assert (first["message"], second["exception"]["values"][-1]["value"]) == ("of the program", "of the bridge")
    [event] = server.events()
    assert event["exception"]["values"][-1]["value"] == "of the bridge"
    assert "extra" not in event  # of their integrations


@pytest.mark.parametrize("dropped", [False, True])
def test_event_processors_of_a_program_do_not_see_the_bridges_events(server: Receiver, *, dropped: bool) -> None:
    import sentry_sdk

    def mark(event: "Event", _hint: "Hint") -> "Event | None":  # as integrations of web frameworks do for each request
        event["transaction"] = "/of/the/program"
        return None if dropped else event

    with sentry_sdk.isolation_scope() as scope, Bridge(settings(server.dsn)) as bridge:
        scope.add_event_processor(mark)
        provoke(bridge.sentry, ValueError("of the bridge"))
    [event] = server.events()
    assert "transaction" not in event


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_the_hook_of_threads_is_as_before_after_the_settings_have_changed_too(
    server: Receiver, first_to_end: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one starts before the old one stops; the errors of threads go to one of them, once."""
    seen: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: seen.append(arguments.exc_type.__name__))
    hook = threading.excepthook
    bridges = [Bridge(settings(server.dsn)), Bridge(settings(server.dsn))]
    for bridge in bridges:
        bridge.sentry.start()
    bridges.pop(first_to_end).__exit__()
    thread = threading.Thread(target=lambda: [1].index(2), name="otlp push")
    thread.start()
    thread.join()
    bridges.pop().__exit__()
    assert len(server.events()) == 1
    assert seen == ["ValueError"]
    assert threading.excepthook == hook
