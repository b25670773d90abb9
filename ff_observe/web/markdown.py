"""Markdown → markup, as far as the documents of this project use it; other constructs come out as their source."""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ff_observe.web.status.markup import Content, Markup, element, join

Address = Callable[[str], str | None]
"""The target of a link → its address on the page; None if there is no such page."""

_BLOCK: Final = re.compile(r"```|<!--|#{1,6} |\||- |[0-9]+\. ")
"""The start of anything but a paragraph."""
_ITEM: Final = re.compile(r"(?:-|[0-9]+\.) +")
_INLINE: Final = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|\*\*(?P<strong>.+?)\*\*"
    r"|(?<![\w*])\*(?P<em>[^\s*][^*]*)\*"
    r"|!\[(?P<image>[^\]]*)\]\((?P<source>[^()\s]+)\)"
    r"|\[(?P<label>(?:`[^`]*`|[^\]`])+)\]\((?P<target>[^()\s]+)\)"
    r"|<(?P<address>https?://[^>\s]+)>"
    r"|\\(?P<escaped>[!-/:-@\[-`{-~])",
    re.DOTALL,
)


def render(text: str, address: Address) -> Markup:
    """The document without a page around it. Headings have the anchors that GitHub gives them."""
    rest, anchors = deque(text.splitlines()), Counter[str]()
    blocks: list[Content] = []
    while rest:
        line = rest[0]
        if line.startswith("```"):
            rest.popleft()
            blocks.append(_code(_while(rest, lambda each: not each.startswith("```"))))
            if rest:
                rest.popleft()
        elif line.startswith("    ") and line.strip():
            blocks.append(_code(each[4:] for each in _while(rest, lambda each: each.startswith("    "))))
        elif line.startswith("<!--"):
            rest.popleft()
        elif heading := re.match(r"(#{1,6}) +(.*)", line):
            rest.popleft()
            blocks.append(_heading(len(heading[1]), heading[2], anchors, address))
        elif line.startswith("|"):
            blocks.append(_table(_while(rest, lambda each: each.startswith("|")), address))
        elif _ITEM.match(line):
            blocks.append(_list(_while(rest, str.strip), address))
        elif line.strip():
            first = rest.popleft()
            lines = [first, *_while(rest, lambda each: each.strip() and not _BLOCK.match(each))]
            blocks.append(element("p", _inline("\n".join(lines), address)))
        else:
            rest.popleft()
    return join(*blocks)


def title(text: str) -> str:
    """The first heading, without marks."""
    found = re.search(r"^# +(.*)$", text, re.MULTILINE)
    return found[1].replace("`", "") if found else ""


def _while(rest: deque[str], holds: Callable[[str], object]) -> list[str]:
    taken = []
    while rest and holds(rest[0]):
        taken.append(rest.popleft())
    return taken


def _code(lines: Iterable[str]) -> Markup:
    return element("pre", element("code", "\n".join(lines)), tabindex="0")


def _heading(level: int, words: str, anchors: Counter[str], address: Address) -> Markup:
    anchor = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", words).lower()).replace(" ", "-")
    anchors[anchor] += 1
    unique = anchor if anchors[anchor] == 1 else f"{anchor}-{anchors[anchor] - 1}"
    return element(f"h{level}", _inline(words, address), id=unique)


def _table(lines: list[str], address: Address) -> Markup:
    head, *rows = (re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in [lines[0], *lines[2:]])
    made = [element("tr", *(_head(cell, address) for cell in head))]
    made += [element("tr", *(element("td", _cell(cell, address)) for cell in row)) for row in rows]
    table = element("table", element("thead", made[0]), element("tbody", *made[1:]))
    return element("div", table, class_="wide")


def _head(cell: str, address: Address) -> Markup:
    return element("th", _cell(cell, address), scope="col") if cell.strip() else element("td")


def _cell(cell: str, address: Address) -> Markup:
    return _inline(cell.strip().replace("\\|", "|"), address)


def _list(lines: Iterable[str], address: Address) -> Markup:
    items: list[str] = []
    kinds: list[str] = []
    for line in lines:
        if start := _ITEM.match(line):
            kinds.append("ul" if line.startswith("-") else "ol")
            items.append(line[start.end() :])
        else:
            items[-1] += f"\n{line.strip()}"
    return element(kinds[0], *(element("li", _inline(item, address)) for item in items))


def _inline(words: str, address: Address) -> Markup:
    return join(*_pieces(words, address))


def _pieces(words: str, address: Address) -> Iterator[Content]:
    end = 0
    for found in _INLINE.finditer(words):
        yield words[end : found.start()]
        end = found.end()
        if found["code"] is not None:
            yield element("code", found["code"])
        elif found["escaped"] is not None:
            yield found["escaped"]
        elif found["source"] is not None:
            yield element("img", src=address(found["source"]), alt=found["image"])
        elif found["address"] is not None:
            yield element("a", found["address"], href=found["address"])
        elif found["label"] is not None:
            target, label = address(found["target"]), _inline(found["label"], address)
            yield label if target is None else element("a", label, href=target)
        else:
            kind = "strong" if found["strong"] is not None else "em"
            yield element(kind, _inline(found[kind], address))
    yield words[end:]
