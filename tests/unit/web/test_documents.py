"""The documents as pages of the bridge: as a reference implementation of Markdown renders them, and no link is dead."""

import re
from html import unescape
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ff_observe.outputs import OUTPUTS
from ff_observe.web import markdown
from ff_observe.web.status import further
from tests.status_states import STATES, World, in_state
from tests.unit.web.asgi import get
from tests.unit.web.platforms import Provider, app_of

REFERENCE = MarkdownIt("commonmark").enable("table")
NAMES = sorted(path.stem for path in (Path(__file__).parents[3] / "docs").glob("*.md"))


def without_comments(text: str) -> str:
    return re.sub(r"^<!--.*-->$", "", text, flags=re.MULTILINE)


def words(html: str) -> list[str]:
    return unescape(re.sub(r"<[^>]*>", " ", html)).split()


def elements(html: str) -> list[str]:
    return re.findall(r"<(h[1-6]|p|[uo]l|li|table|tr|t[hd]|pre|code|strong|em|a)\b", html)


def links(html: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]*)"', html)


@pytest.mark.parametrize("name", NAMES)
def test_a_document_has_the_words_elements_and_links_of_the_reference_implementation(name: str) -> None:
    text = without_comments(further.documents()[name].read_text())
    ours, reference = markdown.render(text, str), REFERENCE.render(text).replace("<th></th>", "<td></td>")
    assert "".join(words(ours)) == "".join(words(reference))
    assert elements(ours) == elements(reference)
    assert links(ours) == links(reference)


@given(text=st.text(alphabet="`*[]()<>#|-_\\& \n1.a!:/"))
def test_any_text_becomes_a_page_without_markup_of_its_own(text: str) -> None:
    made = re.sub(r' (?:id|href|src|alt|scope|tabindex|class)="[^"<>]*"', "", markdown.render(text, str))
    known = r"</?(?:h[1-6]|p|[uo]l|li|table|thead|tbody|tr|t[hd]|pre|code|strong|em|a|div|img)>"
    assert not set(re.sub(known, "", made)) & set("<>")


def test_each_document_is_a_page_and_every_link_of_it_leads_to_a_heading(tmp_path: Path) -> None:
    _, application = in_state(STATES["all-well"], tmp_path, 4)
    pages = {name: get(application, f"/docs/{name}").text for name in NAMES}
    assert pages.keys() == further.documents().keys()
    for name, page in pages.items():
        main = page.partition("<main")[2]
        for link in links(main):
            target, _, anchor = link.partition("#")
            if target.endswith(".svg"):
                drawn = get(application, f"/docs/{target}")
                assert (drawn.status, dict(drawn.headers)["content-type"]) == (200, "image/svg+xml"), link
            elif not target.startswith("http"):
                assert not anchor or f'id="{anchor}"' in pages[target or name], f"{name}: {link}"
        assert "<h1 id=" in main
    assert get(application, "/docs/").text == pages["README"]
    assert get(application, "/docs/nothing").status == 404
    assert get(application, "/docs/../pyproject").status == 404


@pytest.mark.parametrize("state", STATES)
def test_every_link_of_the_status_page_to_a_document_is_answered(state: str, tmp_path: Path) -> None:
    _, application = in_state(STATES[state], tmp_path, 4)
    page = get(application).text
    found = [link for link in links(page) if link.startswith("./docs/")]
    assert len(found) >= 2 + len(OUTPUTS)
    for link in found:
        target, _, anchor = link.removeprefix(".").partition("#")
        answered = get(application, target)
        assert answered.status == 200
        assert not anchor or f'id="{anchor}"' in answered.text, link
    has_runbook = state not in ("all-well", "opted-out", "not-initialised")
    assert ("Runbook" in page) == has_runbook


def test_a_package_without_its_documents_links_to_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(further, "documents", lambda: MappingProxyType({}))
    world = World(tmp_path)
    application = app_of(Provider(world.snapshot()), world.source())
    assert "docs/" not in get(application).text
    assert get(application, "/docs/README").status == 404
