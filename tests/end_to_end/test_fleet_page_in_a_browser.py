"""The collector's page in a real browser: the keyboard reaches what can be scrolled, and nothing complains."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from ff_observe.collector.settings import CollectorSettings
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
