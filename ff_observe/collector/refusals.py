"""Why a request is not accepted as a ping, with the HTTP status and the sentence for its sender."""

from dataclasses import dataclass
from enum import StrEnum

from ff_observe.ping_contract import MAX_BODY_BYTES, MAX_DEPTH


class Reason(StrEnum):
    """Every reason for refusing a request."""

    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    CONTENT_ENCODING = "content_encoding"
    TOO_SLOW = "too_slow"
    MALFORMED_HTTP = "malformed_http"
    INCOMPLETE = "incomplete"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    TOO_LONG = "too_long"
    WRONG_FORM = "wrong_form"
    OVERLOADED = "overloaded"
    STORE_UNAVAILABLE = "store_unavailable"
    INTERNAL = "internal"


_STATUS = {
    Reason.TOO_LARGE: 413,
    Reason.MEDIA_TYPE: 415,
    Reason.CONTENT_ENCODING: 415,
    Reason.TOO_SLOW: 408,
    Reason.OVERLOADED: 503,
    Reason.STORE_UNAVAILABLE: 503,
    Reason.INTERNAL: 500,
}

_MESSAGES = {
    Reason.TOO_LARGE: f"the body is larger than {MAX_BODY_BYTES} bytes",
    Reason.MEDIA_TYPE: "the Content-Type must be application/json",
    Reason.CONTENT_ENCODING: "a Content-Encoding is not accepted; send the JSON as it is",
    Reason.TOO_SLOW: "the request took too long to arrive",
    Reason.MALFORMED_HTTP: "this is not an HTTP request",
    Reason.INCOMPLETE: "the request ended before its body did",
    Reason.NOT_UTF8: "the body is not UTF-8",
    Reason.NOT_JSON: "the body is not JSON",
    Reason.TOO_DEEP: f"the body nests deeper than {MAX_DEPTH} levels",
    Reason.NOT_AN_OBJECT: "the body must be a JSON object",
    Reason.OVERLOADED: "too many pings at once; try again later",
    Reason.STORE_UNAVAILABLE: "the ping could not be stored; try again later",
    Reason.INTERNAL: "the ping could not be handled",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request. `field` is the dotted name of the contract's field that is wrong, empty for the request as a
    whole."""

    reason: Reason
    field: str = ""
    detail: str = ""

    @property
    def status(self) -> int:
        """The HTTP status to answer with."""
        return _STATUS.get(self.reason, 400)

    @property
    def message(self) -> str:
        """A sentence for the sender. It names the contract's fields and limits, and never repeats the request."""
        return f"{self.field} {self.detail}" if self.field else _MESSAGES[self.reason]
