"""Our reading of markup against a browser's: in any soup of tags, the snippets we add are the scripts it finds."""

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser

from ff_observe.errors import PageError
from ff_observe.frontend import Script, render_page
from ff_observe.frontend.stream import PageStream

SCRIPTS = (Script("sentry", "let a=1;"), Script("posthog", "let b=2;"))
# Not here: noscript, which DOMParser (it runs no scripts) reads otherwise than a page; SVG and MathML.
PARTS = [
    *(
        "<head>",
        "</head>",
        "<HEAD a=b>",
        "</Head x='>'>",
        "<body>",
        "<body class='x>y'>",
        "</body>",
        "<html>",
        "<p a=it's>",
    ),
    *(
        "<script>",
        "</script>",
        "<script>a</script>",
        "</SCRIPT >",
        "<!--",
        "-->",
        "--!>",
        "<!-->",
        "<!--->",
        "<!--a-->",
    ),
    *(
        "<script><!--",
        "<script><!--<script>",
        "<title>",
        "</title>",
        "<style>",
        "</style>",
        "<textarea>",
        "</textarea>",
    ),
    *(
        "<template>",
        "</template>",
        "<!doctype html>",
        "<?a>",
        "</ a>",
        "</>",
        "<",
        "</",
        "<!",
        "'",
        '"',
        ">",
        "=",
        "/",
        " ",
    ),
    *(
        "<meta content='",
        '<meta a="',
        "<meta a=",
        "<link/>",
        "<xmp>",
        "</xmp>",
        "<iframe>",
        "</iframe>",
        "text",
        "<a",
        "\n",
    ),
    "<script>/*inject-ff-scripts*/</script>",
]
SOUPS = st.lists(st.lists(st.sampled_from(PARTS), max_size=12).map("".join), min_size=40, max_size=60)

# The texts of our scripts, and how many others there are, in the page before and after.
COUNT = """(pages) => pages.map((page) => {
  const parsed = new DOMParser().parseFromString(page, "text/html");
  const ours = Array.from(parsed.querySelectorAll("script[data-ff-observe]"), (script) => script.textContent);
  return [ours, parsed.querySelectorAll("script:not([data-ff-observe])").length];
})"""


def streamed(page: bytes) -> bytes:
    stream = PageStream(SCRIPTS)
    return b"".join([*(stream.feed(page[at : at + 5]) for at in range(0, len(page), 5)), stream.finish()])


@given(soups=SOUPS)
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
def test_a_browser_finds_just_the_scripts_we_add(browser: Browser, soups: list[str]) -> None:
    before, after = [], []
    for soup in soups:
        try:
            rendered = render_page(soup.encode(), SCRIPTS)
        except PageError:
            continue
        for page in (rendered, streamed(soup.encode())):
            if page != soup.encode():
                before.append(soup)
                after.append(page.decode())
    opened = browser.new_page()
    plain, found = opened.evaluate(COUNT, before), opened.evaluate(COUNT, after)
    opened.close()
    for soup, text, was, now in zip(before, after, plain, found, strict=True):
        replaced = text.count("/*inject-ff-scripts*/") < soup.count("/*inject-ff-scripts*/")
        assert now == [[script.body for script in SCRIPTS], was[1] - replaced], (soup, text)
