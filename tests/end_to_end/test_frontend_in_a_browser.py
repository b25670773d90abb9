"""Pages rendered by ours in real Chromium, with the real browser libraries and services played on loopback."""

import contextlib
import html
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ff_observe.config.settings import FrontendSentrySettings, FrontendSettings, PlausibleSettings, PostHogSettings
from ff_observe.frontend import FrontendTelemetryMiddleware, format_policy, merge_csp, render_page, snippets
from tests.frontend_commands import RELEASE, Platform
from tests.real_parts import browser as real_browser
from tests.real_parts.internet import Answer, Internet, internet
from tests.real_parts.processes import free_port, wait_until
from tests.real_parts.telemetry_services import BUNDLE_HOST, EU_SENTRY, POSTHOG_CLOUDS, captured, play, wait_for_event
from tests.recordings import Case, frontends
from tests.unit.frontend.policy_oracle import parse

HOST = "page.example.test"
EU_DSN = f"https://publickey@{EU_SENTRY}/7"
ALL = {
    "posthog": {"apikey": "phc_key"},
    "sentry": {"dsn": EU_DSN},
    "plausible": {"domain": "page.example.test"},
}
SETTINGS = FrontendSettings(
    PostHogSettings("phc_key"), FrontendSentrySettings(EU_DSN), PlausibleSettings("page.example.test")
)
BUNDLE = f'<script src="https://{BUNDLE_HOST}/" nonce="abc"></script>'


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    libraries = real_browser.libraries()
    if libraries is None:
        pytest.skip("needs libraries of npm: apt-get install npm; python -m tests.real_parts.browser")
    directory = tmp_path_factory.mktemp("web")
    with internet(directory) as running:
        play(running, libraries, directory)
        yield running


@pytest.fixture(scope="module")
def chromium(web: Internet) -> Iterator[Browser]:
    with real_browser.browser({"*:443": web.address}) as launched:
        yield launched


@pytest.fixture
def visitor(web: Internet, chromium: Browser) -> Iterator[BrowserContext]:
    name = f"visitor-{uuid.uuid4()}"
    web.welcome(name)
    with real_browser.visitor(chromium, name) as context:
        yield context


def page_with(head: str = "") -> bytes:
    """A page of its own: `head` is more in its body, after where the snippets come."""
    icon = '<link rel="icon" href="data:,">'
    return f"<!doctype html><html><head>{icon}<title>t</title></head><body><h1>hello</h1>{head}</body></html>".encode()


def visit(web: Internet, visitor: BrowserContext, page: bytes, headers: Mapping[str, str] | None = None) -> Page:
    """Opens the page, and keeps what a policy blocks in `window.blocked`."""
    web.sites[HOST] = lambda request: (
        Answer(page, "text/html", tuple((headers or {}).items())) if request.path == "/" else None
    )
    opened = visitor.new_page()
    opened.add_init_script(
        "window.blocked = []; document.addEventListener('securitypolicyviolation',"
        " (event) => window.blocked.push(event.effectiveDirective + ' ' + event.blockedURI))"
    )
    opened.goto(f"https://{HOST}/")
    return opened


@pytest.mark.parametrize("apiurl", POSTHOG_CLOUDS)
def test_a_pageview_arrives_at_the_host_that_is_configured(
    web: Internet, visitor: BrowserContext, tmp_path: Path, apiurl: str
) -> None:
    events, assets = POSTHOG_CLOUDS[apiurl]
    platform = Platform(tmp_path / "home", {"posthog": {"apikey": "phc_key", "apiurl": apiurl}})
    visit(web, visitor, platform.render(page_with()))
    wait_for_event(web, events, "$pageview")
    assert any("/static/array.js" in request.path for request in web.to(assets))
    assert {request.host for request in web.requests} <= {HOST, events, assets}


def test_no_pageview_is_sent_when_capture_pageview_is_false(
    web: Internet, visitor: BrowserContext, tmp_path: Path
) -> None:
    platform = Platform(tmp_path / "home", {"posthog": {"apikey": "phc_key", "capture_pageview": False}})
    opened = visit(web, visitor, platform.render(page_with()))
    opened.wait_for_function("window.posthog.__loaded")
    opened.evaluate("posthog.capture('probe')")
    wait_for_event(web, "us.i.posthog.com", "probe")
    assert "$pageview" not in captured(web, "us.i.posthog.com")


def test_calls_of_the_page_before_the_library_is_there_are_not_lost(
    web: Internet, visitor: BrowserContext, tmp_path: Path
) -> None:
    early = (
        "<script>posthog.capture('early'); posthog.people.set({plan: 'x'}); posthog.register({from: 'page'})</script>"
    )
    platform = Platform(tmp_path / "home", {"posthog": ALL["posthog"]})
    opened = visit(web, visitor, platform.render(page_with(early)))
    wait_for_event(web, "us.i.posthog.com", "early")
    wait_for_event(web, "us.i.posthog.com", "$set")
    assert opened.evaluate("posthog.get_property('from')") == "page"


def test_sentry_reports_what_the_page_configures(web: Internet, visitor: BrowserContext, tmp_path: Path) -> None:
    frontend = {"sentry": {"dsn": EU_DSN, "production_mode": True}}
    platform = Platform(tmp_path / "home", frontend, SENTRY_ENV="staging", NODE_ENV="production")
    opened = visit(web, visitor, platform.render(page_with(BUNDLE)))
    assert opened.evaluate("window.sentryConfig") == {
        "dsn": EU_DSN,
        "production_mode": True,
        "version": RELEASE,
        "environment": "staging",
    }
    opened.evaluate("setTimeout(() => { throw new Error('planted') })")
    envelope = web.wait_for(
        lambda request: request.host == EU_SENTRY and b"planted" in request.body, "the error at Sentry"
    )
    event = next(
        json.loads(line) for line in envelope.body.splitlines() if b'"exception"' in line and line.startswith(b"{")
    )
    assert (event["release"], event["environment"]) == (RELEASE, "staging")


@pytest.mark.parametrize(
    ("variables", "environment"),
    [({"NODE_ENV": "production"}, "production"), ({"SENTRY_ENV": "", "NODE_ENV": "ci"}, "ci"), ({}, "unknown")],
)
def test_the_environment_is_that_of_sentry_else_of_node(
    web: Internet, visitor: BrowserContext, tmp_path: Path, variables: dict[str, str], environment: str
) -> None:
    platform = Platform(tmp_path / "home", {"sentry": ALL["sentry"]}, **variables)
    opened = visit(web, visitor, platform.render(page_with()))
    assert opened.evaluate("[sentryConfig.environment, sentryConfig.production_mode]") == [environment, False]


def test_plausible_is_told_of_the_view_under_its_domain(web: Internet, visitor: BrowserContext, tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home", {"plausible": {"domain": "a.example.test"}})
    visit(web, visitor, platform.render(page_with()))
    event = web.wait_for(
        lambda request: request.method == "POST" and request.host == "plausible.io", "the event"
    ).json()
    assert (event["n"], event["d"]) == ("pageview", "a.example.test")


def test_nothing_leaves_and_nothing_is_configured_before_consent(
    web: Internet, visitor: BrowserContext, tmp_path: Path
) -> None:
    platform = Platform(tmp_path / "home", {**ALL, "consent": "required"})
    opened = visit(web, visitor, platform.render(page_with(BUNDLE)))
    opened.evaluate("setTimeout(() => { throw new Error('before consent') })")
    opened.wait_for_load_state("networkidle")
    assert {request.host for request in web.requests} == {HOST, BUNDLE_HOST}
    assert opened.evaluate("[typeof posthog, typeof sentryConfig, document.cookie, localStorage.length]") == [
        *("undefined", "undefined", "", 0)
    ]
    opened.evaluate("ffObserve.onConsent(startSentry)")
    opened.evaluate("ffObserve.consent()")
    wait_for_event(web, "us.i.posthog.com", "$pageview")
    web.wait_for(lambda request: request.method == "POST" and request.host == "plausible.io", "Plausible's event")
    opened.evaluate("setTimeout(() => { throw new Error('after consent') })")
    web.wait_for(lambda request: b"after consent" in request.body, "the error at Sentry")
    assert not [request for request in web.requests if b"before consent" in request.body]


def test_a_page_that_knows_of_consent_is_not_held(web: Internet, visitor: BrowserContext, tmp_path: Path) -> None:
    page = Platform(tmp_path / "home", {"sentry": ALL["sentry"], "consent": "required"}).render(page_with())
    known = page.replace(b"<title>", b"<script>window.ffObserve = {consented: true}</script><title>")
    opened = visit(web, visitor, known)
    assert opened.evaluate("[sentryConfig.dsn, ffObserve.consented]") == [EU_DSN, True]


@pytest.mark.parametrize("consent", ["not-required", "required"])
@pytest.mark.parametrize(
    "policy",
    [
        "default-src 'none'; report-uri /csp",
        "default-src 'self'; script-src 'self' https://bundle.example.test",
        "default-src 'none'; script-src 'none'; connect-src 'none'; worker-src 'none'",
        "script-src 'strict-dynamic' 'nonce-abc'",
        "default-src 'self' 'unsafe-inline'; object-src 'none'",
    ],
)
def test_under_the_merged_policy_everything_runs_and_nothing_is_blocked(
    web: Internet, visitor: BrowserContext, tmp_path: Path, policy: str, consent: str
) -> None:
    platform = Platform(tmp_path / "home", {**ALL, "consent": consent})
    # The bundle is the page's own: where the policy does not allow its host, it has to allow the bundle itself.
    merged = merge_csp(platform.csp(policy), {"script-src": ("https://bundle.example.test",)}) + "; img-src data:"
    opened = visit(web, visitor, platform.render(page_with(BUNDLE)), {"content-security-policy": merged})
    if consent == "required":
        opened.evaluate("ffObserve.consent(); startSentry()")
    wait_for_event(web, "us.i.posthog.com", "$pageview")
    web.wait_for(lambda request: request.method == "POST" and request.host == "plausible.io", "Plausible's event")
    opened.evaluate("setTimeout(() => { throw new Error('planted') })")
    web.wait_for(lambda request: b"planted" in request.body, "the error at Sentry")
    opened.evaluate("flushReplay()")
    web.wait_for(lambda request: b"replay_event" in request.body, "the replay at Sentry")
    assert opened.evaluate("window.blocked") == []


def test_under_the_merged_policy_posthog_may_record_all_that_a_project_can_turn_on(
    web: Internet, visitor: BrowserContext, tmp_path: Path
) -> None:
    """Canvases are encoded in a worker, and turned on at PostHog: no setting of the page tells of it."""
    platform = Platform(tmp_path / "home", {"posthog": {"apikey": "phc_recorded"}})
    policy = platform.csp("default-src 'none'; img-src data:")
    page = platform.render(page_with("<canvas id=canvas></canvas>"))
    opened = visit(web, visitor, page, {"content-security-policy": policy})
    with opened.expect_worker():
        opened.evaluate("canvas.getContext('2d').fillRect(0, 0, 9, 9)")
    opened.click("h1")  # of a visitor who does nothing, nothing is sent
    web.wait_for(lambda request: request.path.startswith("/s/"), "the recording at PostHog")
    assert opened.evaluate("window.blocked") == []


def test_none_of_the_sources_can_be_spared(web: Internet, chromium: Browser, tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home", {**ALL, "posthog": {"apikey": "phc_recorded"}})
    page = platform.render(page_with(BUNDLE + "<canvas id=canvas></canvas>"))
    needed = parse(platform.csp("script-src 'none'; connect-src 'none'; worker-src 'none'"))
    assert {directive: len(sources) for directive, sources in needed.items()} == {
        "script-src": 5,  # two hosts, three snippets
        "connect-src": 4,
        "worker-src": 1,
    }
    for directive, source in [(directive, source) for directive, sources in needed.items() for source in sources]:
        without = {
            name: [one for one in sources if (name, one) != (directive, source)] for name, sources in needed.items()
        }
        policy = merge_csp(format_policy(without), {"script-src": (f"https://{BUNDLE_HOST}",)})
        blocked = "inline" if source.startswith("'sha256-") else source.removesuffix(":")
        with real_browser.visitor(chromium) as visitor:
            opened = visit(web, visitor, page, {"content-security-policy": policy})
            opened.evaluate("setTimeout(() => { throw new Error('planted') })")
            opened.wait_for_function(
                "([kind, what]) => blocked.some((it) => it.startsWith(kind) && it.split(' ')[1].startsWith(what))",
                arg=[directive, blocked],
            )


def test_the_policy_is_in_force(web: Internet, visitor: BrowserContext, tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home", ALL)
    page = platform.render(page_with("<script>window.planted = 1</script>"))
    opened = visit(web, visitor, page, {"content-security-policy": platform.csp("default-src 'none'")})
    assert opened.evaluate("[typeof planted, typeof sentryConfig]") == ["undefined", "object"]
    assert "script-src-elem inline" in opened.evaluate("window.blocked")


@pytest.mark.parametrize(
    "served", [case for case in frontends() if case.name.endswith("-all")], ids=lambda case: case.id
)
def test_under_the_policy_flowfuse_sends_an_eu_dsn_is_blocked_and_under_ours_it_is_not(
    web: Internet, visitor: BrowserContext, tmp_path: Path, served: Case
) -> None:
    sent = served.home / "csp.txt"
    policy = sent.read_text().split(": ", 1)[1].strip().replace("'self'", "'self' https://bundle.example.test")
    platform = Platform(tmp_path / "home", {"sentry": ALL["sentry"]})
    page = platform.render(page_with(BUNDLE))
    opened = visit(web, visitor, page, {"content-security-policy": policy})
    opened.evaluate("setTimeout(() => { throw new Error('planted') })")
    opened.wait_for_function("window.blocked.length")
    assert opened.evaluate("window.blocked")[0].startswith("connect-src https://o1.ingest.de.sentry.io/")
    assert not web.to(EU_SENTRY)

    opened = visit(web, visitor, page, {"content-security-policy": platform.csp(policy)})
    opened.evaluate("setTimeout(() => { throw new Error('planted') })")
    web.wait_for(lambda request: b"planted" in request.body, "the error at Sentry")
    assert opened.evaluate("window.blocked") == []


def test_the_policy_in_the_page_itself_is_widened_too(web: Internet, visitor: BrowserContext, tmp_path: Path) -> None:
    policy = html.escape("default-src 'self'; connect-src 'none'")
    page = f'<!doctype html><head><meta http-equiv="Content-Security-Policy" content="{policy}"></head>hello'
    platform = Platform(tmp_path / "home", {"posthog": ALL["posthog"]})
    opened = visit(web, visitor, platform.render(page.encode()))
    wait_for_event(web, "us.i.posthog.com", "$pageview")
    assert opened.evaluate("window.blocked") == []


def test_with_a_nonce_a_policy_that_names_nothing_else_lets_the_libraries_load(
    web: Internet, visitor: BrowserContext
) -> None:
    settings = FrontendSettings(posthog=SETTINGS.posthog, plausible=SETTINGS.plausible)
    page = render_page(b"<head></head>", snippets(settings, "test", None, nonce="abc"))
    opened = visit(web, visitor, page, {"content-security-policy": "script-src 'nonce-abc'"})
    opened.wait_for_function("() => window.posthog.__loaded")
    web.wait_for(lambda request: request.method == "POST" and request.host == "plausible.io", "Plausible's event")


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """A real server for an ASGI application; gives its address."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        wait_until(lambda: server.started, "uvicorn to be ready")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("nonce", [False, True])
def test_a_python_application_serves_pages_that_run_under_its_own_policy(visitor: BrowserContext, nonce: bool) -> None:
    async def page(request: HttpRequest) -> Response:
        own = request.scope.get("ff_observe.csp_nonce", "static")
        text = f"<head><title>t</title></head><script nonce='{own}'>window.own = 1</script>" + "text" * 10_000
        return HTMLResponse(text, headers={"content-security-policy": "default-src 'none'; script-src 'nonce-static'"})

    app = FrontendTelemetryMiddleware(Starlette(routes=[Route("/", page)]), SETTINGS, "test", "shop@1", nonce=nonce)
    with serving(GZipMiddleware(app)) as address:
        opened = visitor.new_page()
        blocked: list[str] = []
        opened.on("console", lambda message: blocked.append(message.text))
        opened.goto(address)
        assert opened.evaluate("[window.own, sentryConfig.version]") == [1, "shop@1"]
        opened.wait_for_function("window.posthog.__loaded")
        opened.close()
    assert not [text for text in blocked if "Content Security Policy" in text]
