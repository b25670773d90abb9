"""Whatever a value is, it stays a value."""

import base64
import hashlib
import html.parser
import json

import pytest
from hypothesis import given, settings

from ff_observe.config.settings import FrontendSentrySettings, FrontendSettings, PlausibleSettings, PostHogSettings
from ff_observe.errors import ConfigurationError, UsageError
from ff_observe.frontend import Script, csp_sources, deprecations, render_page, snippets
from ff_observe.frontend.scripts import javascript
from tests.unit.frontend.hostile import VALUES

PAGE = b"<!doctype html><html><head><title>t</title></head><body><p>text</p></body></html>"


class Elements(html.parser.HTMLParser):
    """Scripts with their text, and the text outside of scripts, as Python's own parser sees them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: list[str] = []
        self.text = ""
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data


def configured(value: str, *, consent: bool = False) -> FrontendSettings:
    return FrontendSettings(
        PostHogSettings(value, value), FrontendSentrySettings(value), PlausibleSettings(value), consent_required=consent
    )


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_no_value_adds_markup_to_a_page(value: str) -> None:
    for consent in (False, True):
        scripts = snippets(configured(value, consent=consent), value, value)
        parser = Elements()
        parser.feed(render_page(PAGE, scripts).decode("ascii"))
        assert parser.scripts == [script.body for script in scripts]
        assert parser.text == "ttext"
        assert not {"<", "&"} & set("".join(parser.scripts))


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_a_value_written_as_javascript_reads_back_as_itself(value: str) -> None:
    written = javascript(value)
    assert _utf_16(json.loads(written)) == _utf_16(value)
    assert written.isascii()
    assert not {"<", ">", "&"} & set(written)


def _utf_16(text: str) -> bytes:
    """A string of JavaScript, in which two surrogates that stand together are one character."""
    return text.encode("utf-16-be", "surrogatepass")


@given(VALUES)
@settings(deadline=None)
def test_no_value_gets_into_a_policy(value: str) -> None:
    try:
        sources = csp_sources(configured(value))
    except ConfigurationError:
        return
    for listed in sources.values():
        assert not any(set(source) & set(' ;,\r\n\0"<>') for source in listed)


def test_the_scripts_are_those_of_the_configured_services_in_order() -> None:
    assert snippets(FrontendSettings(), "test", None) == ()
    assert snippets(FrontendSettings(consent_required=True), "test", None) == ()
    names = [script.name for script in snippets(configured("x", consent=True), "test", None)]
    assert names == ["consent", "sentry", "posthog", "plausible"]


def test_the_hash_of_a_script_is_that_of_its_text() -> None:
    script = Script("sentry", "let a = 1;")
    digest = base64.b64encode(hashlib.sha256(b"let a = 1;").digest()).decode()
    assert script.csp_source == f"'sha256-{digest}'"
    assert script.element == '<script data-ff-observe="sentry">let a = 1;</script>'


def test_with_a_nonce_the_nonce_is_listed_once_and_no_hash() -> None:
    settings = FrontendSettings(PostHogSettings("k"), FrontendSentrySettings("https://k@s.test/1"))
    scripts = snippets(settings, "test", None, nonce="abc_-123==")
    assert scripts[0].element.startswith('<script data-ff-observe="sentry" nonce="abc_-123==">')
    assert csp_sources(settings, scripts)["script-src"] == ("https://us-assets.i.posthog.com", "'nonce-abc_-123=='")


@pytest.mark.parametrize("nonce", ["", "a b", 'a"b', "a'b", "a;b", "a=b", "é"])
def test_a_nonce_that_is_none_is_refused(nonce: str) -> None:
    with pytest.raises(UsageError, match="nonce"):
        _ = Script("sentry", "", nonce).element


@pytest.mark.parametrize(
    ("url", "scripts", "others"),
    [
        ("https://us.i.posthog.com", "https://us-assets.i.posthog.com", ("https://us.i.posthog.com",)),
        ("https://eu.posthog.com/", "https://eu-assets.i.posthog.com", ("https://eu.i.posthog.com",)),
        ("http://posthog.lan:8000/path", "http://posthog.lan:8000", ()),
        ("/ingest", "'self'", ()),
    ],
)
def test_posthogs_sources_are_the_hosts_of_its_address(url: str, scripts: str, others: tuple[str, ...]) -> None:
    assert csp_sources(FrontendSettings(posthog=PostHogSettings("k", url))) == {
        "script-src": (scripts,),
        "connect-src": (*others, scripts),
        "worker-src": ("blob:",),
    }


@pytest.mark.parametrize(
    ("dsn", "host"),
    [
        ("https://key@o1.ingest.de.sentry.io:443/2", "https://o1.ingest.de.sentry.io"),
        ("https://key:secret@Bücher.example:9000/p/2", "https://xn--bcher-kva.example:9000"),
    ],
)
def test_sentrys_sources_are_the_host_of_its_dsn(dsn: str, host: str) -> None:
    sources = csp_sources(FrontendSettings(sentry=FrontendSentrySettings(dsn)))
    assert sources == {"connect-src": (host,), "worker-src": ("blob:",)}


def test_plausibles_source_is_its_host_and_without_services_there_is_none() -> None:
    host = ("https://plausible.io",)
    sources = csp_sources(FrontendSettings(plausible=PlausibleSettings("a.test")))
    assert sources == {"script-src": host, "connect-src": host}
    assert csp_sources(FrontendSettings()) == {}


@pytest.mark.parametrize(
    "url",
    ["posthog.example.com", "ftp://a.test", "https://", "https://a b.test", "https://a;b.test", "https://[::1]:1/",
     "https://a.test:99999", "//a.test", "https://*", "https://a.test:port", "https://..", "https://straße.test"],
)  # fmt: skip
def test_an_address_a_policy_cannot_name_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"telemetry\.frontend\.posthog\.apiurl"):
        csp_sources(FrontendSettings(posthog=PostHogSettings("k", url)))


def test_plausible_is_deprecated_and_its_replacement_named() -> None:
    [message] = deprecations(FrontendSettings(plausible=PlausibleSettings("a.test")))
    assert "deprecated" in message
    assert "telemetry.frontend.posthog" in message
    assert deprecations(FrontendSettings()) == ()


def test_a_release_that_is_not_known_is_absent() -> None:
    [script] = snippets(FrontendSettings(sentry=FrontendSentrySettings("d")), "test", None)
    assert "version" not in script.body
