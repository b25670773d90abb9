"""The status page in a real browser: legible, complete and without a complaint in every state, theme and size."""

import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from ff_observe.catalogue.model import Reading
from tests.pace import in_full
from tests.platforms import case_named
from tests.real_parts.bridge import home_with, running_bridge
from tests.real_parts.processes import free_port, wait_until
from tests.status_states import HOSTILE, STATES, failing_otlp, hostile, in_state, served
from tests.unit.web.platforms import Provider, app, snapshot

SIZES = {"phone": (360, 780), "laptop": (1280, 800), "wall": (2560, 1440)}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
FIRST_WORDS = {
    "all-well": "No problems found",
    "database-down": "The platform's database does not answer",
    "flowfuse-down": "FlowFuse does not answer over HTTP",
    "licence-over": "More is in use than the licence covers",
    "unlicensed-at-the-limit": "A limit of FlowFuse without a licence is reached",
    "licence-expired": "The licence expired on 2026-11-14",
    "opted-out": "The usage ping is not sent.",
    "not-initialised": "FlowFuse is not set up yet",
    "rejected-reload": "The changed configuration was rejected",
    "failing-otlp": "OTLP is on, and its last delivery failed",
}


def complaints_of(page: Page) -> list[str]:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    return complaints


def broken_lines(page: Page) -> list[str]:
    """Dates, times, numbers and heads of columns that stand on more than one line."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll(".whole, time, .value, .usage, .parts dd, thead th")].filter(each => {
        const range = document.createRange();
        range.selectNodeContents(each);
        return range.getBoundingClientRect().height > 2 * parseFloat(getComputedStyle(each).fontSize);
        }).map(each => each.textContent)"""
    )
    return found


def violations(page: Page) -> list[Any]:
    found: list[Any] = page.evaluate(
        """async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa",
        "best-practice"], resultTypes: ["violations"]})).violations.map(
        each => [each.id, each.nodes.map(node => node.html)])"""
    )
    return found


@pytest.mark.parametrize("state", STATES)
def test_it_is_legible_and_accessible_in_both_themes_and_all_sizes(
    browser: Browser, axe: str, tmp_path: Path, state: str
) -> None:
    _, application = in_state(STATES[state], tmp_path, 4)
    with served(application) as (url, _):
        page = browser.new_page(bypass_csp=True)  # for axe, which is no part of the page
        complaints = complaints_of(page)
        page.goto(f"{url}/")
        expect(page.locator("body")).to_contain_text(FIRST_WORDS[state])
        page.evaluate(axe)
        for width, height in SIZES.values():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{width}: scrolls sideways"
            assert broken_lines(page) == [], f"{width}: a date or a number is broken"
            if page.locator(".finding").count():
                box = page.locator(".finding h3").first.bounding_box()
                assert box is not None
                assert box["y"] < height / 2, "the problem is not seen at once"
        all_pairs = list(product(THEMES, SIZES))
        for theme, size in all_pairs[:: in_full(1, else_=4)]:  # light on a phone, dark on a laptop
            page.emulate_media(color_scheme=theme)
            width, height = SIZES[size]
            page.set_viewport_size({"width": width, "height": height})
            assert violations(page) == [], (theme, size)
        assert complaints == []
        page.close()


def test_a_problem_leads_to_its_runbook_and_documents_are_legible_and_accessible(
    browser: Browser, axe: str, tmp_path: Path
) -> None:
    _, application = in_state(STATES["database-down"], tmp_path, 4)
    with served(application) as (url, _):
        page = browser.new_page(bypass_csp=True)
        complaints = complaints_of(page)
        page.goto(f"{url}/")
        page.get_by_role("link", name="Runbook of FlowFuseDatabaseUnreachable").click()
        expect(page.get_by_role("heading", name="FlowFuseDatabaseUnreachable")).to_be_in_viewport()
        page.get_by_role("link", name="Documentation").click()
        page.get_by_role("link", name="troubleshooting", exact=True).click()
        expect(page.get_by_role("heading", name="Troubleshooting")).to_be_visible()
        for name in ("troubleshooting", "configuration", "frontend"):
            page.goto(f"{url}/docs/{name}")
            page.evaluate(axe)
            for theme, size in (("light", "phone"), ("dark", "laptop")):
                page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
                width, height = SIZES[size]
                page.set_viewport_size({"width": width, "height": height})
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, size)
                assert violations(page) == [], (name, theme)
        page.get_by_role("link", name="ff-observe", exact=True).click()
        expect(page.get_by_role("status")).to_have_text("The database does not answer")
        assert complaints == []
        page.close()


def test_hostile_text_of_the_database_is_shown_as_text(browser: Browser, tmp_path: Path) -> None:
    _, application = in_state(hostile, tmp_path, 4)
    with served(application) as (url, _):
        page = browser.new_page()
        complaints = complaints_of(page)
        page.goto(f"{url}/")
        shown = HOSTILE.replace("\u202e", "\N{REPLACEMENT CHARACTER}")
        assert shown in page.locator(".figures").inner_text()
        assert shown in page.locator(".licence").inner_text()
        assert page.locator("img").count() == 0
        assert page.title() == "1 problem · ff-observe"
        assert complaints == []
        page.close()


def test_sizes_and_moments_among_the_counts_leave_room_for_their_titles(browser: Browser) -> None:
    taken = snapshot()
    token, disk = "flowfuse_personal_access_token_expiry_timestamp_seconds", "flowfuse_database_disk_free_bytes"
    trial = "flowfuse_trial_end_timestamp_seconds"
    of_others: dict[str, Reading] = {token: {(): 1_798_027_351.0}, trial: {(): 2.0**43}, disk: {(): 60_299_608_064.0}}
    with served(app(Provider(replace(taken, readings={**taken.readings, **of_others})))) as (url, _):
        page = browser.new_page(viewport={"width": 320, "height": 844})
        page.goto(f"{url}/")
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        assert broken_lines(page) == []
        heights = [row.evaluate("e => e.clientHeight") for row in page.locator(".counts tbody th").all()]
        assert heights
        assert max(heights) < 130, "a word of a title is broken"
        page.close()


def test_it_renews_itself_keeps_what_is_open_and_says_when_the_bridge_is_gone(browser: Browser, tmp_path: Path) -> None:
    world, application = in_state(STATES["all-well"], tmp_path, 4)
    with served(application) as (url, switch):
        page = browser.new_page()
        page.clock.install()
        page.goto(f"{url}/")
        body = page.locator("#ping-body")
        body.locator("summary").click()
        failing_otlp(world)
        world.look()
        switch.app = in_state(failing_otlp, tmp_path, 4)[1]
        page.clock.run_for(10_000)
        expect(page.locator(".finding")).to_contain_text("otel-collector:4318 refuses connections")
        expect(page.get_by_role("status")).to_have_text("1 problem")
        assert body.get_attribute("open") is not None
        assert body.locator("summary").evaluate("element => element === document.activeElement")
    page.clock.run_for(10_000)
    expect(page.get_by_role("alert")).to_contain_text("The bridge cannot be reached since")
    expect(page.locator(".finding")).to_contain_text("otel-collector:4318")  # what it last said
    page.close()


def test_it_works_without_javascript_and_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    _, application = in_state(STATES["all-well"], tmp_path, 4)
    with served(application) as (url, _):
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{url}/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the status")).to_be_focused()
        changes = page.locator("#ping-body summary")
        for _ in range(2):
            page.keyboard.press("Tab")
        expect(changes).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("region", name="Body of the ping")).to_contain_text('{"instanceId":')
        page.get_by_role("link", name="Metrics").click()
        expect(page.locator("body")).to_contain_text("flowfuse_users")
        context.close()


def test_a_running_bridge_shows_it_with_its_problems(browser: Browser, tmp_path: Path) -> None:
    telemetry = "  enabled: false\n  backend:\n    prometheus:\n      enabled: true\n      port: 0\n"
    home = home_with(tmp_path / "home", f"  type: postgres\n  host: 127.0.0.1\n  port: {free_port()}\n", telemetry)
    with running_bridge(home, tmp_path) as bridge:
        page = browser.new_page()
        complaints = complaints_of(page)
        page.goto(f"{bridge.url}/")
        assert page.get_by_role("status").inner_text() == "The database does not answer"

        def problem() -> str:
            page.reload()
            return page.get_by_role("region", name="Problems").inner_text()

        # A busy machine may take longer to learn that nobody listens than a page waits for a snapshot.
        wait_until(lambda: "refused" in problem().lower(), "the reason")
        assert "What to do:" in problem()
        assert complaints == []
        page.close()


def test_a_running_bridge_tells_what_is_on(browser: Browser, tmp_path: Path) -> None:
    telemetry = "  enabled: false\n  backend:\n    prometheus:\n      enabled: true\n      port: 0\n"
    home = home_with(tmp_path / "home", "  type: sqlite\n", telemetry)
    shutil.copyfile(case_named("v2.4.0-sqlite-ce").home / "var" / "forge.db", home / "var" / "forge.db")
    with running_bridge(home, tmp_path) as bridge:
        page = browser.new_page()
        page.goto(f"{bridge.url}/")
        told = page.locator("body").inner_text()
        assert "The usage ping is not sent." in told
        assert f"{home}/etc/flowforge.yml says telemetry.enabled: false" in told  # a path as it is written
        assert page.locator(".outputs li", has_text="Prometheus").locator(".badge").inner_text() == "on"
        status = json.loads(bridge.get("/api/status").text)
        assert status["ping"]["rule"] == "file"
        assert status["platform"]["flowfuse_version"] is None or "2.4" in status["platform"]["flowfuse_version"]
        page.close()
