"""What the collector answers on the wire."""

import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ff_observe.ping_collector.acceptance import Reason, Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SUCCESS = b'{"status":"success"}'
RETRY_SECONDS = (30, 90)
"""After how long to try again: drawn between these, so that a fleet that was turned away does not return as one."""

_JSON = (b"content-type", b"application/json")
_SUCCESS_START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [_JSON, (b"content-length", b"%d" % len(SUCCESS))],
}
_SUCCESS_BODY: Message = {"type": "http.response.body", "body": SUCCESS}
_RETRIED = (Reason.OVERLOADED, Reason.STORE_UNAVAILABLE)
_UNREAD = (Reason.TOO_LARGE, Reason.MEDIA_TYPE, Reason.CONTENT_ENCODING)


def error_bytes(refusal: Refusal) -> bytes:
    """The body of a refusal."""
    return json.dumps({"status": "error", "error": refusal.message}, separators=(",", ":")).encode("ascii")


async def send_success(send: Send) -> None:
    """Acknowledge a ping."""
    await send(_SUCCESS_START)
    await send(_SUCCESS_BODY)


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Say why a ping is not acknowledged. Where the body was not read the connection is closed."""
    body = error_bytes(refusal)
    headers: Iterable[tuple[bytes, bytes]] = [_JSON, (b"content-length", b"%d" % len(body))]
    if refusal.reason in _RETRIED:
        first, last = RETRY_SECONDS
        headers = [*headers, (b"retry-after", b"%d" % (first + secrets.randbelow(last - first + 1)))]
    if refusal.reason in _UNREAD:
        headers = [*headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
