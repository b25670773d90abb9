"""The landing page: what it tells, and that nothing in it can become markup or reach outside."""

import base64
import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from ff_observe.config.explain import OutputStatus
from ff_observe.config.settings import PrometheusSettings
from ff_observe.sources.model import Licence
from ff_observe.version import VERSION
from ff_observe.web.app import BridgeApp
from tests.unit.web.asgi import get
from tests.unit.web.platforms import Provider, app, snapshot

VOID = {"meta", "link", "wbr", "rect", "path"}


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
    assert "The database answers" in text
    assert "2026-11-23 12:00:17 UTC" in text


def test_it_tells_each_output_with_its_reason() -> None:
    text = page().text
    assert re.search(r"on\s*Prometheus\s*telemetry.backend.prometheus.enabled is true", text)
    assert re.search(r"off\s*Backend Sentry\s*no <dsn> & no more", text)


@pytest.mark.parametrize(("allowed", "words"), [(True, "is sent"), (False, "is not sent")])
def test_it_tells_whether_the_ping_is_sent_and_why(allowed: bool, words: str) -> None:
    told = page(app(Provider(snapshot()), ping=OutputStatus("Core ping", allowed, "because of this"))).text
    assert f"The usage ping {words}." in told
    assert "Because of this" in told


def test_what_a_reason_quotes_is_shown_as_code() -> None:
    html = get(app(Provider(snapshot()), ping=OutputStatus("Core ping", False, "write `telemetry.enabled: <b>`"))).text
    assert "Write <code>telemetry.enabled: &lt;b&gt;</code>" in html


def test_a_dead_database_is_told() -> None:
    text = page(app(Provider(snapshot({}, up=False)))).text
    assert "The database does not answer" in text
    assert re.search(r"Licence\s*unknown", text)


def test_failed_readings_are_told() -> None:
    assert "2 of its readings failed" in page(app(Provider(snapshot(failures={"a": "x", "b": "y"})))).text


def test_a_licence_is_told_with_type_tier_and_end() -> None:
    licence = Licence("planted-id", "EE", "enterprise", datetime(2027, 3, 1, tzinfo=UTC))
    text = page(app(Provider(snapshot(licence=licence)))).text
    assert "EE · enterprise · until 2027-03-01" in text
    assert "planted-id" not in text


def test_a_licence_that_was_not_accepted_is_told_with_the_reason() -> None:
    assert "none: it expired" in page(app(Provider(snapshot(licence_problem="it expired")))).text


def test_links_lead_to_metrics_and_probes() -> None:
    links = page().links
    assert links[:3] == ["/metrics", "/-/healthy", "/-/ready"]


def test_metrics_are_not_linked_where_they_are_off() -> None:
    assert "/metrics" not in page(app(Provider(snapshot()), PrometheusSettings())).links


def test_values_cannot_become_markup() -> None:
    hostile = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    application = app(
        Provider(snapshot(licence=Licence("", hostile, hostile, None), licence_problem=hostile)),
        PrometheusSettings(enabled=True, path="/" + hostile),
        ping=OutputStatus(hostile, True, hostile),
    )
    told = page(application)
    assert not {"script", "img"} & set(told.tags)
    assert hostile in told.text
    assert "/" + hostile in told.links


def test_nothing_is_loaded_from_anywhere_and_no_script_is_allowed() -> None:
    reply = get(app(Provider(snapshot())))
    assert all(address.startswith("data:") for address in Page(reply.text).external)
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert "script-src" not in policy
    style = re.search(r"<style>(.*?)</style>", reply.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy["style-src"] == f"'sha256-{digest}'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "no-store"
