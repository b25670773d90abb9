"""The list of many platforms and one platform's page in real Chromium, light and dark, with hostile names."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ff_observe.config.load import load_settings
from ff_observe.config.platforms import ListedPlatform, Platforms
from ff_observe.config.settings import PrometheusSettings
from ff_observe.errors import Problem
from ff_observe.running.bridge import build_bridge
from tests.pace import in_full
from tests.real_parts.many_platforms import sqlite_home
from tests.real_parts.processes import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ViewportSize

PLATFORMS = in_full(500, 100)
HOSTILE = (
    "\"><img src=x onerror=document.title='taken'>",
    "<script>document.title='taken'<",
    "100% & more? #1",
    "Zoë ☃",
    "x" * 100,
)
PAPER: "ViewportSize" = {"width": 718, "height": 1047}  # A4, less Chromium's margins
CUT_OFF = """[...document.querySelectorAll("section, ol, pre")].filter(each =>
    each.scrollWidth > each.clientWidth || each.scrollHeight > each.clientHeight).map(each => each.className)"""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """One home stands for all: each platform reads it by itself."""
    settings = load_settings(sqlite_home(tmp_path), variables={"FF_TELEMETRY_DISABLED": "1"})
    names = [*HOSTILE, *(f"platform-{number}" for number in range(PLATFORMS - len(HOSTILE) - 1))]
    broken = Problem("/srv/<b>/flowforge.yml", 1, 2, "", "this is <i>not</i> YAML")
    listed = (*(ListedPlatform(name, settings) for name in names), ListedPlatform("broken", None, (broken,)))
    bridge = build_bridge(Platforms(tmp_path, PrometheusSettings(enabled=True, port=0), listed), serve=True)
    with bridge:
        assert bridge.url is not None
        yield bridge.url


def test_the_list_and_one_page_are_readable_and_run_nothing(browser: "Browser", url: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))

    def open_list() -> bool:
        """Whether all were read by now."""
        page.goto(url)
        assert page.locator("tbody tr").count() == PLATFORMS
        assert page.title() == "ff-observe: Platforms"
        return "not read yet" not in page.content()

    wait_until(open_list, "all to be read")
    assert page.locator("tbody tr").first.locator("th").inner_text() == "broken"
    for scheme, dark in (("light", False), ("dark", True)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the words it takes
        for path in ("/", "/platforms/platform-1/", "/platforms/broken/"):
            page.goto(url + path)
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, background[4:-1].split(","))) < 200) == dark
            for width in (360, 1280):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert "this is <i>not</i> YAML" in page.inner_text("main")
    assert [page.locator(f"h{level}").count() for level in (1, 2, 3)] == [1, 1, 1]
    open_list()
    page.emulate_media(media="print")
    page.set_viewport_size(PAPER)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(CUT_OFF) == []
    page.emulate_media(media="screen")
    links = [page.locator("tbody th a", has_text=name).get_attribute("href") for name in HOSTILE]
    for link in links:
        page.goto(f"{url}/{link}")
        assert page.locator("header .state").count() == 1
    page.get_by_role("link", name="All platforms").click()
    page.wait_for_url(f"{url}/")
    assert page.title() == "ff-observe: Platforms"
    page.close()
    assert [line for line in said if "503" not in line] == []
