"""Values that break out of careless templates, for property-based tests."""

from hypothesis import strategies as st

FRAGMENTS = [
    *("</script>", "</SCRIPT >", "<!--", "-->", "<script>", "<!--<script>", "--!>"),
    *("<![CDATA[", "]]>", "{{x}}", "${x}", "$&", "$1", "\\"),
    *("'", '"', "`", "\u2028", "\u2029", "\0", "\r\n", "\n", "\t", "\x7f", "\x85", "\ufeff", "\ufffe", "&lt;", "&amp;"),
    *("😀", "\U0010ffff", "\ud800", "\udc00", "é", "</head>", "</body>", "/*inject-ff-scripts*/", "\\u003c"),
    *("__proto__", "javascript:alert(1)", "');alert(1);('", '"};alert(1);//', "https://k@sentry.test/1", "x" * 100_000),
]  # fmt: skip

EVERYTHING = "".join(FRAGMENTS)
VALUES = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=20), min_size=1, max_size=6).map("".join)
