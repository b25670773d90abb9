"""The collector's HTTP answers in JSON, and every reason for which a request is not accepted as a ping."""

import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from ff_observe.catalogue.ping_contract import MAX_BODY_BYTES, MAX_DEPTH
from ff_observe.http.messages import Answer, answer

RETRY_SECONDS = (30, 90)
"""`Retry-After` is drawn from this range, so that senders who were turned away together do not return together."""


class Reason(StrEnum):
    """A reason for refusing a request, with the HTTP status, and the sentence where it is the request as a whole."""

    status: int
    sentence: str

    TOO_LARGE = "too_large", 413, f"the body is larger than {MAX_BODY_BYTES} bytes"
    MEDIA_TYPE = "media_type", 415, "the Content-Type must be application/json"
    CONTENT_ENCODING = "content_encoding", 415, "a Content-Encoding is not accepted; send the JSON as it is"
    TOO_SLOW = "too_slow", 408, "the request took too long to arrive"
    MALFORMED_HTTP = "malformed_http", 400, "this is not an HTTP request"
    INCOMPLETE = "incomplete", 400, "the request ended before its body did"
    NOT_UTF8 = "not_utf8", 400, "the body is not UTF-8"
    NOT_JSON = "not_json", 400, "the body is not JSON"
    TOO_DEEP = "too_deep", 400, f"the body nests deeper than {MAX_DEPTH} levels"
    NOT_AN_OBJECT = "not_an_object", 400, "the body must be a JSON object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    TOO_LONG = "too_long"
    WRONG_FORM = "wrong_form"
    OVERLOADED = "overloaded", 503, "too many pings at once; try again later"
    STORE_UNAVAILABLE = "store_unavailable", 503, "the ping could not be stored; try again later"
    INTERNAL = "internal", 500, "the ping could not be handled"

    def __new__(cls, value: str, status: int = 400, sentence: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        member.sentence = sentence
        return member


_RETRIED = (Reason.OVERLOADED, Reason.STORE_UNAVAILABLE)
_UNREAD = (Reason.TOO_LARGE, Reason.MEDIA_TYPE, Reason.CONTENT_ENCODING)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request. `field` is the dotted name of the contract's field that is wrong, empty for the request as a
    whole."""

    reason: Reason
    field: str = ""
    detail: str = ""

    @property
    def message(self) -> str:
        """A sentence for the sender. It names the contract's fields and limits, and never repeats the request."""
        return f"{self.field} {self.detail}" if self.field else self.reason.sentence


def json_answer(status: int, document: object, *headers: tuple[bytes, bytes], cache: str = "no-store") -> Answer:
    body = json.dumps(document, separators=(",", ":")).encode("ascii")
    return answer(status, "application/json", body, *headers, cache=cache)


def error(status: int, message: str, *headers: tuple[bytes, bytes]) -> Answer:
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
    return error(refusal.reason.status, refusal.message, *headers)
