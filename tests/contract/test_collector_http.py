"""The collector as its clients meet it, over real HTTP."""

import contextlib
import gzip
import json
import re
import shutil
import socket
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from ff_observe.catalogue.collector import COLLECTOR
from ff_observe.catalogue.fleet import FLEET
from ff_observe.catalogue.ping_contract import MAX_BODY_BYTES
from ff_observe.catalogue.process import PROCESS
from ff_observe.collector.commands import export, forget
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings, SQLiteFile
from ff_observe.collector.store import Ping
from ff_observe.errors import FFObserveError
from ff_observe.http.connection import Connection
from tests import openmetrics_2
from tests.pace import within
from tests.real_parts.collector import ask, collecting, raw, sample, send
from tests.real_parts.processes import wait_until
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import body, instance, ping

SUCCESS = b'{"status":"success"}'


@pytest.fixture
def settings(tmp_path: Path) -> CollectorSettings:
    return CollectorSettings(port=0, data_dir=tmp_path / "collector", public=True, k=1, public_k=1)


@pytest.mark.parametrize("path", ["/ping", "/", "/ping?from=flowfuse"])
def test_a_ping_is_acknowledged_as_flowfuse_expects_it(collector: Collector, path: str) -> None:
    answer = send(collector.port, body(), path=path)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, SUCCESS, "application/json")
    (stored,) = collector.store.export(instance())
    assert stored.document() == json.loads(body())


def test_an_answer_says_when_it_was_given(collector: Collector) -> None:
    """RFC 9110, 6.6.1."""
    given = parsedate_to_datetime(send(collector.port, body()).headers["date"])
    assert abs(datetime.now(UTC) - given) < timedelta(seconds=10)


def test_it_starts_in_half_a_second(settings: CollectorSettings) -> None:
    with contextlib.ExitStack() as stack, within(0.5):
        running = stack.enter_context(collecting(settings))
        assert ask(running.port, "GET", "/-/healthy").status == 200


def test_each_stored_ping_is_told_and_duplicates_are_not(settings: CollectorSettings) -> None:
    told: list[Ping] = []
    with collecting(settings, on_ping=told.append) as running:
        for _ in range(2):
            assert send(running.port, body()).body == SUCCESS
        assert sample(running.port, "ff_observe_collector_pings_accepted_total", outcome="duplicate") == 1
    assert [ping.document() for ping in told] == [json.loads(body())]


def test_an_observer_that_fails_is_logged_without_the_ping_which_is_stored_and_answered_so(
    settings: CollectorSettings, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(ping: Ping) -> None:
        raise ValueError(ping.instance_id)

    with collecting(settings, on_ping=fails) as running:
        answered = send(running.port, body())
        assert (answered.status, answered.body) == (200, SUCCESS)
        assert len(list(export(settings, instance()))) == 1
    assert re.search("what observes pings failed: ValueError at .*/test_collector_http.py:", caplog.text)
    assert instance() not in caplog.text


@pytest.mark.parametrize(
    ("sent", "headers", "status", "error"),
    [
        (b"{", {}, 400, "the body is not JSON"),
        (b"{}", {}, 400, "instanceId is missing"),
        (body(os=3), {}, 400, "os must be an object"),
        (body(), {"Content-Type": "text/plain"}, 415, "the Content-Type must be application/json"),
        (
            body(),
            {"Content-Type": "application/json; charset=latin-1"},
            415,
            "the Content-Type must be application/json",
        ),
        (
            gzip.compress(b" " * 10**7),
            {"Content-Encoding": "gzip"},
            415,
            "a Content-Encoding is not accepted; send the JSON as it is",
        ),
        (body(x="x" * MAX_BODY_BYTES), {}, 413, f"the body is larger than {MAX_BODY_BYTES} bytes"),
    ],
)
def test_a_refusal_says_why(
    collector: Collector, sent: bytes, headers: dict[str, str], status: int, error: str
) -> None:
    answer = send(collector.port, sent, headers)
    assert (answer.status, answer.json) == (status, {"status": "error", "error": error})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"']
)
def test_json_in_utf8_is_taken_however_it_is_announced(collector: Collector, content_type: str) -> None:
    assert send(collector.port, body(), {"Content-Type": content_type}).status == 200


def test_a_ping_without_content_type_or_in_chunks_is_taken(collector: Collector) -> None:
    sent = body()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in sent) + b"0\r\n\r\n"
    head = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert raw(collector.port, head + chunks).endswith(SUCCESS)


def test_a_length_with_zeros_in_front_is_a_length(collector: Collector) -> None:
    head = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: "
    for length, sent, status in (("9" * 6, b"", 413), (f"{len(body())}", body(), 200)):
        answer = raw(collector.port, head + b"0" * 5000 + length.encode() + b"\r\n\r\n" + sent)
        assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_several_pings_on_one_connection_are_answered_in_order(collector: Collector) -> None:
    def request(instance_id: str, extra: bytes = b"") -> bytes:
        sent = body(instance_id) if instance_id else b"{}"
        return b"POST /ping HTTP/1.1\r\nHost: localhost\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(sent), sent)

    answers = raw(collector.port, request("a") + request("") + request("b", b"Connection: close\r\n"))
    assert re.findall(rb"HTTP/1.1 ([0-9]{3}) ", answers) == [b"200", b"400", b"200"]


def test_a_body_that_ends_early_is_no_ping(collector: Collector) -> None:
    sent = b'{"instanceId":"cut"}'
    with socket.create_connection(("127.0.0.1", collector.port), 5) as client:
        client.sendall(b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n" + sent)
    refused = "ff_observe_collector_pings_refused_total"
    wait_until(lambda: sample(collector.port, refused, reason="incomplete") == 1, "the refusal to be counted")
    assert list(collector.store.export("cut")) == []


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"nonsense\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_is_answered_with_json_and_closed(collector: Collector, sent: bytes) -> None:
    received = raw(collector.port, sent)
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert received.endswith(b'{"status":"error","error":"this is not an HTTP request"}')


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ping", 405),
        ("PUT", "/ping", 405),
        ("DELETE", "/", 405),
        ("GET", "/nothing", 404),
        ("POST", "/ping/", 404),
        ("POST", "/metrics", 405),
    ],
)
def test_what_is_not_there_is_said_in_json(collector: Collector, method: str, path: str, status: int) -> None:
    answer = ask(collector.port, method, path)
    assert answer.status == status
    assert answer.json["status"] == "error"
    assert (status == 405) == ("allow" in answer.headers)


def test_head_is_answered_without_a_body(collector: Collector) -> None:
    answer = raw(collector.port, b"HEAD /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\n")


def test_a_client_that_asks_first_is_told_to_go_on(collector: Collector) -> None:
    sent = body()
    with socket.create_connection(("127.0.0.1", collector.port), 5) as client:
        client.sendall(
            b"POST /ping HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(sent)
        )
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(sent)
        assert client.recv(1000).endswith(SUCCESS)


def test_it_is_ready_while_pings_can_be_stored(collector: Collector) -> None:
    assert ask(collector.port, "GET", "/-/ready").status == 200


def test_a_store_that_is_down_is_told_and_nothing_is_acknowledged(settings: CollectorSettings, tmp_path: Path) -> None:
    file = tmp_path / "pings.sqlite3"
    with collecting(replace(settings, database=SQLiteFile(file))) as running:
        assert send(running.port, body("before")).status == 200
        file.unlink()
        file.write_bytes(b"this is no database" * 100)
        answer = send(running.port, body())
        assert (answer.status, answer.json["status"]) == (503, "error")
        assert 30 <= int(answer.headers["retry-after"]) <= 90
        assert ask(running.port, "GET", "/-/ready").status == 503
        assert ask(running.port, "GET", "/-/healthy").status == 200
        assert sample(running.port, "ff_observe_collector_store_up") == 0
        file.unlink()
        wait_until(lambda: send(running.port, body()).status == 200, "the collector to recover by itself")
        assert ask(running.port, "GET", "/-/ready").status == 200
        assert len(list(running.store.export(instance()))) == 1


# The budget of noise is there with `fleet.epsilon` alone (test_collector_releases.py), and what is copied with
# `fleet.analytics` (test_collector_clickhouse.py).
ALWAYS = [each for each in (*COLLECTOR, *FLEET) if "_privacy_" not in each.name and "_copied_" not in each.name]


def had_pings_yesterday(collector: Collector) -> None:
    with BlockingWriter(collector.store) as writer:
        writer.write([ping(instance(f"{index}"), datetime.now(UTC) - timedelta(days=1)) for index in range(20)])


def test_every_metric_of_the_catalogue_is_exposed_and_none_else(collector: Collector) -> None:
    had_pings_yesterday(collector)
    for index in range(5):
        send(collector.port, body(f"{index}", platform__counts__ghosts=1))
    send(collector.port, b"")
    collector.count_fleet()
    collector.fold()
    text = ask(collector.port, "GET", "/metrics").body.decode()
    families = {family.name for family in parse_text(text)}
    expected = {metric.name.removesuffix("_total") for metric in (*COLLECTOR, *PROCESS, *FLEET)}
    assert families == expected
    assert sample(collector.port, "flowfuse_fleet_platforms", window="1d") == 5
    assert sample(collector.port, "flowfuse_fleet_platforms_by_version", version="2.33.2") == 20
    assert sample(collector.port, "flowfuse_fleet_platforms_by_nodejs_version", version="20") == 20
    assert sample(collector.port, "flowfuse_fleet_daily_platforms_by_nodejs_version", version="20") == 20
    assert sample(collector.port, "flowfuse_fleet_changed_platforms", change="new", window="1d") == 20
    assert sample(collector.port, "flowfuse_fleet_resources", resource="users") == 180
    assert sample(collector.port, "ff_observe_collector_unknown_fields_total", field="platform.counts.ghosts") == 5
    assert sample(collector.port, "ff_observe_collector_pings_refused_total", reason="not_json") == 1
    assert sample(collector.port, "ff_observe_collector_commit_pings_sum") == 5
    counted, interval = collector.metrics.fleet, collector.settings.fleet_interval_seconds
    assert counted is not None
    assert counted.took_seconds > 0
    oldest = sample(collector.port, "ff_observe_collector_fleet_max_age_seconds")
    assert oldest == pytest.approx(interval + 2 * counted.took_seconds)


def test_labels_are_as_the_catalogue_says(collector: Collector) -> None:
    had_pings_yesterday(collector)
    for index in range(20):
        send(collector.port, body(f"{index}"))
    collector.count_fleet()
    collector.fold()
    families = {family.name: family for family in parse_text(ask(collector.port, "GET", "/metrics").body.decode())}
    for metric in ALWAYS:
        samples = families[metric.name.removesuffix("_total")].samples
        labels = {tuple(sorted(set(found.labels) - {"le"})) for found in samples}
        assert labels == {tuple(sorted(metric.labels))}, metric.name


def test_the_exposition_is_what_was_asked_for(collector: Collector) -> None:
    send(collector.port, body())
    collector.count_fleet()
    collector.fold()  # from here on no sample is added
    openmetrics = ask(
        collector.port, "GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    in_1 = [*parse_openmetrics(openmetrics.body.decode())]  # type: ignore[no-untyped-call]  # as the library has it
    asked = {"Accept": "application/openmetrics-text; version=2.0.0"}
    openmetrics = ask(collector.port, "GET", "/metrics", headers=asked)
    assert openmetrics.headers["content-type"] == "application/openmetrics-text; version=2.0.0; charset=utf-8"
    in_2 = [*openmetrics_2.families(openmetrics.body.decode())]
    for before, now in zip(in_1, in_2, strict=True):
        assert (now.name, now.type, now.documentation) == (before.name, before.type, before.documentation)
        assert [(of.name, of.labels) for of in now.samples] == [(of.name, of.labels) for of in before.samples]
    assert "histogram" in {family.type for family in in_2}
    zipped = ask(collector.port, "GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert gzip.decompress(zipped.body).startswith(b"# HELP")


def test_promtool_finds_nothing_to_say(collector: Collector) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    text = ask(collector.port, "GET", "/metrics").body
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_an_instance_can_be_exported_and_forgotten_while_it_runs(
    collector: Collector, settings: CollectorSettings
) -> None:
    send(collector.port, body())
    (line,) = export(settings, instance())
    exported = json.loads(line)
    assert exported["ping"] == json.loads(body())
    assert len(bytes.fromhex(exported["sender"])) == 32
    assert exported["received_at"].endswith("+00:00")
    assert forget(settings, instance()).pings == 1
    assert list(export(settings, instance())) == []
    assert send(collector.port, body()).status == 200


def test_an_address_in_use_is_no_error_of_the_configuration(collector: Collector, settings: CollectorSettings) -> None:
    second = Collector(replace(settings, port=collector.port))
    with pytest.raises(FFObserveError, match=f"listen: cannot listen on 127.0.0.1:{collector.port}") as raised:
        second.start()
    assert raised.value.exit_status == 1
    second.stop(time.monotonic() + 1)


def test_an_ipv6_address_is_told_as_addresses_write_it(
    settings: CollectorSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with collecting(replace(settings, host="::1")) as running:
        assert f"collecting pings on http://[::1]:{running.port}/ping" in caplog.text
        with pytest.raises(FFObserveError, match=re.escape(f"cannot listen on [::1]:{running.port} (")):
            Collector(replace(settings, host="::1", port=running.port)).start()


def test_stopping_is_legal_before_starting_and_twice(settings: CollectorSettings) -> None:
    never = Collector(settings)
    never.stop(time.monotonic() + 1)
    with collecting(settings) as running:
        running.stop(time.monotonic() + 10)


def test_idle_connections_do_not_delay_stopping(settings: CollectorSettings) -> None:
    with collecting(settings) as running:
        idle = socket.create_connection(("127.0.0.1", running.port))
        with within(3):
            running.stop(time.monotonic() + 10)
        idle.close()


def test_an_answer_is_one_write(collector: Collector) -> None:
    """Head and body in one packet: half the system calls, and no delay by Nagle's algorithm."""
    with socket.create_connection(("127.0.0.1", collector.port), 5) as client:
        sent = body()
        for _ in range(3):
            client.sendall(
                b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(sent), sent)
            )
            assert client.recv(65536).endswith(SUCCESS)


def test_an_error_nobody_thought_of_on_a_connection_is_told_without_its_text(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The event loop would log the error with its text, which can quote what was received."""

    def broken(self: Connection, nbytes: int) -> None:
        raise ValueError(bytes(self.get_buffer(0)[:nbytes]))

    monkeypatch.setattr(Connection, "buffer_updated", broken)
    assert raw(collector.port, b"198.51.100.7") == b""
    wait_until(lambda: "could not be handled" in caplog.text, "the fault to be told")
    assert "ValueError at" in caplog.text
    assert "198.51.100.7" not in caplog.text
