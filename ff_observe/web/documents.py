"""Serves the documents of this version as pages, so that a link to them needs no way to the internet."""

from functools import cache

from ff_observe.http.messages import Answer, answer
from ff_observe.web.markdown import render, title
from ff_observe.web.status.frame import MARK, PRODUCT, page
from ff_observe.web.status.further import documents, drawings
from ff_observe.web.status.markup import element


@cache
def document(name: str) -> Answer:
    """The page of a document, or a drawing in one. Addresses in it are relative: the application may be mounted
    anywhere."""
    if name in drawings():
        return answer(200, "image/svg+xml", drawings()[name].read_bytes(), cache="no-cache")
    text = documents()[name or "README"].read_text(encoding="utf-8")
    home = element("a", PRODUCT, href="../")
    index = element("a", "Documentation", href="./")
    header = element("header", MARK, element("nav", home, " · ", index, aria_label="Pages"))
    content = (render(text, _address),)
    return page(f"{title(text)} · {PRODUCT}", "..", "document", header, content, cache="no-cache")


def _address(target: str) -> str | None:
    """Files of the repository that are no document have no page."""
    if target.startswith(("#", "https://", "http://")) or target in drawings():
        return target
    file, hash_, anchor = target.partition("#")
    name = file.removesuffix(".md")
    return f"{name}{hash_}{anchor}" if name in documents() else None
