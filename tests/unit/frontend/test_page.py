"""Where the snippets go in a page, and that nothing else of it changes."""

import codecs
import html
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_observe.errors import PageError
from ff_observe.frontend import Script, render_page, reported_release
from ff_observe.frontend.markup import Kind, Scanner
from ff_observe.frontend.page import places_in
from ff_observe.frontend.stream import LONGEST_HEAD, PageStream
from tests.pace import costing_at_most

PLACEHOLDER = "<script>/*inject-ff-scripts*/</script>"
SCRIPTS = (Script("sentry", "let a=1;"), Script("posthog", "let b=2;"))
BLOCK = "".join(script.element for script in SCRIPTS)
SOURCES = {"connect-src": ("https://s.test",)}

# `@` is where the snippets belong, `#` stands for the placeholder.
PAGES = {
    "the placeholder": "<html><head><title>t</title>@#<link></head><body></body></html>",
    "the placeholder, spaced and in capitals": "<head>@<SCRIPT >\n /*inject-ff-scripts*/ </SCRIPT\t></head>",
    "the placeholder in the body": "<head></head><body>@#</body>",
    "only the first placeholder": "<head>@##</head>",
    "before the end of the head": "<html><head><title>t</title>@</head><body></body></html>",
    "before an end tag in capitals and spaced": "<HEAD><TITLE>t</TITLE>@</HEAD\n ><BODY>",
    "before the body where the head has no end tag": "<!doctype html><title>t</title>@<body class=x>text",
    "not in a comment": "<head><!-- </head> <body> # -->@</head>",
    "not in a comment that ends oddly": "<head><!-- </head> --!>@</head>",
    "an empty comment is one": "<head><!-->@</head> --></head>",
    "another empty comment is one": "<head><!--->@</head> --></head>",
    "a comment that only seems to end": "<head><!--!> </head> -->@</head>",
    "not in a declaration": "<!doctype x </head ><head><?pi </head ?>@</head>",
    "not in a bogus end tag": "<head></ </head>@</head>",
    "not in a script": "<head><script>let a='</head>', b='<body>'</script>@</head>",
    "not in a commented script": "<head><script><!-- <script> </script> </head> --></script>@</head>",
    "a script with an unopened comment end": "<head><script>a-->b</script>@</head>",
    "a script whose comment opens and closes": "<head><script><!--><script></script>@</head>",
    "not in a style, title, textarea or noscript": "<head><style></head></style><title></head></title>"
    "<textarea><body></textarea><noscript><!-- </noscript>@</head> --></head>",
    "not in a template": "<head><template><body></head><script></script></template>@</head>",
    "not in an attribute": "<head><meta content='</head>' a=\"<body>\">@</head>",
    "a quote in an unquoted value": "<head><meta content=it's><meta a='b'>@</head>",
    "a quote in a name": "<head><meta it's>@</head>",
    "an equals sign as a name": "<head><meta =\"a\">@</head><p \">",
    "not in the text": "a < b </ head> <head>@</head>",
    "not a longer name": "<header></header><headx></headx><bodyx><head>@</head>",
    "not in an unfinished tag before": "<head>@</head><p </head>",
    "windows line ends": "<head>\r\n<title>t</title>\r\n@</head>\r\n",
    "a text after plaintext": "<head>@</head><plaintext></head>",
}  # fmt: skip

ENCODINGS = {
    "utf-8": b"",
    "utf-8 with a mark": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}


def both(name: str) -> tuple[str, str]:
    """The page before, and as it should be."""
    template = PAGES[name].replace("##", f"#{PLACEHOLDER}")
    source = template.replace("@", "").replace("#", PLACEHOLDER)
    if "@#" in template:
        return source, template.replace("@#", BLOCK).replace("#", PLACEHOLDER)
    if "@<SCRIPT" in template:
        return source, f"<head>{BLOCK}</head>"
    return source, template.replace("@", BLOCK).replace("#", PLACEHOLDER)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", PAGES)
def test_the_snippets_go(name: str, encoding: str) -> None:
    source, expected = both(name)
    mark, codec = ENCODINGS[encoding], encoding.split(" ")[0]
    page, wanted = mark + source.encode(codec), mark + expected.encode(codec)
    assert render_page(page, SCRIPTS) == wanted
    assert render_page(wanted, SCRIPTS) == wanted


def test_legacy_encodings_and_bytes_that_are_no_text_stay() -> None:
    for rest in ("é".encode("latin-1"), "日本語".encode("shift_jis"), bytes(range(128, 256)), b"\0\xff"):
        page = b"<head><title>" + rest + b"</title></head>" + rest
        assert render_page(page, SCRIPTS) == page.replace(b"</head>", BLOCK.encode() + b"</head>")


def test_a_broken_utf16_page_keeps_its_bytes() -> None:
    page = codecs.BOM_UTF16_LE + "<head>\ud800</head>".encode("utf-16-le", "surrogatepass") + b"x"
    rendered = render_page(page, SCRIPTS)
    block = BLOCK.encode("utf-16-le")
    assert block in rendered
    assert rendered.replace(block, b"") == page


@given(st.text(st.sampled_from("<>/!-\"'= \nheadbodyscript#"), max_size=60), st.text(max_size=30))
@settings(max_examples=400, deadline=None)
def test_whatever_surrounds_them_only_the_snippets_are_added_and_only_once(before: str, after: str) -> None:
    page = f"{before}<head></head>{after}".encode("utf-8", "surrogatepass")
    try:
        rendered = render_page(page, SCRIPTS)
    except PageError:
        assert not page.startswith(b"<head></head>")  # the head is part of an open tag, comment or script
        return
    assert rendered.replace(BLOCK.encode(), b"", 1) == page
    assert render_page(rendered, SCRIPTS) == rendered
    assert render_page(rendered, ()) == page


def test_a_page_rendered_with_other_settings_gets_the_new_snippets_in_the_same_place() -> None:
    first = render_page(f"<head>{PLACEHOLDER}<link></head>".encode(), SCRIPTS)
    assert render_page(first, SCRIPTS[:1]) == f"<head>{SCRIPTS[0].element}<link></head>".encode()


def test_without_snippets_a_page_stays_as_it_is() -> None:
    for page in (f"<head>{PLACEHOLDER}</head>".encode(), b"no head", b""):
        assert render_page(page, (), SOURCES) == page


@pytest.mark.parametrize("page", ["", "<p>text</p>", "<!-- <head></head> ", "<title></head>", "<head>"])
def test_a_page_without_a_place_is_an_error_that_says_what_to_do(page: str) -> None:
    with pytest.raises(PageError, match="put <script>"):
        render_page(page.encode(), SCRIPTS)


META = '<head><meta http-equiv="content-security-policy" content="{}"></head>'


def test_the_policy_in_a_page_is_widened_and_no_other_meta_touched() -> None:
    page = META.format("connect-src &#39;self&#39;") + "<meta name=x content=\"connect-src 'self'\">"
    rendered = render_page(page.encode(), SCRIPTS, SOURCES).decode()
    wanted = META.format("connect-src 'self' https://s.test").replace("</head>", f"{BLOCK}</head>")
    assert rendered == wanted + "<meta name=x content=\"connect-src 'self'\">"
    assert render_page(rendered.encode(), SCRIPTS, SOURCES).decode() == rendered


@pytest.mark.parametrize("reference", ["&rsquo;", "&#x2028;", "&#0;", "&#x1F600;"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_character_that_the_page_can_only_name_by_a_reference_stays_in_its_policy(
    reference: str, encoding: str
) -> None:
    codec = encoding.split(" ")[0]
    page = ENCODINGS[encoding] + META.format(f"connect-src 'self' {reference}").encode(codec)
    rendered = render_page(page, SCRIPTS, SOURCES)
    [policy] = (place.text for place in places_in(rendered) if place.kind is Kind.META_POLICY)
    assert policy == f"connect-src 'self' {html.unescape(reference)} https://s.test"
    stream = PageStream(SCRIPTS, SOURCES)
    assert stream.feed(page) + stream.finish() == rendered
    assert stream.added == len(rendered) - len(page)


def test_a_policy_that_allows_all_already_keeps_its_bytes() -> None:
    page = META.format("connect-src &#104;ttps:").encode()
    assert render_page(page, SCRIPTS, SOURCES) == page.replace(b"</head>", f"{BLOCK}</head>".encode())


def test_the_release_a_rendered_page_reports_can_be_read() -> None:
    sentry = Script("sentry", 'window.sentryConfig = {"dsn":"a</","version":"flowfuse@1"};')
    page = render_page(b"<head></head>", (sentry,))
    assert reported_release(page) == (True, "flowfuse@1")
    assert reported_release(b"<head><script>window.sentryConfig = {}</script></head>") == (False, None)
    assert reported_release(page.replace(b'"dsn"', b"dsn")) == (False, None)


@pytest.mark.parametrize("config", ["5", "null", '["a"]', "[" * 100_000])
def test_a_configuration_that_another_tool_has_rewritten_is_none(config: str) -> None:
    page = render_page(b"<head></head>", (Script("sentry", f"window.sentryConfig = {config};"),))
    assert reported_release(page) == (False, None)


def test_a_version_that_another_tool_has_rewritten_is_no_release() -> None:
    page = render_page(b"<head></head>", (Script("sentry", 'window.sentryConfig = {"version":5};'),))
    assert reported_release(page) == (True, None)


def streamed(page: bytes, size: int) -> bytes:
    stream = PageStream(SCRIPTS)
    pieces = [stream.feed(page[start : start + size]) for start in range(0, len(page), size)]
    return b"".join([*pieces, stream.finish()])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", [name for name in PAGES if "in the body" not in name])
def test_a_streamed_page_is_the_same_page_however_it_is_cut(name: str, encoding: str) -> None:
    page = ENCODINGS[encoding] + both(name)[0].encode(encoding.split(" ")[0])
    whole = render_page(page, SCRIPTS)
    for size in (1, 2, 3, 7, len(page)):
        assert streamed(page, size) == whole


def test_a_stream_holds_only_the_head() -> None:
    stream = PageStream(SCRIPTS)
    assert stream.feed(b"<head>") == b""
    assert stream.feed(b"</head><bo") == f"<head>{BLOCK}</head><bo".encode()
    assert stream.feed(b"dy>") == b"dy>"


MARKUP = st.lists(
    st.sampled_from(
        ["<script>", "<SCRIPT a='>'>", "</script>", "</script", "<!--", "-->", "--!>", "<!", "-", "<style>",
         "</style >", "<title>", "</title", "<template>", "</template>", "<head>", "</head>", "<body a=b>",
         "<plaintext>", "<meta content='a>", "'", '"', ">", "<", "/", "=", " ", "a", "<script data-ff-observe>",
         PLACEHOLDER]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@given(MARKUP, st.lists(st.integers(1, 9), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_markup_means_the_same_however_it_is_cut(text: str, sizes: list[int]) -> None:
    whole, cut = Scanner(), Scanner()
    whole.feed(text)
    at = 0
    for size in itertools.cycle(sizes):
        cut.feed(text[at : at + size])
        at += size
        if at >= len(text):
            break
    assert cut.places == whole.places


@pytest.mark.parametrize("unfinished", ["<script>{}</script>", "<style>{}</style>", "<!--{}-->", "<meta content='{}'>"])
def test_a_long_head_in_small_pieces_is_read_once(unfinished: str) -> None:
    head = "<head>" + unfinished.format("if (a<b) c(d);\n" * 50_000)
    with costing_at_most(100):  # read anew with each piece, it would be minutes
        assert streamed(f"{head}</head>".encode(), 64) == f"{head}{BLOCK}</head>".encode()


def test_a_body_costs_a_stream_nothing() -> None:
    page = b"<head></head>" + b"<p class='a'>text <b>bold</b></p>" * 40_000
    with costing_at_most(3):  # tokenized, it would be over four times as much
        assert streamed(page, len(page)).startswith(f"<head>{BLOCK}</head><p".encode())


@pytest.mark.parametrize("size", [1, 20, 1000])
def test_a_place_in_the_body_is_none_to_a_stream_however_the_page_is_cut(size: int) -> None:
    page = f"<head></head><body>{PLACEHOLDER}</body>".encode()
    assert streamed(page, size) == page.replace(b"</head>", f"{BLOCK}</head>".encode())


def test_a_stream_without_an_end_of_the_head_is_let_go() -> None:
    stream = PageStream(SCRIPTS)
    long = b"<title>" + b"x" * LONGEST_HEAD
    assert stream.feed(long) == long
    assert not stream.changed
