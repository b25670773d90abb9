"""Pages as FlowFuse serves them, and ours by the command from the same file: Chromium reads the same configuration."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Route

from tests import recordings
from tests.frontend_commands import Platform
from tests.recordings import Case
from tests.unit.frontend.policy_oracle import parse

each_full = pytest.mark.parametrize(
    "served", [case for case in recordings.frontends() if case.name.endswith("-all")], ids=lambda case: case.id
)
FLOWFUSE_PLACE = re.compile(r"<script>\s*!function\(t,e\)|<script>window\.sentryConfig|<script defer data-domain")
ADDRESS = "http://flowfuse.test/"

CARRIES = """() => ({
  posthog: window.posthog ? posthog._i[0].slice(0, 2) : null,
  sentry: window.sentryConfig ?? null,
  plausible: Array.from(document.querySelectorAll("script[data-domain]"), (it) => [it.dataset.domain, it.src]),
})"""


def frontend_of(served: Case) -> dict[str, Any]:
    """`telemetry.frontend` of the file with which FlowFuse served the page."""
    loaded = yaml.safe_load((served.home / "flowforge.yml").read_text())
    frontend: dict[str, Any] = loaded["telemetry"].get("frontend") or {}
    if served.name.startswith("v2.33.2") and "apikey" in (frontend.get("posthog") or {}):
        # FlowFuse 2.33.2 says so whatever is configured; with ours it is a setting, as consent is.
        frontend["posthog"]["cookieless_mode"] = "on_reject"
    return frontend


each_page = pytest.mark.parametrize(
    "served",
    # What differs in its policy alone has the same page from the same settings.
    {
        ((case.home / "index.html").read_bytes(), str(frontend_of(case))): case for case in recordings.frontends()
    }.values(),
    ids=lambda case: case.id,
)


def platform_of(served: Case, directory: Path) -> Platform:
    return Platform(directory / "home", frontend_of(served), version=served.name.split("-")[0].removeprefix("v"))


def rendered(served: Case, platform: Platform) -> bytes:
    """Ours, from the page as FlowFuse has it on its disk."""
    without = served.home.parent / f"{served.name.split('-')[0]}-none"
    return platform.render((without / "index.html").read_bytes())


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


@each_page
def test_the_same_configuration_reaches_the_browser(browser: Browser, tmp_path: Path, served: Case) -> None:
    theirs = carried(browser, (served.home / "index.html").read_bytes())
    domain = (frontend_of(served).get("plausible") or {}).get("domain")
    if served.name.startswith("v2.33.2") and domain:
        # FlowFuse no longer injects it; the documentation has it deprecated, not gone.
        theirs["plausible"] = [[domain, "https://plausible.io/js/plausible.js"]]
    assert carried(browser, rendered(served, platform_of(served, tmp_path))) == theirs


@each_full
def test_the_snippets_are_where_flowfuse_has_them(tmp_path: Path, served: Case) -> None:
    ours = rendered(served, platform_of(served, tmp_path)).decode()
    theirs = (served.home / "index.html").read_text()
    place = FLOWFUSE_PLACE.search(theirs)
    assert place is not None
    assert ours.startswith(theirs[: place.start()] + "<script data-ff-observe=")


@pytest.mark.parametrize(
    "served", [case for case in recordings.frontends() if not case.name.endswith("-csp-off")], ids=lambda case: case.id
)
def test_flowfuses_policy_merged_by_ours_allows_the_configured_hosts_and_keeps_the_rest(
    tmp_path: Path, served: Case
) -> None:
    policy = (served.home / "csp.txt").read_text().split(": ", 1)[1].strip()
    before, after = parse(policy), parse(platform_of(served, tmp_path).csp(policy))
    frontend = frontend_of(served)
    posthog, sentry, plausible = (
        (frontend.get(service) or {}).get(key)
        for service, key in (("posthog", "apikey"), ("sentry", "dsn"), ("plausible", "domain"))
    )
    assert ("http://127.0.0.1:9079" in after["script-src"]) == bool(posthog)
    assert ("http://127.0.0.1:9079" in after["connect-src"]) == bool(posthog or sentry)
    assert ("https://plausible.io" in after["connect-src"]) == bool(plausible)
    hashes = [source for source in after["script-src"] if source.startswith("'sha256-")]
    # Where 'unsafe-inline' is in force, it has to stay so; FlowFuse's own way to replace the directive leaves it out.
    assert len(hashes) == (3 if served.name.endswith("-custom-directives") else 0)
    for directive, listed in before.items():
        assert after[directive][: len(listed)] == listed
    widened = {directive for directive in after if after[directive] != before.get(directive)}
    assert widened <= {"script-src", "connect-src", "worker-src"}
