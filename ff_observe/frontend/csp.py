"""Extends a Content Security Policy by exactly what the snippets need.

Terms and rules are those of Content Security Policy Level 3, https://www.w3.org/TR/CSP3/.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

# The fallback lists of directives (section 6.8.3, "Get fetch directive fallback list"): the first one present governs.
# Inline scripts and <script src> are both elements.
_GOVERNED_BY: Final = {
    "script-src": ("script-src-elem", "script-src", "default-src"),
    "connect-src": ("connect-src", "default-src"),
    "worker-src": ("worker-src", "child-src", "script-src", "default-src"),
}
# Separated by ASCII whitespace: to a browser a no-break space, as copied from a web page, is part of a word.
_WORD: Final = re.compile(r"[^\t\n\f\r ]+")
_TRUST: Final = re.compile(r"'(?:nonce-|sha(?:256|384|512)-).+'", re.IGNORECASE)
_HOST_SOURCE: Final = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>\*|(?:\*\.)?[a-z0-9_.-]+)(?::(?P<port>[0-9]+|\*))?(?P<path>/.*)?",
    re.IGNORECASE,
)
_PORTS: Final = {"http": "80", "https": "443"}
# A scheme in a policy also allows its secure form (section 6.7.2.7, "scheme-part matches").
_UPGRADES: Final = {"http": ("http", "https")}


def format_policy(sources: Mapping[str, Sequence[str]]) -> str:
    """The sources as the text of a policy: the directives alone, to be added to an existing policy."""
    return "; ".join(f"{directive} {' '.join(listed)}" for directive, listed in sources.items())


def merge_csp(policy: str, sources: Mapping[str, Sequence[str]]) -> str:
    """`policy` (the value of one header; several policies are separated by commas) with `sources` allowed too.
    `sources` comes from `csp_sources`.

    Everything else keeps its text and its order. A directive that the policy does not have is governed by its fallback
    (`default-src`), so it is added as that fallback's list plus what is missing. If no directive governs, everything is
    allowed already and nothing is added: a list would forbid what the page does now.
    """
    return ",".join(_merge_one(single, sources) for single in policy.split(","))


def _merge_one(policy: str, sources: Mapping[str, Sequence[str]]) -> str:
    parts = policy.split(";")
    lists: dict[str, tuple[int, list[str]]] = {}  # directive → its position and sources
    for index, part in enumerate(parts):
        words = _WORD.findall(part)
        if words:
            lists.setdefault(words[0].lower(), (index, words[1:]))  # of a repeated directive the first counts
    added: dict[str, list[str]] = {}
    for wanted, needed in sources.items():
        governing = next((name for name in _GOVERNED_BY.get(wanted, (wanted,)) if name in lists), None)
        if governing is None:
            continue
        index, listed = lists[governing]
        missing = _missing(wanted, governing, listed, needed)
        if not missing:
            continue
        kept = [source for source in listed if source.lower() != "'none'"]
        if governing == wanted or governing == f"{wanted}-elem":
            name = _WORD.search(parts[index])
            assert name is not None
            parts[index] = " ".join((parts[index][: name.end()], *kept, *missing))
        else:
            added[wanted] = [*_inherited(wanted, kept), *missing]
    if "script-src" in added and not {"worker-src", "child-src"} & {*lists, *added}:
        # Workers fell back to default-src; now they would fall back to the wider script-src.
        inherited = _inherited("worker-src", lists["default-src"][1])
        added["worker-src"] = inherited or ["'none'"]
    merged = ";".join(parts)
    if not added:
        return merged
    ended = merged.rstrip("\t\n\f\r ").removesuffix(";")
    return "; ".join((ended, format_policy(added)))


def _missing(wanted: str, governing: str, listed: Sequence[str], needed: Iterable[str]) -> list[str]:
    """Those of `needed` that `listed` does not allow yet."""
    lowered = [source.lower() for source in listed]
    strict = "'strict-dynamic'" in lowered
    if strict and wanted == "worker-src" and governing == "script-src":
        return []  # here it trusts the workers that a trusted script starts (6.7.1.1); a separate list would not
    strict = strict and wanted == "script-src"
    trusts_by_name = strict or any(_TRUST.fullmatch(source) for source in listed)
    missing = []
    for source in needed:
        if _TRUST.fullmatch(source):
            # A first nonce or hash would disable 'unsafe-inline' for every other script of the page.
            allowed = source in listed or ("'unsafe-inline'" in lowered and not trusts_by_name)
        else:
            # With 'strict-dynamic' hosts are ignored, and anything that a trusted script loads is trusted.
            allowed = strict or any(_covers(entry, source) for entry in lowered)
        if not allowed:
            missing.append(source)
    return missing


def _inherited(wanted: str, listed: Iterable[str]) -> list[str]:
    """The part of a fallback's list that has a meaning in `wanted`: other keywords, nonces and hashes are for
    scripts."""
    if wanted == "script-src":
        return list(listed)
    keywords = {"'self'", "'strict-dynamic'"} if wanted == "worker-src" else {"'self'"}  # Chromium honours it there
    return [source for source in listed if not source.startswith("'") or source.lower() in keywords]


def _covers(entry: str, needed: str) -> bool:
    """Whether the source `entry` (lower case) of a policy certainly allows all of the origin or keyword `needed`."""
    if entry == needed.lower():
        return True
    origin = urlsplit(needed.lower())
    if origin.scheme not in _PORTS or not origin.hostname:
        return False  # 'self', blob: and the like must be named: not even * includes blob:
    if entry in ("*", f"{origin.scheme}:") or (entry == "http:" and origin.scheme == "https"):
        return True
    match = _HOST_SOURCE.fullmatch(entry)
    if match is None or match["path"] not in (None, "/"):
        return False
    # Without a scheme it is the page's, and so https at least; http only on a page without TLS, which is unknown here.
    schemes = ("https",) if match["scheme"] is None else _UPGRADES.get(match["scheme"], (match["scheme"],))
    port = str(origin.port or _PORTS[origin.scheme])
    ports = ("*", port) if match["port"] else (port,)
    if (match["port"] or _PORTS[origin.scheme]) not in ports or origin.scheme not in schemes:
        return False
    host = match["host"]
    return host in ("*", origin.hostname) or (host.startswith("*.") and origin.hostname.endswith(host[1:]))
