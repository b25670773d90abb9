"""Pages real FlowFuse served, and ours from the same settings: the same configuration reaches the browser."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ff_observe.config.settings import FrontendSentrySettings, FrontendSettings, PlausibleSettings, PostHogSettings
from ff_observe.frontend import csp_sources, merge_csp, render_page, snippets
from tests import recordings

VERSIONS = ("v2.4.0", "v2.33.2")
CASES = ("all", "only-posthog", "only-sentry", "only-plausible", "posthog-nokey", "frontend-empty", "none")
RECORDED = [f"{version}-{case}" for version in VERSIONS for case in CASES]
RECORDED = [name for name in RECORDED if name.startswith("v2.33.2") or name.endswith(("-all", "-none"))]
FLOWFUSE_PLACE = re.compile(r"<script>\s*!function\(t,e\)|<script>window\.sentryConfig|<script defer data-domain")


def recording(name: str) -> Path:
    """Where the files of a recorded page are."""
    return recordings.frontend(name)


def settings_of(directory: Path) -> FrontendSettings:
    frontend: dict[str, Any] = (
        yaml.safe_load((directory / "flowforge.yml").read_text())["telemetry"].get("frontend") or {}
    )
    posthog, sentry, plausible = (frontend.get(name) or {} for name in ("posthog", "sentry", "plausible"))
    return FrontendSettings(
        posthog=PostHogSettings(**posthog) if posthog.get("apikey") else None,
        sentry=FrontendSentrySettings(**sentry) if sentry.get("dsn") else None,
        plausible=PlausibleSettings(plausible["domain"]) if plausible.get("domain") else None,
    )


def flowfuse_carries(page: str) -> dict[str, Any]:
    """The configuration in a page of FlowFuse, read from the text of its snippets."""
    found: dict[str, Any] = {}
    if init := re.search(r"posthog\.init\('(.*?)', (\{.*?\})\)", page):
        found["posthog"] = [init[1], json.loads(init[2])]
    if config := re.search(r"window\.sentryConfig = \{ (.*?) \}</script>", page):
        found["sentry"] = json.loads("{" + re.sub(r"(\w+): ", r'"\1": ', config[1]) + "}")
    if domain := re.search(r'data-domain="(.*?)" src="(.*?)"', page):
        found["plausible"] = [domain[1], domain[2]]
    return found


def ours_carries(page: str) -> dict[str, Any]:
    """The configuration in a page of ours: what each of its functions is called with."""
    found: dict[str, Any] = {}
    for name, body in re.findall(r'<script data-ff-observe="(\w+)">(.*?)</script>', page, re.DOTALL):
        if name == "sentry":
            found[name] = json.loads(body.removeprefix("window.sentryConfig = ").removesuffix(";"))
        else:
            arguments = json.loads(f"[{body[body.rindex('})(') + 3 : -2]}]")
            found[name] = arguments[:2]
    return found


def rendered(name: str, settings: FrontendSettings) -> str:
    version = name.split("-")[0]
    untouched = recording(f"{version}-none") / "index.html"
    scripts = snippets(settings, "unknown", f"flowfuse@{version.removeprefix('v')}")
    return render_page(untouched.read_bytes(), scripts).decode()


@pytest.mark.parametrize("name", RECORDED)
def test_the_same_configuration_reaches_the_browser(name: str) -> None:
    directory = recording(name)
    settings = settings_of(directory)
    theirs = flowfuse_carries((directory / "index.html").read_text())
    if "posthog" in theirs and (mode := theirs["posthog"][1].get("cookieless_mode")) and settings.posthog:
        # FlowFuse 2.33.2 says so whatever is configured; with ours it is a setting, as consent is.
        settings = replace(settings, posthog=replace(settings.posthog, cookieless_mode=mode))
    if name.startswith("v2.33.2") and settings.plausible is not None:
        # FlowFuse no longer injects it; the documentation has it deprecated, not gone.
        theirs["plausible"] = [settings.plausible.domain, "https://plausible.io/js/plausible.js"]
    assert ours_carries(rendered(name, settings)) == theirs


@pytest.mark.parametrize("version", VERSIONS)
def test_the_snippets_are_where_flowfuse_has_them(version: str) -> None:
    ours, theirs = rendered(f"{version}-all", settings_of(recording(f"{version}-all"))), recording(f"{version}-all")
    place = FLOWFUSE_PLACE.search((theirs / "index.html").read_text())
    assert place is not None
    before = (theirs / "index.html").read_text()[: place.start()]
    assert ours.startswith(before + "<script data-ff-observe=")


@pytest.mark.parametrize("version", VERSIONS)
def test_flowfuses_policy_widened_by_ours_allows_the_configured_hosts_and_keeps_the_rest(version: str) -> None:
    directory = recording(f"{version}-all")
    policy = (directory / "csp.txt").read_text().split(": ", 1)[1].strip()
    settings = settings_of(directory)
    sources = csp_sources(settings, snippets(settings, "unknown", None))
    before, after = (
        {words[0]: words[1:] for words in map(str.split, text.split(";"))}
        for text in (policy, merge_csp(policy, sources))
    )
    assert "http://127.0.0.1:9079" in after["script-src"]
    assert "http://127.0.0.1:9079" in after["connect-src"]
    assert "https://plausible.io" in after["connect-src"]
    assert not any(source.startswith("'sha256") for source in after["script-src"]), "'unsafe-inline' must stay in force"
    for directive, listed in before.items():
        assert after[directive][: len(listed)] == listed
    assert {name for name in after if after[name] != before[name]} == {"script-src", "connect-src"}
