"""Merged policies in real Chromium: all that ran still runs, what the snippets need runs, and nothing else does."""

import base64
import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

from ff_observe.frontend import merge_csp
from tests.real_parts import browser as real_browser
from tests.real_parts.internet import Answer, Internet, Request, internet

PAGE = "page.test"
HOSTS = (PAGE, "other.test", "third.test", "s.posthog.test", "e.posthog.test", "sentry.test")


def hash_of(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


SNIPPET = """ran.push("the snippet"); var script = document.createElement("script");
script.src = "https://s.posthog.test/by-the-snippet.js"; document.head.appendChild(script);"""
HASHED = 'ran.push("a script with a hash")'
TEXT = f"""<!doctype html><link rel="icon" href="data:,"><script>ran.push("an inline script")</script>
<script nonce="page">ran.push("a script with a nonce")</script><script>{HASHED}</script><script>{SNIPPET}</script>
<button onclick='ran.push("a handler")'>b</button>""" + "".join(
    f'<script src="https://{host}/a.js"></script><script nonce="page" src="https://{host}/with-nonce.js"></script>'
    f'<img src="https://{host}/a.png">'
    for host in HOSTS
)
TRY = """async (hosts) => {
  const worker = (address) => new Promise((resolve) => {
    try {
      const started = new Worker(address);
      started.onmessage = () => resolve(true);
      started.onerror = () => resolve(false);
    } catch { resolve(false); }
  });
  document.querySelector("button").click();
  try { eval('ran.push("eval")'); } catch {}
  try { await WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])); ran.push("WebAssembly"); } catch {}
  for (const host of hosts) { try { await fetch(`https://${host}/fetched`, {mode: "no-cors"}); } catch {} }
  const blob = URL.createObjectURL(new Blob(["postMessage(1)"], {type: "text/javascript"}));
  const data = "data:text/javascript,postMessage(1)";
  const addresses = {"a blob worker": blob, "a data worker": data, "a worker": "/w.js"};
  for (const [name, address] of Object.entries(addresses)) { if (await worker(address)) { ran.push(name); } }
  return ran;
}"""

NEEDED = {
    "script-src": ("https://s.posthog.test", hash_of(SNIPPET)),
    "connect-src": ("https://e.posthog.test", "https://sentry.test"),
    "worker-src": ("blob:",),
}
MUST_RUN = {"the snippet", "a blob worker", "s.posthog.test/by-the-snippet.js", "e.posthog.test/fetched",
            "sentry.test/fetched"}  # fmt: skip
MAY_RUN = MUST_RUN | {"s.posthog.test/a.js", "s.posthog.test/with-nonce.js"}  # allowing a host allows it to the page

SOURCES = st.sampled_from(
    ["'self'", "'none'", "'unsafe-inline'", "'strict-dynamic'", "'nonce-page'", hash_of(HASHED), hash_of(SNIPPET),
     "'unsafe-eval'", "'wasm-unsafe-eval'", "'unsafe-hashes'", "'report-sample'", "https:", "http:", "wss:", "data:",
     "blob:", "*", "*.posthog.test", "https://s.posthog.test", "sentry.test", "https://other.test", "other.test:443",
     "https://other.test/x/", "https://third.test:444"]
)  # fmt: skip
DIRECTIVES = st.sampled_from(
    ["default-src", "script-src", "script-src-elem", "script-src-attr", "connect-src", "worker-src", "child-src",
     "img-src", "frame-src", "Default-Src", "SCRIPT-SRC"]
)  # fmt: skip
POLICIES = st.lists(
    st.lists(st.tuples(DIRECTIVES, st.lists(SOURCES, max_size=4)), max_size=4).map(
        lambda parts: "; ".join(" ".join((name, *sources)) for name, sources in parts)
    ),
    min_size=1,
    max_size=2,
).map(", ".join)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    with internet(tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture(scope="module")
def page(web: Internet) -> Iterator[Page]:
    with (
        real_browser.browser({"*:443": web.address}) as launched,
        real_browser.visitor(launched) as visitor,
    ):
        opened = visitor.new_page()
        opened.add_init_script("window.ran = []")
        yield opened


def runs(web: Internet, page: Page, policy: str) -> set[str]:
    """All that runs and is asked for in a page under `policy`."""

    def site(request: Request) -> Answer:
        if (request.host, request.path) == (PAGE, "/"):
            return Answer(TEXT.encode(), "text/html", (("content-security-policy", policy),))
        # As a worker it answers; as a script of the page it is quiet.
        return Answer(b"self.document || postMessage(1)", "text/javascript")

    web.sites = dict.fromkeys(HOSTS, site)
    web.requests.clear()
    page.goto(f"https://{PAGE}/")
    ran = set(page.evaluate(TRY, HOSTS))
    return ran | {f"{request.host}{request.path}" for request in web.requests} - {f"{PAGE}/"}


@given(policy=POLICIES)
@example(policy="default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'")
@example(policy="default-src 'none'")
@example(policy="default-src 'self' 'unsafe-inline' blob:; connect-src https:")
@example(policy="default-src 'self'; script-src 'strict-dynamic' 'nonce-page', script-src-elem 'self' 'unsafe-inline'")
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would load hundreds of pages
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_merged_policy_allows_what_it_did_what_is_needed_and_nothing_else(
    web: Internet, page: Page, policy: str
) -> None:
    merged = merge_csp(policy, NEEDED)
    before, after = runs(web, page, policy), runs(web, page, merged)
    assert before - after == set(), merged
    assert MUST_RUN - after == set(), merged
    assert after - before - MAY_RUN == set(), merged
