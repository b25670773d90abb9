"""Reads the version of Node.js from FlowFuse's own `/metrics`: for containers, where Node is not on the path.

FlowFuse has that page with `telemetry.backend.prometheus.enabled`, at the address `base_url`.
"""

import logging
import re
import time

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
MOST_BYTES = 2**20  # FlowFuse's exposition has some 20 kB
_BYTES_AT_ONCE = 2**16

_VERSION = re.compile(rb'^nodejs_version_info\{[^}]*\bversion="(v\d[\w.+-]{0,62})"', re.MULTILINE)


def node_version(base_url: str) -> str | None:
    """The version with Node's leading `v`; None if FlowFuse does not answer, or its answer (perhaps its web page)
    lacks it."""
    if not base_url.lower().startswith(("http://", "https://")):
        return None
    import urllib3  # costs memory and start-up time; not needed if Node is on the path
    from urllib3.exceptions import HTTPError

    from ff_observe.delivery.trust import client_context

    until = time.monotonic() + TIMEOUT_SECONDS
    try:
        trust = client_context() if base_url.lower().startswith("https:") else None
        # Without retries no redirect is followed.
        with urllib3.PoolManager(ssl_context=trust, timeout=TIMEOUT_SECONDS, retries=False) as pool:
            answer = pool.request("GET", f"{base_url.rstrip('/')}/metrics", preload_content=False)
            body = b""
            while (more := answer.read1(_BYTES_AT_ONCE)) and len(body) < MOST_BYTES and time.monotonic() < until:
                body += more
            answer.close()
    except (HTTPError, OSError, ValueError) as error:
        log.debug("the version of Node.js cannot be read from FlowFuse: %s", type(error).__name__)
        return None
    found = _VERSION.search(body)
    return found[1].decode("ascii") if found else None
