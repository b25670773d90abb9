"""Hostile values rendered into a page and read back by a real browser: nothing is added, nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

from ff_observe.config.settings import FrontendSentrySettings, FrontendSettings, PlausibleSettings, PostHogSettings
from ff_observe.frontend import csp_sources, merge_csp, render_page, snippets
from tests.frontend_commands import Platform
from tests.real_parts import browser as real_browser
from tests.real_parts.internet import Answer, Internet, internet
from tests.unit.frontend.hostile import EVERYTHING, FRAGMENTS, VALUES

HOST = "page.example.test"
TEXT = "<!doctype html><html><head><title>t</title></head><body><p>text</p></body></html>"

# Strings come back as UTF-16 code units in hexadecimal: what carries them to Python would change lone surrogates.
READ_BACK = """() => {
  const unit = (text, index) => text.charCodeAt(index).toString(16).padStart(4, "0");
  const units = (text) => Array.from({length: text.length}, (_, index) => unit(text, index)).join("");
  const [key, options] = posthog._i[0];
  return {
    values: [key, options.api_host, sentryConfig.dsn, sentryConfig.environment, sentryConfig.version,
             document.querySelector("script[data-domain]").dataset.domain].map(units),
    keys: [Object.keys(options), Object.keys(sentryConfig)],
    ours: Array.from(document.querySelectorAll("script[data-ff-observe]"), (script) => script.dataset.ffObserve),
    scripts: document.scripts.length,
    elements: Array.from(document.body.children, (element) => element.tagName),
    text: document.body.textContent,
  };
}"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    with internet(tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture(scope="module")
def page(web: Internet) -> Iterator[Page]:
    with (
        real_browser.browser({"*:443": web.address}) as launched,
        real_browser.visitor(launched) as visitor,
    ):
        yield visitor.new_page()


def units(text: str) -> str:
    return text.encode("utf-16-be", "surrogatepass").hex()


@given(values=st.tuples(*[VALUES] * 6))
@example(values=(EVERYTHING,) * 6)
@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would load hundreds of pages
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_browser_reads_back_what_was_configured(web: Internet, page: Page, values: tuple[str, ...]) -> None:
    key, url, dsn, environment, version, domain = values
    configured = FrontendSettings(PostHogSettings(key, url), FrontendSentrySettings(dsn), PlausibleSettings(domain))
    scripts = snippets(configured, environment, version)
    rendered = render_page(TEXT.encode(), scripts)
    # The addresses may be no URLs, so the policy names the scripts alone: it is in force, and lets just them run.
    policy = merge_csp("default-src 'none'", csp_sources(FrontendSettings(), scripts))
    web.sites[HOST] = lambda request: Answer(rendered, "text/html", (("content-security-policy", policy),))
    page.goto(f"https://{HOST}/")
    read = page.evaluate(READ_BACK)
    assert read["values"] == [units(value) for value in (key, url, dsn, environment, version, domain)]
    assert read["keys"] == [["api_host", "capture_pageview"], ["dsn", "production_mode", "version", "environment"]]
    assert read["ours"] == ["sentry", "posthog", "plausible"]
    assert read["scripts"] == 5, "three of ours, and the two they add"
    assert (read["elements"], read["text"]) == (["P"], "text")


@pytest.mark.parametrize("consent", ["required", "not-required"])
def test_hostile_values_of_the_file_reach_the_browser_by_the_commands(
    web: Internet, page: Page, tmp_path: Path, consent: str
) -> None:
    text = "".join(part for part in FRAGMENTS if part not in ("\ud800", "\udc00"))  # no YAML holds half a character
    environment = text.replace("\0", "")  # nor an environment a NUL, or 128 kB
    frontend: dict[str, Any] = {
        "posthog": {"apikey": text, "apiurl": "https://posthog.test/'\"</script><!--$&/`"},
        "sentry": {"dsn": "https://key@sentry.test/'</script>/4"},
        "plausible": {"domain": text},
        "consent": consent,
    }
    platform = Platform(tmp_path / "home", frontend, version=text, SENTRY_ENV=environment[-100_000:])
    rendered, policy = platform.render(TEXT.encode()), platform.csp("default-src 'none'")
    web.sites[HOST] = lambda request: Answer(rendered, "text/html", (("content-security-policy", policy),))
    page.goto(f"https://{HOST}/")
    page.evaluate("window.ffObserve?.consent()")
    read = page.evaluate(READ_BACK)
    # Sentry refuses slashes and control characters, and more than 64 or 250 bytes: these two arrive without, and the
    # version with its first 100 bytes.
    expected = (text, frontend["posthog"]["apiurl"], frontend["sentry"]["dsn"], "x" * 64)
    release = (
        "flowfuse@<-script><-SCRIPT ><!----><script><!--<script>--!><![CDATA[]]>{{x}}${x}$&$1-'\"`\u2028\u2029-"
        "\x85\ufeff\ufffe&lt;&a"
    )
    assert len(release.encode()) == len("flowfuse@") + 100
    assert read["values"] == [units(value) for value in (*expected, release, text)]
    assert read["ours"] == [*(["consent"] if consent == "required" else []), "sentry", "posthog", "plausible"]
    assert (read["elements"], read["text"]) == (["P"], "text")
