"""What a browser allows under a Content Security Policy, for the few kinds of sources the tests use.

Written from https://www.w3.org/TR/CSP3/, sections 6.7 and 6.8, apart from the code under test and simpler than it: a
page at https://page.test, hosts without paths and ports.
"""

from urllib.parse import urlsplit

PAGE = "page.test"
FALLBACKS = {
    "script-src-elem": ("script-src-elem", "script-src", "default-src"),
    "script-src-attr": ("script-src-attr", "script-src", "default-src"),
    "connect-src": ("connect-src", "default-src"),
    "img-src": ("img-src", "default-src"),
    "worker-src": ("worker-src", "child-src", "script-src", "default-src"),
}


def parse(policy: str) -> dict[str, list[str]]:
    directives: dict[str, list[str]] = {}
    for part in policy.split(";"):
        words = part.split()
        if words:
            directives.setdefault(words[0].lower(), words[1:])
    return directives


def _governing(policy: str, kind: str) -> tuple[str, list[str] | None]:
    directives = parse(policy)
    name = next((name for name in FALLBACKS[kind] if name in directives), "")
    return name, directives.get(name)


def _matches(source: str, url: str) -> bool:
    parts = urlsplit(url)
    if source == "'self'":
        return parts.hostname == PAGE and parts.scheme == "https"
    if source.endswith(":"):
        return source == f"{parts.scheme}:"
    if parts.scheme not in ("https", "http"):
        return False
    if source == "*":
        return True
    scheme, _, host = source.rpartition("://")
    if (scheme or "https") != parts.scheme:
        return False
    return str(parts.hostname).endswith(host[1:]) if host.startswith("*.") else host == parts.hostname


def allows_load(policy: str, kind: str, url: str, *, by_trusted_script: bool = False) -> bool:
    """Whether `url` may be loaded, contacted or started as `kind`; `by_trusted_script`: by a script that may run."""
    name, sources = _governing(policy, kind)
    if sources is None:
        return True
    if "'strict-dynamic'" in sources and (kind == "script-src-elem" or (kind, name) == ("worker-src", "script-src")):
        return by_trusted_script
    return any(_matches(source, url) for source in sources)


def allows_inline(policy: str, kind: str, trust: str = "") -> bool:
    """Whether an inline script (or handler) runs that has the nonce or hash `trust`."""
    _, sources = _governing(policy, kind)
    if sources is None or (trust and trust in sources):
        return True
    named = any(source.startswith(("'nonce-", "'sha256-")) or source == "'strict-dynamic'" for source in sources)
    return "'unsafe-inline'" in sources and not named
