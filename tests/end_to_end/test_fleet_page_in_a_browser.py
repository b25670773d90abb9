"""The collector's page in a real browser: the keyboard reaches what can be scrolled, and nothing complains."""

from datetime import UTC, date, datetime, time
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from ff_observe.collector.fleet.questions import Answer
from ff_observe.collector.pages import answer as answer_page
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store.opening import open_store
from tests.end_to_end.test_status_page_in_a_browser import violations
from tests.fakes import FakeClock
from tests.fleet_year import fill
from tests.real_parts.collector import collecting, send
from tests.unit.collector.pings import body

# axe's rule scrollable-region-focusable (WCAG 2.2, 2.1.1): no key scrolls what cannot have the focus.
_OUT_OF_REACH = """() => [...document.querySelectorAll('body *')].filter(element =>
  element.scrollWidth > element.clientWidth && /auto|scroll/.test(getComputedStyle(element).overflowX) &&
  element.tabIndex < 0 && !element.querySelector('a[href], button, [tabindex="0"]')
  ).map(element => element.outerHTML)"""


@pytest.mark.parametrize("width", [1280, 320])
def test_what_can_be_scrolled_can_have_the_focus(browser: Browser, tmp_path: Path, width: int) -> None:
    complaints: list[str] = []
    with collecting(CollectorSettings(port=0, data_dir=tmp_path, public=True, k=1, public_k=1)) as collector:
        for index in range(3):
            assert send(collector.port, body(f"instance-{index}")).status == 200
        collector.count_fleet()
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"http://127.0.0.1:{collector.port}/")
        assert page.evaluate(_OUT_OF_REACH) == []
        region = page.get_by_role("region", name="What they run")
        region.focus()
        assert region.evaluate("element => element === document.activeElement")
        if width == 320:
            assert region.evaluate("element => element.scrollWidth > element.clientWidth")
        assert complaints == []
        page.close()


# Labels of charts that are not whole on the page, or lie on another label of the same axis.
_ILLEGIBLE = """() => [...document.querySelectorAll('.chart')].flatMap(chart => {
  const card = chart.closest('section').getBoundingClientRect();
  const boxes = [...chart.querySelectorAll('text')].filter(text => text.getClientRects().length).map(text =>
    [text.getBoundingClientRect(), text]);
  return boxes.filter(([box, text]) => box.height < 12 || box.left < card.left || box.right > card.right ||
    box.bottom > card.bottom || boxes.some(([other, beside]) => beside !== text && beside.classList[0] ===
      text.classList[0] && other.left < box.right && box.left < other.right && other.top < box.bottom &&
      box.top < other.bottom)).map(([box, text]) => text.textContent);
  })"""
_CUT_OFF = """[document.documentElement, ...document.querySelectorAll('section')].filter(each =>
  each.scrollWidth > each.clientWidth && (each.localName === 'html' || getComputedStyle(each).overflowX === 'auto')
  ).map(each => each.textContent)"""
_THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def test_curves_are_legible_and_accessible_in_both_themes_and_all_sizes(
    browser: Browser, axe: str, tmp_path: Path
) -> None:
    settings = CollectorSettings(port=0, data_dir=tmp_path, public=True)
    last = date(2026, 11, 28)
    fill(open_store(settings), last, 200)
    complaints: list[str] = []
    with collecting(settings, FakeClock(datetime.combine(last, time(6), UTC))) as collector:
        collector.count_fleet()
        address = f"http://127.0.0.1:{collector.port}/"
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(address)
        assert complaints == [], "the policy forbids something of the page"
        page.close()
        page = browser.new_page(bypass_csp=True)  # for axe, which is no part of the page
        page.goto(address)
        page.evaluate(axe)
        for theme, width in product(_THEMES, (320, 768, 1280)):
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{width}: scrolls sideways"
            assert page.evaluate(_ILLEGIBLE) == [], (theme, width)
            assert violations(page) == [], (theme, width)
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 718, "height": 1047})  # A4, less Chromium's margins
        assert page.evaluate(_CUT_OFF) == [], "cut off on paper"
        assert page.get_by_role("img", name="Platforms over time: in 30 days").count() == 1
        page.close()


def test_an_answer_is_a_page_in_one_file(browser: Browser, axe: str, tmp_path: Path) -> None:
    complaints: list[str] = []
    rows = [(f"2026-03-{day:02}", f"2.{9 + day // 10}.0", 12, 1.0) for day in range(1, 31)]
    answer = Answer(("day", "value", "platforms", "share"), rows, curve="value")
    file = tmp_path / "answer.html"
    file.write_bytes(answer_page.render(answer, "adoption", date(2026, 3, 1), date(2026, 3, 30)))
    page = browser.new_page(viewport={"width": 320, "height": 800})
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(file.as_uri())
    assert page.locator(".chart").bounding_box() is not None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"
    assert complaints == [], "the policy in the file forbids something of it"
    page.close()
    page = browser.new_page(bypass_csp=True)
    page.goto(file.as_uri())
    page.evaluate(axe)
    assert violations(page) == []
    page.close()
