"""Why a request does not reach the application, and the answer it gets."""

from enum import Enum

from ff_observe.http.messages import Answer, text


class Problem(Enum):
    """Why the server itself refuses a request."""

    MALFORMED = "malformed"
    HEAD_TOO_LARGE = "head_too_large"
    BODY_TOO_LARGE = "body_too_large"
    TOO_SLOW = "too_slow"
    TOO_MANY_PIPELINED = "too_many_pipelined"
    WRONG_HOST = "wrong_host"
    FAULT = "fault"


class Closing(Enum):
    """Why the server closes a connection without an answer."""

    TOO_SLOW = "too_slow"
    TOO_MANY = "too_many"


class Refusals:
    """Plain text answers. Override the methods for another form, or to count."""

    def __init__(self, allowed_hosts_key: str = "allowed_hosts") -> None:
        wrong_host = (
            f"This server is not known by the name in the Host header. If it should be, add it to {allowed_hosts_key}."
        )
        self._answers = {
            Problem.MALFORMED: text(400, "This is not an HTTP request."),
            Problem.HEAD_TOO_LARGE: text(431, "The headers of the request are too large, or too many."),
            Problem.BODY_TOO_LARGE: text(413, "The request is too large."),
            Problem.TOO_SLOW: text(408, "The request took too long to arrive."),
            Problem.TOO_MANY_PIPELINED: text(503, "Too many requests at once on one connection."),
            Problem.WRONG_HOST: text(421, wrong_host),
            Problem.FAULT: text(500, "Internal Server Error"),
        }

    def answer(self, problem: Problem) -> Answer:
        """The answer to a refused request, sent unless another answer is in progress."""
        return self._answers[problem]

    def refused(self, problem: Problem) -> None:
        """A request was refused."""

    def closed(self, closing: Closing) -> None:
        """A connection was closed without an answer."""
