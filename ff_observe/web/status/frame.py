"""What the pages of the bridge have in common: head, signs and the product's name."""

from typing import Final

from ff_observe.problems import Severity
from ff_observe.web.status.markup import Content, Markup, element

PRODUCT: Final = "ff-observe"
_MARK: Final = "M5 17h6l3-8 5 15 3-7h5"


def head(title: str, root: str, *others: Content) -> Markup:
    """What every page of the bridge has in its head."""
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href=f"{root}/favicon.ico"),
        element("link", rel="stylesheet", href=f"{root}/status.css"),
        *others,
    )


def mark() -> Markup:
    """The product's sign."""
    return Markup(
        f'<svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8"/>'
        f'<path d="{_MARK}"/></svg>'
    )


def icon(state: Severity) -> Markup:
    """A shape of its own for each state, for those who do not see its colour."""
    shape = {"ok": "M3 8.5l3.5 3.5L13 5", "note": "M8 3v10"}.get(state, "M8 2.5v7M8 12.5v1")
    return Markup(f'<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="{shape}"/></svg>')
