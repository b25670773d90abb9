"""A merged policy allows what the snippets need, all it allowed before, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_observe.frontend import format_policy, merge_csp
from tests.unit.frontend.policy_oracle import FALLBACKS, allows_inline, allows_load, parse

HASH = "'sha256-AbC='"
NEEDED = {
    "script-src": ("https://s.posthog.test", HASH),
    "connect-src": ("https://e.posthog.test", "https://sentry.test"),
    "worker-src": ("blob:",),
}

FLOWFUSE = (
    "base-uri 'self';default-src 'self';script-src 'self' 'unsafe-inline' 'unsafe-eval';worker-src 'self' blob:;"
    "connect-src 'self';img-src 'self' data: www.gravatar.com;object-src 'none';script-src-attr 'none'"
)


@pytest.mark.parametrize(
    ("policy", "merged"),
    [
        # Nothing governs: nothing is forbidden.
        ("", ""),
        ("object-src 'none'", "object-src 'none'"),
        # A missing directive is its fallback and what is needed.
        (
            "default-src 'self'",
            (
                f"default-src 'self'; script-src 'self' https://s.posthog.test {HASH}; connect-src 'self' "
                "https://e.posthog.test https://sentry.test; worker-src 'self' blob:"
            ),
        ),
        (
            "default-src 'none'; connect-src https:; worker-src blob:",
            f"default-src 'none'; connect-src https:; worker-src blob:; script-src https://s.posthog.test {HASH}",
        ),
        # 'none' gives way.
        (
            "default-src 'none'; script-src 'NONE'; connect-src 'none'; worker-src 'none';",
            (
                f"default-src 'none'; script-src https://s.posthog.test {HASH}; connect-src https://e.posthog.test "
                "https://sentry.test; worker-src blob:;"
            ),
        ),
        ("connect-src", "connect-src https://e.posthog.test https://sentry.test"),
        # 'unsafe-inline' stays in force: a hash would switch it off.
        ("script-src 'unsafe-inline' blob:", "script-src 'unsafe-inline' blob: https://s.posthog.test"),
        # ... and where it is off already, the hash is needed.
        (
            "script-src 'unsafe-inline' 'nonce-x' blob:",
            f"script-src 'unsafe-inline' 'nonce-x' blob: https://s.posthog.test {HASH}",
        ),
        # With 'strict-dynamic' hosts mean nothing; what our trusted script loads or starts is trusted.
        ("script-src 'strict-dynamic' 'nonce-x'", f"script-src 'strict-dynamic' 'nonce-x' {HASH}"),
        # The more special directive governs.
        (
            "script-src 'none'; script-src-elem 'self'; worker-src blob:",
            f"script-src 'none'; script-src-elem 'self' https://s.posthog.test {HASH}; worker-src blob:",
        ),
        ("child-src 'self'", "child-src 'self'; worker-src 'self' blob:"),
        # Allowed already, in other words.
        ("connect-src https:", "connect-src https:"),
        ("connect-src *", "connect-src *"),
        ("connect-src http:", "connect-src http:"),
        ("connect-src *.posthog.test sentry.test", "connect-src *.posthog.test sentry.test"),
        ("connect-src http://*.posthog.test SENTRY.test:443", "connect-src http://*.posthog.test SENTRY.test:443"),
        ("connect-src https://*:* wss:", "connect-src https://*:* wss:"),
        # Alike, and yet not allowed.
        (
            "connect-src posthog.test sentry.test:8443 https://sentry.test/path wss: 'self' data:",
            (
                "connect-src posthog.test sentry.test:8443 https://sentry.test/path wss: 'self' data: "
                "https://e.posthog.test https://sentry.test"
            ),
        ),
        ("connect-src *.sentry.test ws:", "connect-src *.sentry.test ws: https://e.posthog.test https://sentry.test"),
        # Of a repeated directive the first counts; text and order of all else stay.
        (
            " Connect-Src  'self' ;\tupgrade-insecure-requests; connect-src 'none';report-uri /csp ",
            (
                " Connect-Src 'self' https://e.posthog.test https://sentry.test;\tupgrade-insecure-requests; "
                "connect-src 'none';report-uri /csp "
            ),
        ),
        # A no-break space does not part words: no browser heeds this directive.
        ("connect-src\xa0'none'", "connect-src\xa0'none'"),
        # Two policies in one header both have to allow it.
        (
            "connect-src 'none', connect-src https:",
            "connect-src https://e.posthog.test https://sentry.test, connect-src https:",
        ),
        (
            FLOWFUSE,
            FLOWFUSE.replace("'unsafe-eval'", "'unsafe-eval' https://s.posthog.test").replace(
                "connect-src 'self'", "connect-src 'self' https://e.posthog.test https://sentry.test"
            ),
        ),
    ],
)
def test_a_policy_is_widened_by_what_is_missing(policy: str, merged: str) -> None:
    assert merge_csp(policy, NEEDED) == merged
    assert merge_csp(merged, NEEDED) == merged


@pytest.mark.parametrize(
    ("policy", "merged"),
    [
        ("default-src 'self'", "default-src 'self'; script-src 'self' https://s.test; worker-src 'self'"),
        ("default-src 'none'", "default-src 'none'; script-src https://s.test; worker-src 'none'"),
        ("default-src 'self'; child-src *", "default-src 'self'; child-src *; script-src 'self' https://s.test"),
    ],
)
def test_scripts_taken_from_the_default_do_not_take_workers_along(policy: str, merged: str) -> None:
    assert merge_csp(policy, {"script-src": ("https://s.test",)}) == merged


@pytest.mark.parametrize(
    ("policy", "merged"),
    [
        ("connect-src sentry.test", "connect-src sentry.test http://sentry.test"),  # https only, on an https page
        ("connect-src http://sentry.test:*", "connect-src http://sentry.test:*"),
        ("connect-src https:", "connect-src https: http://sentry.test"),
    ],
)
def test_an_address_without_tls_is_not_taken_for_one_with(policy: str, merged: str) -> None:
    assert merge_csp(policy, {"connect-src": ("http://sentry.test",)}) == merged


def test_the_sources_alone_can_be_written_as_a_policy() -> None:
    assert format_policy({"script-src": ("https://a.test", HASH), "worker-src": ("blob:",)}) == (
        f"script-src https://a.test {HASH}; worker-src blob:"
    )


SOURCES = st.sampled_from(
    ["'self'", "'none'", "'unsafe-inline'", "'strict-dynamic'", "'nonce-page'", "'sha256-other='", "https:", "data:",
     "blob:", "*", "*.posthog.test", "https://s.posthog.test", "sentry.test", "https://other.test", HASH]
)  # fmt: skip
DIRECTIVES = st.sampled_from(
    ["default-src", "script-src", "script-src-elem", "script-src-attr", "connect-src", "worker-src", "child-src",
     "img-src", "sandbox"]
)  # fmt: skip
POLICIES = st.lists(st.tuples(DIRECTIVES, st.lists(SOURCES, max_size=4)), max_size=5).map(
    lambda parts: "; ".join(" ".join((name, *sources)) for name, sources in parts)
)
URLS = ["https://page.test/", "https://other.test/", "https://third.test/", "http://other.test/", "data:x", "blob:x"]
URLS += ["https://s.posthog.test/", "https://e.posthog.test/", "https://sentry.test/"]


@given(POLICIES)
@settings(max_examples=400, deadline=None)
def test_what_is_needed_is_allowed_what_was_allowed_still_is_and_nothing_else(policy: str) -> None:
    merged = merge_csp(policy, NEEDED)
    assert allows_inline(merged, "script-src-elem", HASH)
    assert allows_load(merged, "script-src-elem", "https://s.posthog.test/", by_trusted_script=True)
    assert all(allows_load(merged, "connect-src", f"{host}/") for host in NEEDED["connect-src"])
    assert allows_load(merged, "worker-src", "blob:x", by_trusted_script=True)
    for kind in ("script-src-elem", "script-src-attr"):
        for trust in ("", "'nonce-page'", "'sha256-other='"):
            assert allows_inline(merged, kind, trust) == allows_inline(policy, kind, trust)
    # Where default-src governed scripts, script-src now does, and so also what falls back to it.
    for kind in FALLBACKS:
        needed = NEEDED["script-src"] if kind in ("script-src-elem", "script-src-attr", "worker-src") else ()
        needed += NEEDED.get(kind, ())
        for url in URLS:
            for trusted in (False, True):
                before = allows_load(policy, kind, url, by_trusted_script=trusted)
                after = allows_load(merged, kind, url, by_trusted_script=trusted)
                wanted = any(url.startswith(source) for source in needed)
                assert after == before or (after and wanted), (kind, url, trusted)
    kept = parse(policy)
    assert {name: kept[name] for name in kept if name in ("sandbox", "img-src", "default-src")} == {
        name: sources for name, sources in parse(merged).items() if name in ("sandbox", "img-src", "default-src")
    }


@given(st.text(st.sampled_from("abc-src '*:/;,.\t\r\n\"é") | st.characters(), max_size=60))
@settings(deadline=None)
def test_no_text_breaks_the_merge(policy: str) -> None:
    assert merge_csp(merge_csp(policy, NEEDED), NEEDED) == merge_csp(policy, NEEDED)
