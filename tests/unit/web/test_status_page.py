"""The landing page: what it tells, and that nothing in it can become markup or reach outside."""

import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ff_observe.catalogue.bridge import CONFIG_RELOAD_SUCCESS
from ff_observe.config.secret import Secret
from ff_observe.config.settings import (
    OtlpSettings,
    PingSettings,
    PlatformSettings,
    PostgreSQLDatabase,
    PrometheusSettings,
)
from ff_observe.errors import Problem as WrongKey
from ff_observe.outputs import OUTPUTS
from ff_observe.platform.sources.model import HttpAnswer, Licence
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.version import VERSION
from ff_observe.web.app import BridgeApp
from tests.unit.web.asgi import get
from tests.unit.web.platforms import MOMENT, Provider, app, snapshot

VOID = {"meta", "link", "wbr"}


class Page(HTMLParser):
    """Text, links and tags of a page; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.external: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        attributes = dict(attrs)
        if tag == "a":
            self.links.append(attributes["href"] or "")
        elif "src" in attributes or "href" in attributes:
            self.external.append(attributes.get("src") or attributes.get("href") or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def page(application: BridgeApp | None = None) -> Page:
    return Page(get(application or app(Provider(snapshot()))).text)


def test_it_tells_versions_driver_and_state() -> None:
    text = page().text
    assert VERSION in text
    assert "2.33.2" in text
    assert "docker" in text
    assert "completed" in text
    assert "Database answers" in text
    assert "2026-11-23 12:00:17 UTC" in text


def test_it_shows_each_output_with_its_state_and_reason() -> None:
    text = page().text
    assert re.search(r"on\s*Prometheus\s*telemetry.backend.prometheus.enabled is true", text)
    assert re.search(r"off\s*Backend Sentry\s*telemetry.backend.sentry.dsn is not set", text)
    for output in OUTPUTS:
        assert output.title.lower() in text.lower()


@pytest.mark.parametrize(("enabled", "words"), [(True, "is sent"), (False, "is not sent")])
def test_it_says_whether_the_ping_is_sent_and_why(enabled: bool, words: str) -> None:
    text = page(app(Provider(snapshot()), ping=PingSettings(enabled=enabled))).text
    assert f"The usage ping {words}." in text
    assert "/opt/flowforge/etc/flowforge.yml" in text


def test_what_a_reason_quotes_is_shown_as_code() -> None:
    html = get(app(Provider(snapshot()), ping=PingSettings(enabled=False))).text
    assert "says <code>telemetry.enabled: false</code>" in html


def test_without_problems_it_shows_none() -> None:
    shown = page()
    assert "Problem" not in shown.text.replace("No problems found", "")
    assert "No problems found" in shown.text


def test_a_dead_database_is_shown_with_its_reason_and_fix_before_anything_else() -> None:
    down = snapshot({}, up=False, failures={"flowfuse_users": "cannot connect: connection refused"})
    text = page(app(Provider(down))).text
    assert "Problems Problem: The platform's database does not answer Cannot connect: connection refused." in text
    assert text.index("connection refused") < text.index("Platform Database")
    assert "db.storage in /opt/flowforge/etc/flowforge.yml" in text
    assert re.search(r"Licence\s*unknown", text)


def test_a_flowfuse_that_does_not_answer_is_a_problem_although_its_database_does() -> None:
    refused = replace(snapshot(), http=HttpAnswer(None, "refuses connections"))
    text = page(app(Provider(refused))).text
    assert "Problems Problem: FlowFuse does not answer over HTTP FlowFuse at" in text
    assert "refuses connections." in text
    assert "telemetry.backend.prometheus.probe_url" in text


def test_a_flowfuse_that_answers_is_no_problem() -> None:
    assert "Problems" not in page(app(Provider(replace(snapshot(), http=HttpAnswer(0.01))))).text


def test_when_nothing_was_read_no_duration_is_shown() -> None:
    text = page(app(Provider(snapshot({}, up=False)))).text
    assert "Nothing could be read from the platform at 2026-11-23 12:00:17 UTC." in text
    assert " ms" not in text


def test_a_reading_too_quick_to_be_measured_is_not_shown_as_no_time() -> None:
    assert "in less than 1 ms" in page(app(Provider(snapshot(duration_seconds=0.0002)))).text


def test_the_reason_is_shown_without_the_password() -> None:
    database = PostgreSQLDatabase(host="db", user="forge", password=Secret("planted-secret"))
    down = snapshot({}, up=False, failures={"flowfuse_users": "refused: host=db, planted-secret"})
    text = page(app(Provider(down), database=database)).text
    assert "Refused: host=db" in text
    assert "planted" not in text


def test_failed_readings_are_named() -> None:
    failures = {"flowfuse_users": "permission denied", "flowfuse_teams": "permission denied", "flowfuse_devices": "odd"}
    text = page(app(Provider(snapshot(failures=failures)))).text
    assert "2 readings of the database fail flowfuse_users, flowfuse_teams: Permission denied." in text
    assert "A reading of the database fails flowfuse_devices: Odd." in text
    assert "2 problems" in text


def test_a_licence_is_shown_with_type_tier_and_end() -> None:
    licence = Licence("planted-id", "EE", "enterprise", datetime(2027, 3, 1, tzinfo=UTC))
    text = page(app(Provider(snapshot(licence=licence)))).text
    assert "EE · enterprise · until 2027-03-01" in text
    assert "planted-id" not in text
    assert "Problems" not in text


def test_an_expired_licence_is_a_problem() -> None:
    licence = Licence("", "EE", "enterprise", datetime(2024, 3, 1, tzinfo=UTC))
    text = page(app(Provider(snapshot(licence=licence)))).text
    assert "Problems Problem: The licence expired on 2024-03-01 FlowFuse 2.8 and later refuses new devices" in text
    assert "EE · enterprise · expired 2024-03-01" in text


@pytest.mark.parametrize(("days", "shown"), [(30, True), (31, False)])
def test_a_licence_that_expires_within_a_month_is_a_problem(days: int, shown: bool) -> None:
    licence = Licence("", "EE", "enterprise", MOMENT + timedelta(days=days))
    assert ("The licence expires on" in page(app(Provider(snapshot(licence=licence)))).text) is shown


def test_a_licence_that_was_not_accepted_is_a_problem_with_the_reason() -> None:
    text = page(app(Provider(snapshot(licence_problem="it is not signed")))).text
    assert "The licence is not accepted It is not signed." in text
    assert "in flowforge.yml, and reload the bridge (SIGHUP)" in text
    assert re.search(r"Licence\s*not accepted", text)


def test_a_rejected_configuration_is_a_problem_until_one_is_accepted() -> None:
    metrics = SelfMetrics()
    application = app(Provider(snapshot()), self_metrics=metrics)
    metrics.set(CONFIG_RELOAD_SUCCESS, 0.0)
    assert "The changed configuration was rejected" in page(application).text
    metrics.set(CONFIG_RELOAD_SUCCESS, 1.0)
    assert "Problems" not in page(application).text


def test_an_output_that_does_not_deliver_is_a_problem_until_it_does() -> None:
    metrics = SelfMetrics()
    otlp = OtlpSettings(endpoint=Secret("http://user:planted@127.0.0.1:4318"))
    application = app(Provider(snapshot()), self_metrics=metrics, otlp=otlp)
    metrics.delivery("otlp", "127.0.0.1:4318 refuses connections, planted", "metrics")
    text = page(application).text
    assert "OTLP is on, and its last delivery failed 127.0.0.1:4318 refuses connections, ********." in text
    assert "What to do: Check telemetry.backend.otlp" in text
    assert re.search(r"fails\s*OTLP", text)
    assert "planted" not in text
    metrics.delivery("otlp", None, "metrics")
    assert re.search(r"on\s*OTLP", page(application).text)
    assert "Problems" not in page(application).text


def test_an_output_that_is_off_has_no_problem() -> None:
    metrics = SelfMetrics()
    metrics.delivery("backend_sentry", "it answered 500")
    assert "Problems" not in page(app(Provider(snapshot()), self_metrics=metrics)).text


def test_an_opt_out_that_a_licence_overrules_is_a_problem() -> None:
    licence = Licence("", "EE", "", None)
    text = page(app(Provider(snapshot(licence=licence)), ping=PingSettings(enabled=False))).text
    assert "The usage ping is sent." in text
    assert "The ping is sent although an opt-out is configured" in text


def test_unknown_keys_are_a_problem() -> None:
    unknown = (WrongKey("/opt/flowforge/etc/flowforge.yml", 7, 3, "telemetry.ulr", "unknown key"),)
    text = page(app(Provider(snapshot()), warnings=unknown)).text
    assert "telemetry.ulr in /opt/flowforge/etc/flowforge.yml:7:3" in text


@pytest.mark.parametrize(("path", "shown"), [("/", "/opt/fl\N{REPLACEMENT CHARACTER}w"), ("/api/status", "/opt/fl?w")])
def test_a_path_that_is_no_utf_8_is_shown_as_far_as_it_can_be(path: str, shown: str) -> None:
    wrong = WrongKey(os.fsdecode(b"/opt/fl\xf6w/etc/flowforge.yml"), 7, 3, "telemetry.ulr", "unknown key")
    reply = get(app(Provider(snapshot()), warnings=(wrong,)), path)
    assert reply.status == 200
    assert f"{shown}/etc/flowforge.yml:7:3" in reply.text.replace("<wbr>", "")


def test_links_lead_to_metrics_status_and_probes() -> None:
    assert [link for link in page().links[1:] if not link.startswith("./docs/")] == [
        "./metrics",
        "./api/status",
        "./-/healthy",
        "./-/ready",
    ]


def test_metrics_are_not_linked_where_they_are_off() -> None:
    assert "/metrics" not in page(app(Provider(snapshot()), PrometheusSettings())).links


def test_values_cannot_become_markup() -> None:
    hostile = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    application = app(
        Provider(snapshot(licence=Licence("", hostile, hostile, None), failures={hostile: hostile})),
        PrometheusSettings(enabled=True, path="/" + hostile),
        warnings=(WrongKey(hostile, 1, 1, hostile, hostile),),
        file=Path(hostile),
        ping=PingSettings(enabled=False),
        platform=PlatformSettings(driver=hostile),
    )
    told = page(application)
    assert told.tags.count("script") == 1  # its own
    assert "img" not in told.tags
    assert hostile in told.text
    assert "./" + hostile in told.links


def test_everything_it_loads_is_its_own_and_nothing_inline_is_allowed() -> None:
    application = app(Provider(snapshot()))
    reply = get(application)
    assert Page(reply.text).external == ["./favicon.ico", "./status.css", "./status.js"]
    for address in Page(reply.text).external:
        assert get(application, address[1:]).status == 200
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("style", "script", "connect", "img")} == {"'self'"}
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert not re.search(r"<style|<script>|\sstyle=|\son\w+=", reply.text)
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("root_path", "root"), [("", "."), ("/observe", "/observe")])
def test_its_addresses_hold_below_a_prefix(root_path: str, root: str) -> None:
    shown = Page(get(app(Provider(snapshot())), f"{root_path}/", root_path=root_path).text)
    assert all(address.startswith(f"{root}/") for address in (*shown.external, *shown.links[1:]))


def test_it_says_what_leaves_the_building_by_party() -> None:
    words = page().text
    section = words.partition("What leaves the building")[2]
    assert "By ff-observe: " in section
    assert "FlowFuse's own usage ping ping.flowforge.com:443" in section
    assert "To stop it: telemetry.enabled: false without a licence" in section


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("flowfuse_database_size_bytes", 1023, "1\u202f023 bytes"),
        ("flowfuse_database_size_bytes", 1024, "1.0 KiB"),
        ("flowfuse_database_disk_free_bytes", 60_299_608_064, "56.2 GiB"),
        ("flowfuse_database_disk_free_bytes", 2**55, "32\u202f768.0 TiB"),
        ("flowfuse_database_disk_free_bytes", 0, "0 bytes"),
        ("flowfuse_personal_access_token_expiry_timestamp_seconds", 1_798_027_351, "2026-12-23"),
        ("flowfuse_personal_access_token_expiry_timestamp_seconds", 2**43, "after 9999"),
        ("flowfuse_sessions", 60_299, "60\u202f299"),
    ],
)
def test_a_figure_has_the_unit_of_its_metric(name: str, value: float, words: str) -> None:
    taken = snapshot()
    read = replace(taken, readings={**taken.readings, name: {(): value}})
    assert words in page(app(Provider(read))).words
