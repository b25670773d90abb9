"""The collector's HTTP answers."""

import json
import secrets

from ff_observe.collector.refusals import Reason, Refusal
from ff_observe.http.messages import Answer, answer

RETRY_SECONDS = (30, 90)
"""`Retry-After` is drawn from this range, so that senders who were turned away together do not return together."""

_RETRIED = (Reason.OVERLOADED, Reason.STORE_UNAVAILABLE)
_UNREAD = (Reason.TOO_LARGE, Reason.MEDIA_TYPE, Reason.CONTENT_ENCODING)


def json_answer(status: int, document: object, *headers: tuple[bytes, bytes], cache: str = "no-store") -> Answer:
    """An answer in JSON."""
    body = json.dumps(document, separators=(",", ":")).encode("ascii")
    return answer(status, "application/json", body, *headers, cache=cache)


def error(status: int, message: str, *headers: tuple[bytes, bytes]) -> Answer:
    """An error in JSON."""
    return json_answer(status, {"status": "error", "error": message}, *headers)


def success(*headers: tuple[bytes, bytes]) -> Answer:
    """Acknowledges a ping."""
    return json_answer(200, {"status": "success"}, *headers)


SUCCESS = success()


def refusal_answer(refusal: Refusal) -> Answer:
    """Explains why a ping is not acknowledged. The connection is closed if the body was not read."""
    headers: list[tuple[bytes, bytes]] = []
    if refusal.reason in _RETRIED:
        first, last = RETRY_SECONDS
        headers.append((b"retry-after", b"%d" % (first + secrets.randbelow(last - first + 1))))
    if refusal.reason in _UNREAD:
        headers.append((b"connection", b"close"))
    return error(refusal.status, refusal.message, *headers)
