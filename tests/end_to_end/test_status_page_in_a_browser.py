"""The status page in a real browser: light, dark and narrow, legible, complete, and without a word of complaint."""

import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from tests.platforms import case_named
from tests.real_parts.bridge import home_with, running_bridge, write_file
from tests.real_parts.processes import free_port

SQLITE = "  type: sqlite\n"
OPTED_OUT = "  enabled: false\n  backend:\n    prometheus:\n      enabled: true\n      port: 0\n"

# Contrast of every text with what is behind it (WCAG 2.2, 1.4.3), the lowest first.
_CONTRAST = """() => {
  const parts = css => css.match(/[\\d.]+/g).map(Number);
  const light = css => {
    const [r, g, b] = parts(css).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = element => {
    const back = getComputedStyle(element).backgroundColor;
    return parts(back)[3] === 0 ? behind(element.parentElement) : back;
  };
  const texts = [...document.body.querySelectorAll('*')].filter(
    element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return texts.map(element => {
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
    return [(one + .05) / (other + .05), element.textContent];
  }).sort((a, b) => a[0] - b[0]);
}"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = home_with(tmp_path / "home", SQLITE, OPTED_OUT)
    shutil.copyfile(case_named("v2.4.0-sqlite-ce").home / "var" / "forge.db", made / "var" / "forge.db")
    return made


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_the_page_is_legible_and_tells_what_is_on(
    browser: Browser, home: Path, tmp_path: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    complaints: list[str] = []
    with running_bridge(home, tmp_path) as bridge:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.goto(f"{bridge.url}/")
        told = page.locator("body").inner_text()
        assert "The usage ping is not sent." in told
        assert f"{home}/etc/flowforge.yml says telemetry.enabled: false" in told  # a path as it is written
        assert page.locator(".outputs li", has_text="Prometheus").locator(".badge").inner_text() == "on"
        contrasts: list[Any] = page.evaluate(_CONTRAST)
        assert contrasts[0][0] >= 4.5, contrasts[0]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it can be scrolled sideways"
        assert complaints == []
        page.get_by_role("link", name="Metrics").click()
        assert "flowfuse_users" in page.locator("body").inner_text()
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_a_dead_database_is_seen_at_a_glance_with_its_reason(
    browser: Browser, home: Path, tmp_path: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    write_file(home, f"  type: postgres\n  host: 127.0.0.1\n  port: {free_port()}\n", OPTED_OUT)
    with running_bridge(home, tmp_path) as bridge:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
        page = context.new_page()
        page.goto(f"{bridge.url}/")
        state = page.get_by_role("status")
        assert state.inner_text() == "The database does not answer"
        red, green, blue = (
            int(part) for part in state.evaluate("e => getComputedStyle(e).color.match(/\\d+/g).slice(0, 3)")
        )
        assert red > 1.5 * max(green, blue)
        problem = page.get_by_role("region", name="Problems")
        assert "refused" in problem.inner_text().lower()
        assert "What to do:" in problem.inner_text()
        top = problem.bounding_box()
        assert top is not None
        assert top["y"] < 300, "the problem is not seen without scrolling"
        contrasts: list[Any] = page.evaluate(_CONTRAST)
        assert contrasts[0][0] >= 4.5, contrasts[0]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it can be scrolled sideways"
        context.close()
