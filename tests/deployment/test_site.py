"""The site of the documents, as `make site` makes it: strict, complete, and without a file from elsewhere."""

import html.parser
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

import ff_observe
from tests.plain_machine import TOP
from tests.real_parts import browser as browser_part

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
LOADED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "manifest", "prefetch"}
ELSEWHERE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


class Page(html.parser.HTMLParser):
    """What a page loads, links to, and can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        self.anchors.add(of.get("id", ""))
        if tag == "a":
            self.links.append(of.get("href", ""))
        elif tag in LOADED:
            self.loads.append(of.get(LOADED[tag], ""))
        elif tag == "link" and LOADED_LINKS & set(of.get("rel", "").split()):
            self.loads.append(of["href"])


def from_elsewhere(page: Path) -> list[str]:
    """What a page or a style sheet loads from another machine."""
    text = page.read_text()
    found = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s]+)", text)
    return [each for each in (*found, *(Page(text).loads if page.suffix == ".html" else ())) if ELSEWHERE.match(each)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    trees = tmp_path_factory.mktemp("trees")
    command = ["-b", "html", "--fail-on-warning", "--quiet", "-c", "docs/site", "-d", str(trees), ".", str(directory)]
    done = subprocess.run([sys.executable, "-m", "sphinx", *command], cwd=TOP, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return directory


def test_every_document_is_in_it_and_every_link_leads_to_a_page_and_a_section(site: Path) -> None:
    pages = {page: Page(page.read_text()) for page in site.rglob("*.html")}
    documents = {page.relative_to(site).with_suffix("").as_posix() for page in pages}
    assert {f"docs/{document.stem}" for document in (TOP / "docs").glob("*.md")} <= documents
    broken = []
    for page, read in pages.items():
        for link in read.links:
            if ELSEWHERE.match(link) or link.startswith("mailto:"):
                continue
            path, _, anchor = urllib.parse.unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_another_machine(site: Path) -> None:
    read = [page for page in site.rglob("*") if page.suffix in (".html", ".css", ".svg")]
    assert {found for page in read for found in from_elsewhere(page)} == set()


def test_a_file_of_another_machine_would_be_found(tmp_path: Path) -> None:
    page, style = tmp_path / "a.html", tmp_path / "a.css"
    page.write_text(
        '<script src="//x.example/a.js"></script><link rel="preload" href="https://x.example/b"><a href="https://y">'
    )
    style.write_text(
        "@import 'https://x.example/c.css'; a { src: url(\"https://x.example/d.woff\") } b { src: url(e.woff) }"
    )
    assert len(from_elsewhere(page)) == 2
    assert len(from_elsewhere(style)) == 2


def test_the_reference_of_the_library_has_every_public_name(site: Path) -> None:
    anchors = Page((site / "docs" / "site" / "api.html").read_text()).anchors
    assert {name for name in ff_observe.__all__ if f"ff_observe.{name}" not in anchors} == {"__version__"}


def test_a_reader_finds_a_word_and_no_page_is_wider_than_a_phone(site: Path) -> None:
    with browser_part.browser() as launched:
        page = launched.new_page(color_scheme="dark", viewport={"width": 390, "height": 844})
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        for name in ("docs/metrics", "docs/how-it-works", "docs/site/api"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == 390, name
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        page.goto(f"{(site / 'search.html').as_uri()}?q=tlog-cosignature")
        page.get_by_role("link", name="The ledger", exact=True).last.wait_for()
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
