"""Pages real FlowFuse served, and ours by the command from the same file: Chromium reads the same configuration."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Route

from tests import recordings
from tests.frontend_commands import Platform
from tests.unit.frontend.policy_oracle import parse

SETTINGS = ("all", "all-csp-off", "all-custom-directives", "all-report-only", "frontend-empty", "none", "only-google",
            "only-plausible", "only-posthog", "only-sentry", "posthog-nokey")  # fmt: skip
RECORDED = ["v2.4.0-all", "v2.4.0-none", *(f"v2.33.2-{name}" for name in SETTINGS)]
FLOWFUSE_PLACE = re.compile(r"<script>\s*!function\(t,e\)|<script>window\.sentryConfig|<script defer data-domain")
ADDRESS = "http://flowfuse.test/"

CARRIES = """() => ({
  posthog: window.posthog ? posthog._i[0].slice(0, 2) : null,
  sentry: window.sentryConfig ?? null,
  plausible: Array.from(document.querySelectorAll("script[data-domain]"), (it) => [it.dataset.domain, it.src]),
})"""


def frontend_of(name: str) -> dict[str, Any]:
    """`telemetry.frontend` of the file with which FlowFuse was recorded."""
    loaded = yaml.safe_load((recordings.frontend(name) / "flowforge.yml").read_text())
    frontend: dict[str, Any] = loaded["telemetry"].get("frontend") or {}
    if name.startswith("v2.33.2") and "apikey" in (frontend.get("posthog") or {}):
        # FlowFuse 2.33.2 says so whatever is configured; with ours it is a setting, as consent is.
        frontend["posthog"]["cookieless_mode"] = "on_reject"
    return frontend


def platform_of(name: str, directory: Path) -> Platform:
    return Platform(directory / "home", frontend_of(name), version=name.split("-")[0].removeprefix("v"))


def rendered(name: str, platform: Platform) -> bytes:
    """Ours, from the page as FlowFuse has it on its disk."""
    return platform.render((recordings.frontend(f"{name.split('-')[0]}-none") / "index.html").read_bytes())


def carried(browser: Browser, page: bytes) -> Any:
    """The configuration a browser finds in a page. What the page asks for is not answered."""

    def answer(route: Route) -> None:
        if route.request.url == ADDRESS:
            route.fulfill(body=page, content_type="text/html")
        else:
            route.abort()

    opened = browser.new_page()
    opened.route("**/*", answer)
    opened.goto(ADDRESS)
    found = opened.evaluate(CARRIES)
    opened.close()
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_the_same_configuration_reaches_the_browser(browser: Browser, tmp_path: Path, name: str) -> None:
    theirs = carried(browser, (recordings.frontend(name) / "index.html").read_bytes())
    domain = (frontend_of(name).get("plausible") or {}).get("domain")
    if name.startswith("v2.33.2") and domain:
        # FlowFuse no longer injects it; the documentation has it deprecated, not gone.
        theirs["plausible"] = [[domain, "https://plausible.io/js/plausible.js"]]
    assert carried(browser, rendered(name, platform_of(name, tmp_path))) == theirs


@pytest.mark.parametrize("version", ["v2.4.0", "v2.33.2"])
def test_the_snippets_are_where_flowfuse_has_them(tmp_path: Path, version: str) -> None:
    ours = rendered(f"{version}-all", platform_of(f"{version}-all", tmp_path)).decode()
    theirs = (recordings.frontend(f"{version}-all") / "index.html").read_text()
    place = FLOWFUSE_PLACE.search(theirs)
    assert place is not None
    assert ours.startswith(theirs[: place.start()] + "<script data-ff-observe=")


@pytest.mark.parametrize("name", [name for name in RECORDED if not name.endswith("-csp-off")])
def test_flowfuses_policy_merged_by_ours_allows_the_configured_hosts_and_keeps_the_rest(
    tmp_path: Path, name: str
) -> None:
    policy = (recordings.frontend(name) / "csp.txt").read_text().split(": ", 1)[1].strip()
    before, after = parse(policy), parse(platform_of(name, tmp_path).csp(policy))
    frontend = frontend_of(name)
    posthog, sentry, plausible = (
        (frontend.get(service) or {}).get(key)
        for service, key in (("posthog", "apikey"), ("sentry", "dsn"), ("plausible", "domain"))
    )
    assert ("http://127.0.0.1:9079" in after["script-src"]) == bool(posthog)
    assert ("http://127.0.0.1:9079" in after["connect-src"]) == bool(posthog or sentry)
    assert ("https://plausible.io" in after["connect-src"]) == bool(plausible)
    hashes = [source for source in after["script-src"] if source.startswith("'sha256-")]
    # Where 'unsafe-inline' is in force, it has to stay so; FlowFuse's own way to replace the directive leaves it out.
    assert len(hashes) == (3 if name.endswith("-custom-directives") else 0)
    for directive, listed in before.items():
        assert after[directive][: len(listed)] == listed
    widened = {directive for directive in after if after[directive] != before.get(directive)}
    assert widened <= {"script-src", "connect-src", "worker-src"}
