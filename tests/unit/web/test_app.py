"""The ASGI application: what each path answers, and that the database is asked once however many wait."""

import asyncio
import gzip
import re
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.catalogue.bridge import PINGS
from ff_observe.config.settings import PrometheusSettings
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.web.app import answer_within_seconds
from tests.pace import within
from tests.unit.web.asgi import Reply, ask, get
from tests.unit.web.platforms import Provider, app, snapshot


def test_metrics_are_served_as_text_by_default() -> None:
    reply = get(app(Provider(snapshot())), "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.headers["cache-control"] == "no-store"
    assert "flowfuse_users 7.0\n" in reply.text


def test_openmetrics_is_served_where_it_is_asked_for() -> None:
    reply = get(app(Provider(snapshot())), "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert reply.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert reply.text.endswith("# EOF\n")


@given(accept=st.text(st.characters(max_codepoint=255), max_size=80))
def test_the_content_type_is_never_blank_whatever_is_asked_for(accept: str) -> None:
    reply = get(app(Provider(snapshot())), "/metrics", accept=accept)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith(("text/plain; version=", "application/openmetrics-text; version="))


def test_the_compressed_form_holds_the_same() -> None:
    application = app(Provider(snapshot()))
    plain, compressed = get(application, "/metrics"), get(application, "/metrics", accept_encoding="gzip")
    assert compressed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(compressed.body) == plain.body
    assert len(compressed.body) < len(plain.body)


def test_two_scrapes_of_one_snapshot_get_the_same_bytes() -> None:
    application = app(Provider(snapshot()))
    assert get(application, "/metrics").body is get(application, "/metrics", accept="*/*").body


def test_a_new_snapshot_is_shown_at_once() -> None:
    provider = Provider(snapshot())
    application = app(provider)
    assert "flowfuse_users 7.0\n" in get(application, "/metrics").text
    provider.now = snapshot({"flowfuse_users": {(): 8}})
    assert "flowfuse_users 8.0\n" in get(application, "/metrics").text


def test_a_change_of_the_bridges_own_metrics_is_shown_at_once() -> None:
    self_metrics = SelfMetrics()
    application = app(Provider(snapshot()), self_metrics=self_metrics)
    assert 'ff_observe_pings_total{outcome="delivered"} 0.0\n' in get(application, "/metrics").text
    self_metrics.add(PINGS, "delivered")
    assert 'ff_observe_pings_total{outcome="delivered"} 1.0\n' in get(application, "/metrics").text


def test_metrics_are_off_unless_enabled_and_say_how_to_turn_them_on() -> None:
    reply = get(app(Provider(snapshot()), PrometheusSettings()), "/metrics")
    assert reply.status == 404
    assert "set telemetry.backend.prometheus.bridge_enabled: true" in reply.text
    assert "enabled: true there, which opens FlowFuse's own /metrics too" in reply.text


def test_metrics_are_served_at_the_path_that_is_set() -> None:
    application = app(Provider(snapshot()), PrometheusSettings(enabled=True, path="/private/flowfuse"))
    assert get(application, "/private/flowfuse").status == 200
    assert get(application, "/metrics").status == 404


def test_healthy_is_answered_without_the_database() -> None:
    provider = Provider()
    assert get(app(provider), "/-/healthy").status == 200
    assert provider.asked == 0


@pytest.mark.parametrize(("up", "status"), [(True, 200), (False, 503)])
def test_ready_tells_whether_the_platform_could_be_read(up: bool, status: int) -> None:
    assert get(app(Provider(snapshot(up=up))), "/-/ready").status == status


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "//metrics", "", "/../etc/passwd", "/Metrics"])
def test_an_unknown_path_is_not_found(path: str) -> None:
    reply = get(app(Provider(snapshot())), path)
    assert reply.status == 404
    assert "/metrics" in reply.text


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_refused_with_those_allowed(path: str, method: str) -> None:
    reply = get(app(Provider(snapshot())), path, method=method)
    assert reply.status == 405
    assert reply.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/nothing"])
def test_head_answers_as_get_without_the_body(path: str) -> None:
    application = app(Provider(snapshot()))
    head, whole = get(application, path, method="HEAD"), get(application, path)
    assert (head.status, head.headers, head.body) == (whole.status, whole.headers, b"")


def test_browsers_find_an_icon() -> None:
    reply = get(app(Provider(snapshot())), "/favicon.ico")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/svg+xml")


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/nothing"])
def test_every_answer_forbids_sniffing_and_referring(path: str) -> None:
    headers = get(app(Provider(snapshot())), path).headers
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_links_lead_on_behind_a_prefix_that_a_proxy_takes_away() -> None:
    links = re.findall(r'href="([^"]+)"', get(app(Provider(snapshot())), "/").text)
    ours = [urljoin("https://example.com/observe/", link) for link in links if link.startswith((".", "/"))]
    assert "https://example.com/observe/metrics" in ours
    assert all(link.startswith("https://example.com/observe/") for link in ours)


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_what_is_answered_at_once_is_what_would_be_answered(path: str, method: str) -> None:
    application = app(Provider(snapshot()))
    now = application.answer_now({"type": "http", "method": method, "path": path, "headers": []})
    then = get(application, path, method=method)
    assert now is None or (now.status, dict(now.headers)) == (
        then.status,
        {name.encode(): value.encode() for name, value in then.headers.items()},
    )
    assert (now is None) == (path in ("/", "/-/ready") and method != "POST")


def test_it_works_below_a_path_it_is_mounted_at() -> None:
    application = app(Provider(snapshot()))
    assert get(application, "/observe/metrics", root_path="/observe").status == 200
    assert get(application, "/observe", root_path="/observe").status == 200
    assert 'href="/observe/metrics"' in get(application, "/observe/", root_path="/observe").text


def scrape_together(provider: Provider, scrapes: int, **headers: str) -> list[Reply]:
    async def together() -> list[Reply]:
        application = app(provider)
        waiting = [asyncio.create_task(ask(application, "/metrics", **headers)) for _ in range(scrapes)]
        await asyncio.sleep(0)
        provider.release()
        return await asyncio.gather(*waiting)

    return asyncio.run(together())


def test_scrapes_that_wait_share_one_reading_of_the_database() -> None:
    provider = Provider()
    replies = scrape_together(provider, 50)
    assert {reply.status for reply in replies} == {200}
    assert all("flowfuse_users 7.0\n" in reply.text for reply in replies)
    assert provider.asked == 1


def test_a_scrape_is_answered_in_time_with_up_0_if_the_database_hangs() -> None:
    provider = Provider()
    with within(1):
        reply = get(app(provider), "/metrics", x_prometheus_scrape_timeout_seconds="1")
    provider.release()
    assert reply.status == 200
    assert "flowfuse_up 0.0\n" in reply.text
    assert 'flowfuse_platform_info{driver="docker"' in reply.text
    assert "flowfuse_users" not in reply.text


def test_a_scrape_that_gave_up_leaves_the_answer_to_those_who_still_wait() -> None:
    provider = Provider()

    async def both() -> tuple[Reply, Reply]:
        application = app(provider)
        patient = asyncio.create_task(ask(application, "/metrics", x_prometheus_scrape_timeout_seconds="20"))
        hasty = await ask(application, "/metrics", x_prometheus_scrape_timeout_seconds="0.02")
        provider.release()
        return hasty, await patient

    hasty, patient = asyncio.run(both())
    assert "flowfuse_up 0.0\n" in hasty.text
    assert "flowfuse_up 1.0\n" in patient.text
    assert provider.asked == 1


def test_after_an_outage_the_database_is_asked_again() -> None:
    provider = Provider(later=snapshot({"flowfuse_up": {(): 0.0}}, up=False))
    provider.release()
    application = app(provider)
    assert "flowfuse_up 0.0\n" in get(application, "/metrics").text
    provider.later = snapshot()
    assert "flowfuse_up 1.0\n" in get(application, "/metrics").text


def test_an_error_while_reading_is_logged_and_answered_with_up_0(caplog: pytest.LogCaptureFixture) -> None:
    reply = get(app(Provider(error=RuntimeError("planted"))), "/metrics")
    assert reply.status == 200
    assert "flowfuse_up 0.0\n" in reply.text
    assert "planted" in caplog.text


def test_a_stopping_server_answers_those_who_wait() -> None:
    provider = Provider()

    async def stopped() -> Reply:
        application = app(provider)
        waiting = asyncio.create_task(ask(application, "/metrics"))
        await asyncio.sleep(0)
        application.stop_waiting()
        return await waiting

    assert "flowfuse_up 0.0\n" in asyncio.run(stopped()).text
    provider.release()


@pytest.mark.parametrize(
    ("announced", "seconds"),
    [(b"10", 9.5), (b"15.0", 14.5), (b"0.4", 0.2), *((each, 9.5) for each in (b"", b"soon", b"-1", b"nan", b"1e9"))],
)
def test_a_scrape_waits_less_than_the_timeout_it_announces(announced: bytes, seconds: float) -> None:
    assert answer_within_seconds(announced) == pytest.approx(seconds)


def test_lifespan_is_acknowledged() -> None:
    incoming = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def converse() -> None:
        async def receive() -> dict[str, str]:
            return {"type": next(incoming)}

        async def send(message: object) -> None:
            assert isinstance(message, dict)
            sent.append(message["type"])

        await app(Provider())({"type": "lifespan"}, receive, send)

    asyncio.run(converse())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
