"""The spans of the bridge's and the collector's own work, as a tracer hears them."""

import contextlib
import dataclasses
import json
import logging
import random
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ff_observe.catalogue.bridge import PINGS
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.config.secret import Secret
from ff_observe.config.settings import BackendSentrySettings
from ff_observe.lifecycle.service import Component
from ff_observe.running.bridge import Bridge
from ff_observe.running.wiring import collector_signals
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry import tracing
from tests import recordings
from tests.end_to_end import otlp_bridge
from tests.real_parts import envelopes
from tests.real_parts.otlp import attributes, sink
from tests.real_parts.processes import PATIENCE_SECONDS, wait_until

CLOCK = SystemClock()


@dataclasses.dataclass
class Heard(tracing.Span):
    name: str
    attributes: dict[str, object]
    failed: str | None = None

    def set_attribute(self, name: str, value: tracing.AttributeValue) -> None:
        self.attributes[name] = value

    def fail(self, error_type: str) -> None:
        self.failed = error_type


@dataclasses.dataclass
class Listener:
    """A tracer that writes down what it hears, when it is over."""

    spans: list[Heard] = dataclasses.field(default_factory=list)

    @contextmanager
    def span(
        self,
        name: str,
        kind: tracing.Kind,
        attributes: Mapping[str, tracing.AttributeValue],
        after: Sequence[tracing.Context],
    ) -> Iterator[Heard]:
        heard = Heard(name, dict(attributes))
        try:
            yield heard
        finally:
            self.spans.append(heard)

    def current_ids(self) -> tuple[str, str] | None:
        return None

    def here(self) -> tracing.Context:
        return object()

    def named(self, name: str) -> list[Heard]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def listener() -> Iterator[Listener]:
    heard = Listener()
    tracing.install(heard)
    yield heard
    tracing.remove(heard)


def test_a_dead_database_fails_its_snapshot_and_names_no_value(listener: Listener, tmp_path: Path) -> None:
    settings = otlp_bridge.settings(tmp_path, "db:\n  type: sqlite\n  storage: missing.db", {})
    with otlp_bridge.running(settings) as bridge:
        assert otlp_bridge.scrape(bridge)["flowfuse_up"] == {(): 0}
    [snapshot] = listener.named("snapshot")
    assert (snapshot.failed, snapshot.attributes) == ("failed", {"ff_observe.outcome": "failed"})


def test_a_scrape_is_a_span_with_its_route_and_status(listener: Listener, tmp_path: Path) -> None:
    with otlp_bridge.running(otlp_bridge.settings(tmp_path, otlp_bridge.sqlite("v2.4.0-sqlite-ce"), {})) as bridge:
        otlp_bridge.scrape(bridge)
        asked = len(listener.named("SELECT counts"))
        otlp_bridge.scrape(bridge)
    scrapes = listener.named("GET /metrics")
    told = {
        "http.request.method": "GET",
        "http.route": "/metrics",
        "url.path": "/metrics",
        "url.scheme": "http",
        "http.response.status_code": 200,
    }
    assert [scrape.attributes for scrape in scrapes] == [told, told]
    assert asked > 0
    assert len(listener.named("SELECT counts")) == asked  # the second found the snapshot of the first


def test_a_ping_is_a_span_with_its_outcome(listener: Listener, tmp_path: Path) -> None:
    settings = otlp_bridge.settings(tmp_path, otlp_bridge.sqlite("v2.4.0-sqlite-ce"), {}, ping=True)
    bridge = Bridge(settings, chance=random.Random(1), first_ping_seconds=0.0)
    with bridge:
        wait_until(lambda: bridge.self_metrics.readings()[PINGS.name][("failed",)], "a ping that failed")
    [ping] = listener.named("ping")
    assert (ping.failed, ping.attributes) == ("failed", {"ff_observe.outcome": "failed"})


@contextmanager
def collector(directory: Path) -> Iterator[Collector]:
    running = Collector(CollectorSettings(port=0, data_dir=directory), CLOCK)
    running.start()
    try:
        yield running
    finally:
        running.stop(CLOCK.monotonic() + 5)


def stop(component: Component) -> None:
    component.stop(CLOCK.monotonic() + 5)


def post(port: int, body: bytes) -> int:
    headers = {"content-type": "application/json", "x-forwarded-for": "198.51.100.23"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/ping", body, headers)
    try:
        with urllib.request.urlopen(request) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.status or 0)


def post_after_asking(port: int, body: bytes) -> int:
    """The body comes once the request is being handled."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as client:
        head = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        client.sendall(head % len(body))
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(body)
        return int(client.recv(1000).split()[1])


def a_ping() -> bytes:
    return (recordings.COMMITTED / "v2.4.0-sqlite-ce" / "ping.json").read_bytes()


def test_a_ping_that_comes_in_is_traced_to_its_commit_without_its_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sink() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        with contextlib.ExitStack() as cleanup:
            for component in collector_signals(CollectorSettings(), CLOCK):
                component.start()
                cleanup.callback(stop, component)
            running = cleanup.enter_context(collector(tmp_path))
            assert post_after_asking(running.port, a_ping()) == 200
            assert post(running.port, b"{") == 400
        spans = receiver.spans()
        resource = receiver.resource_of("/v1/traces")
        everything = json.dumps(receiver.received)
    request, refused = (span for span in spans if span["name"] == "POST /ping")
    [commit] = [span for span in spans if span["name"] == "commit"]
    assert commit["parentSpanId"] == request["spanId"]
    assert attributes(commit) == {"ff_observe.pings": "1"}
    told = {"http.request.method": "POST", "http.route": "/ping", "url.path": "/ping", "url.scheme": "http"}
    assert attributes(request) == {
        **told,
        "http.response.status_code": "200",
        "ff_observe.outcome": "acknowledged",
    }
    assert attributes(refused) == {**told, "http.response.status_code": "400", "ff_observe.outcome": "not_json"}
    assert resource["service.name"] == "ff-observe-collector"
    for secret in ("127.0.0.1", "198.51.100.23", json.loads(a_ping())["instanceId"]):
        assert secret not in everything


def test_the_collector_sends_nothing_unless_a_variable_names_where(monkeypatch: pytest.MonkeyPatch) -> None:
    assert collector_signals(CollectorSettings(), CLOCK) == []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:9")
    assert collector_signals(CollectorSettings(), CLOCK) == []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9")
    assert len(collector_signals(CollectorSettings(), CLOCK)) == 1
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert collector_signals(CollectorSettings(), CLOCK) == []


def test_the_collector_which_sends_no_metrics_does_not_ask_how_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "15s")
    assert len(collector_signals(CollectorSettings(), CLOCK)) == 1


def test_an_error_is_reported_to_sentry_once_and_not_again_over_otlp(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    with envelopes.receiver() as sentry, sink() as otlp:
        base = otlp_bridge.settings(
            tmp_path,
            otlp_bridge.sqlite("v2.4.0-sqlite-ce"),
            {"endpoint": otlp.url, "interval": 60, "traces": "true", "logs": "true"},
        )
        settings = dataclasses.replace(base, backend_sentry=BackendSentrySettings(Secret(sentry.dsn)))
        bridge = Bridge(settings, first_ping_seconds=60.0)

        def break_down(*_: object) -> object:
            raise RuntimeError("planted failure")

        monkeypatch.setattr(bridge.snapshots, "current", break_down)  # the export of metrics runs into it
        with bridge:
            wait_until(sentry.events, "Sentry's event")
        events = sentry.events()
        spans, logs = otlp.spans(), otlp.logs()
        kinds = {head["type"] for request in sentry.requests for head, _ in request.items()}
    assert [event["exception"]["values"][-1]["value"] for event in events] == ["planted failure"]
    assert kinds == {"event"}  # no transactions: traces are OpenTelemetry's
    [export] = [span for span in spans if span["name"] == "export metrics"]
    assert export["status"]["code"] == "STATUS_CODE_ERROR"
    assert "events" not in export
    [line] = [record for record in logs if "failed; next try" in record["body"]["stringValue"]]
    assert {each["key"] for each in line["attributes"]} == {"thread.name", "exception.type"}
    assert "planted failure" not in json.dumps(otlp.received)


def test_reread_settings_move_everything_to_the_new_receiver_without_a_gap(tmp_path: Path) -> None:
    with sink() as first, sink() as second:
        sqlite = otlp_bridge.sqlite("v2.4.0-sqlite-ce")
        keys = {"interval": 60, "traces": "true"}
        with otlp_bridge.running(otlp_bridge.settings(tmp_path, sqlite, {**keys, "endpoint": first.url})) as bridge:
            wait_until(first.metrics, "the first export")
            bridge.reload(otlp_bridge.settings(tmp_path, sqlite, {**keys, "endpoint": second.url}))
            wait_until(second.metrics, "an export to the other place")
            assert tracing.is_on()
        assert first.spans()
        assert second.spans()
    assert not tracing.is_on()
