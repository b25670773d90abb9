"""Platforms of one process kept apart: what one's outputs receive is of that one alone. The library holds them, too."""

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import ff_observe
from ff_observe.config.platforms import ListedPlatform, Platforms
from ff_observe.config.secret import Secret
from ff_observe.config.settings import BackendSentrySettings, OtlpSettings, PrometheusSettings
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.running.platform import RunningPlatform
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry import tracing
from ff_observe.telemetry.log import JSONFormatter, TextFormatter
from ff_observe.telemetry.platform_context import current_platform, working_for
from ff_observe.telemetry.redaction import Redactor, RedactorOfPlatforms
from tests.fakes import no_more_threads
from tests.real_parts.envelopes import receiver
from tests.real_parts.many_platforms import sqlite_home
from tests.real_parts.processes import PATIENCE_SECONDS, free_port
from tests.unit.otlp.test_signals import sending, signals


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, ff_observe.Settings]:
    return {name: ff_observe.load_settings(sqlite_home(tmp_path / name)) for name in ("acme", "initech")}


def get(app: Any, *paths: str) -> list[httpx.Response]:
    async def answers() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://platforms") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(answers())


def test_the_library_holds_several_by_name(settings: dict[str, ff_observe.Settings]) -> None:
    with ff_observe.build_bridge(settings) as bridge:
        acme, unknown, listed = get(bridge.app, "/platforms/acme/metrics", "/platforms/other/metrics", "/")
        assert set(bridge.platforms) == {"acme", "initech"}
        with pytest.raises(ff_observe.FFObserveError, match="several platforms"):
            bridge.settings  # noqa: B018 - the access itself is tested
    assert re.search(r"^flowfuse_up\{.*\} 1\.0$", acme.text, re.MULTILINE)
    assert (unknown.status_code, listed.status_code) == (404, 200)
    assert not [thread for thread in threading.enumerate() if thread.name in ("schedule", "worker", "snapshot")]


def test_hosts_are_not_for_others_where_the_list_opens_the_bridge_to_them(
    settings: dict[str, ff_observe.Settings],
) -> None:
    listed = tuple(ListedPlatform(name, each) for name, each in settings.items())
    serving = PrometheusSettings(enabled=True, port=0)
    with ff_observe.build_bridge(Platforms(Path(), serving, listed), serve=True) as bridge:

        def shown() -> set[str | None]:
            told = httpx.get(f"{bridge.url}/platforms/acme/api/status").json()
            return {contact["place"] for contact in told["egress"]}

        assert shown() == {"catalogue.nodered.org:443"}
        bridge.reload(Platforms(Path(), replace(serving, host="0.0.0.0", allow_public=True), listed))
        assert shown() == {None}


def test_a_reload_leaves_alone_what_did_not_change(settings: dict[str, ff_observe.Settings]) -> None:
    with ff_observe.build_bridge(settings) as bridge:
        untouched, changed = bridge.platforms["acme"].snapshots, bridge.platforms["initech"].snapshots
        other = replace(settings["initech"], platform=replace(settings["initech"].platform, driver="docker"))
        bridge.reload({"acme": settings["acme"], "initech": other})
        assert bridge.platforms["acme"].snapshots is untouched
        assert bridge.platforms["initech"].snapshots is not changed
        bridge.reload({"acme": settings["acme"]})
        assert set(bridge.platforms) == {"acme"}
        with pytest.raises(ff_observe.FFObserveError, match="start another process"):
            bridge.reload(settings["acme"])


def test_a_reload_stops_what_platforms_no_longer_need_side_by_side(
    settings: dict[str, ff_observe.Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits until all are there, as each waits for one receiver that hangs."""
    meeting = threading.Barrier(len(settings), timeout=PATIENCE_SECONDS)
    reload = RunningPlatform.reload

    def reload_and_meet(platform: RunningPlatform, wanted: ff_observe.Settings) -> Callable[[], None]:
        end = reload(platform, wanted)

        def meet_and_end() -> None:
            meeting.wait()
            end()

        return meet_and_end

    monkeypatch.setattr(RunningPlatform, "reload", reload_and_meet)
    changed = {name: replace(each, platform=replace(each.platform, driver="docker")) for name, each in settings.items()}
    with ff_observe.build_bridge(settings, stop_seconds=PATIENCE_SECONDS) as bridge:
        bridge.reload(changed)


def test_what_did_not_stop_is_named_one_by_one(
    settings: dict[str, ff_observe.Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(platform: RunningPlatform, _deadline: float) -> None:
        raise ExceptionGroup("some parts did not stop", [TimeoutError(f"the export of {platform.name} did not end")])

    bridge = ff_observe.build_bridge(settings)
    bridge.start()
    with monkeypatch.context() as patched:
        patched.setattr(RunningPlatform, "stop", stop)
        with pytest.raises(ExceptionGroup) as reloading:
            bridge.reload({"acme": settings["acme"]})
        with pytest.raises(ExceptionGroup) as stopping:
            bridge.stop()
    bridge.stop()
    assert list(map(str, reloading.value.exceptions)) == ["the export of platform initech did not end"]
    assert list(map(str, stopping.value.exceptions)) == ["the export of platform acme did not end"]


def test_one_whose_reload_fails_unexpectedly_keeps_its_settings_and_the_others_get_theirs(
    settings: dict[str, ff_observe.Settings], caplog: pytest.LogCaptureFixture
) -> None:
    traced = OtlpSettings(endpoint=Secret(f"http://127.0.0.1:{free_port()}"), traces=True)
    with ff_observe.build_bridge(settings) as bridge:
        with no_more_threads():  # the SDK needs one
            bridge.reload({"initech": replace(settings["initech"], otlp=traced)})
        assert set(bridge.platforms) == {"initech"}
        assert bridge.platforms["initech"].settings == settings["initech"]
        [metrics] = get(bridge.app, "/platforms/initech/metrics")
    assert "can't start new thread" in caplog.text
    assert re.search(r"^ff_observe_config_last_reload_successful\{.*\} 0\.0$", metrics.text, re.MULTILINE)


def test_one_that_cannot_start_is_left_out_and_says_so(settings: dict[str, ff_observe.Settings]) -> None:
    wrong = BackendSentrySettings(Secret("https://planted-key@sentry.example.com/no-number"))
    settings["initech"] = replace(settings["initech"], backend_sentry=wrong)
    with ff_observe.build_bridge(settings) as bridge:
        acme, initech, page = get(
            bridge.app, "/platforms/acme/metrics", "/platforms/initech/metrics", "/platforms/initech/"
        )
    assert (acme.status_code, initech.status_code) == (200, 503)
    assert "is not a Sentry DSN" in page.text
    assert "planted-key" not in page.text


def test_an_error_goes_to_the_sentry_of_its_platform_with_its_log_lines_alone(
    settings: dict[str, ff_observe.Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = SQLiteSource.read

    def fails(source: SQLiteSource, at: Any) -> Any:
        logging.getLogger("ff_observe.test").warning("reading %s", source._path.parent.parent.name)
        if "acme" in str(source._path):
            raise ZeroDivisionError("a fault of ours")
        return read(source, at)

    monkeypatch.setattr(SQLiteSource, "read", fails)
    with receiver() as of_acme, receiver() as of_initech:
        told = {"acme": of_acme, "initech": of_initech}
        for name, server in told.items():
            settings[name] = replace(settings[name], backend_sentry=BackendSentrySettings(Secret(server.dsn)))
        with ff_observe.build_bridge(settings) as bridge:
            get(bridge.app, "/platforms/initech/metrics", "/platforms/acme/metrics")
        [event] = of_acme.events()
        assert of_initech.events() == []
    assert event["exception"]["values"][-1]["type"] == "ZeroDivisionError"
    crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
    assert "reading acme" in crumbs
    assert "reading initech" not in crumbs


def test_a_line_about_a_lost_event_names_its_platform(settings: dict[str, ff_observe.Settings]) -> None:
    lines: list[tuple[str | None, str]] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append((current_platform(), record.getMessage()))

    log = logging.getLogger("ff_observe.outputs.sentry.component")
    log.addHandler(heard := Heard())
    with receiver(status=500) as server, contextlib.ExitStack() as stack:
        stack.callback(log.removeHandler, heard)
        refused = BackendSentrySettings(Secret(server.dsn))
        told = {"acme": replace(settings["acme"], backend_sentry=refused), "initech": settings["initech"]}
        bridge = stack.enter_context(ff_observe.build_bridge(told))
        bridge.platforms["acme"].capture(ZeroDivisionError("a fault of ours"), "snapshot")
    assert lines == [("acme", "Sentry did not take an event: it answered HTTP 500")]


def test_traces_and_logs_go_to_the_receiver_of_their_platform_alone() -> None:
    log = logging.getLogger("ff_observe.test")
    with contextlib.ExitStack() as stack:
        receivers = {}
        for name in ("acme", "initech"):
            with working_for(name):
                receivers[name] = stack.enter_context(sending())
        for name in receivers:
            with working_for(name), tracing.span(f"work for {name}"):
                log.warning("line of %s", name)
        log.warning("line of the process")
        with tracing.span("work of the process"):
            pass
        stack.pop_all().close()
    for name, sink in receivers.items():
        assert [record["body"]["stringValue"] for record in sink.logs()] == [f"line of {name}"]
        assert [span["name"] for span in sink.spans()] == [f"work for {name}"]


def test_a_line_about_exports_names_their_platform() -> None:
    lines: list[tuple[str | None, str]] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append((current_platform(), record.getMessage()))

    heard = Heard()
    logging.getLogger("ff_observe").addHandler(heard)
    try:
        with working_for("acme"):
            exporting = signals(f"http://127.0.0.1:{free_port()}", timeout=0.3)
            exporting.start()
            with tracing.span("work"):
                pass
        exporting.stop(SystemClock().monotonic() + 5)
    finally:
        logging.getLogger("ff_observe").removeHandler(heard)
    [(platform, line)] = lines
    assert platform == "acme"
    assert line.startswith("OTLP traces are not delivered: ")


def test_a_log_line_names_its_platform_and_hides_the_secrets_of_all() -> None:
    redactor = RedactorOfPlatforms({}).with_platforms({"acme": ["hunter2-secret"], "ini\ntech": ["swordfish-9"]})
    record = logging.LogRecord(
        "ff_observe.x", logging.INFO, "", 1, "%s and %s", ("hunter2-secret", "swordfish-9"), None
    )
    assert "hunter2" not in TextFormatter(redactor).format(record)
    assert "swordfish" not in TextFormatter(redactor).format(record)
    with working_for("ini\ntech"):
        line = TextFormatter(redactor).format(record)
        assert "swordfish" not in line
        assert "ff_observe.x [ini\\ntech]: " in line
        assert '"platform": "ini\\ntech"' in JSONFormatter(redactor).format(record)
    assert '"platform"' not in JSONFormatter(Redactor()).format(record)
    after_a_reload = redactor.with_platforms({"acme": ["another-secret"]})
    with working_for("acme"):
        assert after_a_reload.text("hunter2-secret another-secret") == "******** ********"
