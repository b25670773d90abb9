"""What the pages of the bridge have in common: the document around them, their header, and the product's name."""

from collections.abc import Iterable
from typing import Final

from ff_observe.http.messages import Answer, answer
from ff_observe.problems import Severity
from ff_observe.web.status.markup import Content, Markup, element

PRODUCT: Final = "ff-observe"
_POLICY: Final = (
    b"content-security-policy",
    (
        b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
)
MARK: Final = Markup(
    '<svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8"/>'
    '<path d="M5 17h6l3-8 5 15 3-7h5"/></svg>'
)
"""The product's sign."""


def page(
    title: str,
    root: str,
    name: str,
    header: Content,
    content: Iterable[Content],
    footer: Content = None,
    *,
    renews: bool = False,
    status: int = 200,
    cache: str = "no-store",
) -> Answer:
    """A whole page. `root` is where the stylesheet and the script are, without a slash at the end; `name` is what its
    content is. With `renews` it has the script that keeps it current."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href=f"{root}/favicon.ico"),
        element("link", rel="stylesheet", href=f"{root}/status.css"),
        element("script", "", src=f"{root}/status.js", defer=True) if renews else None,
    )
    body = element(
        "body",
        element("p", element("a", f"Skip to the {name}", class_="skip", href=f"#{name}")),
        header,
        element("main", *content, id=name, tabindex="-1"),
        footer,
        class_=name,
    )
    whole = f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
    return answer(status, "text/html; charset=utf-8", whole.encode(), _POLICY, cache=cache)


def header(heading: Markup, about: str, state: Severity, words: str) -> Markup:
    """The head of a page about something in a state, which its shape tells to those who do not see its colour."""
    shape = {"ok": "M3 8.5l3.5 3.5L13 5", "note": "M8 3v10"}.get(state, "M8 2.5v7M8 12.5v1")
    icon = Markup(f'<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="{shape}"/></svg>')
    return element(
        "header",
        MARK,
        element("div", element("h1", heading), element("p", about), class_="title"),
        element("p", icon, words, id="state", class_=f"state {state}", role="status"),
    )


def product(version: str) -> Markup:
    """Name and version as a heading."""
    return Markup(f"{PRODUCT} {element('span', version, class_='version')}")
