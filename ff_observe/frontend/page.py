"""Inserts scripts into an HTML page, leaving every other byte unchanged; at once, or while it streams."""

import codecs
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ff_observe.errors import PageError
from ff_observe.frontend.csp import merge_csp
from ff_observe.frontend.markup import PLACEHOLDER, Kind, Place, Scanner
from ff_observe.frontend.scripts import Script

_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
Edit = tuple[int, int, str]  # from, to (offsets into the text), replacement
Sources = Mapping[str, Sequence[str]]


def render_page(page: bytes, scripts: Sequence[Script], sources: Sources | None = None) -> bytes:
    """The page with the scripts in it.

    They replace an earlier rendering's scripts, else FlowFuse's placeholder (`<script>/*inject-ff-scripts*/</script>`),
    else go before `</head>`, else (a page that leaves that tag out) before `<body>`. Rendering a rendered page gives
    the same page; without scripts an earlier rendering is removed. With `sources` (see `csp_sources`), a policy in a
    `<meta>` element of the page is extended by them. All other bytes stay, whatever the encoding. Raises `PageError` if
    the page has no such place.
    """
    codec = codec_of(page)
    text, rest = decode(page, codec)
    edits = edits_for(places_in(page), scripts, sources)
    if edits is None:
        raise PageError(
            "the page has no place for the snippets: neither </head> nor <body>; "
            f"put <script>{PLACEHOLDER}</script> where they should go"
        )
    return encode(apply(edits, text), codec) + rest


def places_in(page: bytes) -> list[Place]:
    scanner = Scanner()
    scanner.feed(decode(page, codec_of(page))[0])
    return scanner.places


def codec_of(start: bytes) -> str:
    """A codec that turns the page into text and back without loss, with its markup readable.

    Browsers read UTF-16 (by its byte order mark), UTF-8 and legacy encodings. In the latter two, markup is ASCII, so
    Latin-1, in which every byte is a character, works for all of them.
    """
    return _UTF16.get(start[:2], "latin-1")


def decode(page: bytes, codec: str) -> tuple[str, bytes]:
    """The text, and the extra byte with which a broken UTF-16 page may end."""
    whole = len(page) - len(page) % 2 if codec != "latin-1" else len(page)
    text = page[:whole].decode(codec, "surrogatepass")
    return text, page[whole:]


def encode(text: str, codec: str) -> bytes:
    """The bytes of what `decode` or a decoder of `codec` returned, and of edits to it.

    Only a character reference in a policy can bring a character that Latin-1 does not have: it becomes one again.
    """
    return text.encode(codec, "xmlcharrefreplace" if codec == "latin-1" else "surrogatepass")


def edits_for(places: Iterable[Place], scripts: Sequence[Script], sources: Sources | None) -> list[Edit] | None:
    """The edits to a page with these places; None if there is no place for the scripts."""
    of: dict[Kind, list[Place]] = {kind: [] for kind in Kind}
    for place in places:
        of[place.kind].append(place)
    ours = of[Kind.OURS]
    edits = [(place.start, place.end, "") for place in ours]
    if scripts:
        block = "".join(script.element for script in scripts)
        if ours:
            edits[0] = (ours[0].start, ours[0].end, block)
        elif of[Kind.PLACEHOLDER]:
            place = of[Kind.PLACEHOLDER][0]
            edits.append((place.start, place.end, block))
        elif before := (of[Kind.HEAD_END] or of[Kind.BODY]):
            edits.append((before[0].start, before[0].start, block))
        else:
            return None
        if sources is not None:
            for place in of[Kind.META_POLICY]:
                merged = merge_csp(place.text, sources)
                if merged != place.text:
                    edits.append((place.start, place.end, _attribute_value(merged)))
    return sorted(edits)


def apply(edits: Iterable[Edit], text: str) -> str:
    """The text with the edits, which are in order and do not overlap."""
    pieces, kept = [], 0
    for start, end, replacement in edits:
        pieces += [text[kept:start], replacement]
        kept = end
    return "".join((*pieces, text[kept:]))


def _attribute_value(text: str) -> str:
    return '"' + html.escape(text, quote=False).replace('"', "&quot;") + '"'
