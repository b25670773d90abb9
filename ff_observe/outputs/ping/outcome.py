"""The outcomes of an attempt to deliver a ping: a closed list, and which HTTP answer means which."""

import email.utils
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus

from ff_observe.delivery.errors import status_in_words

MAX_RETRY_AFTER_SECONDS = 86_400.0  # the next ping is due by then


PingSink = Callable[[bool], None]
"""Notified once the ping of a day is over: whether it was delivered."""


class Result(StrEnum):
    """`rejected` is not retried before the next ping is due; `failed` is."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt. `explanation` names the receiver by host and port only: its URL may hold credentials."""

    result: Result
    explanation: str
    status: int | None = None  # of the HTTP answer, where there was one
    receiver: str | None = None  # host and port; None if nothing was tried
    retry_after_seconds: float | None = None
    cosignature: str | None = None  # of the checkpoint that was shown, as it was answered
    interrupted: bool = False  # by our own stop: it may have arrived


def outcome_of_answer(status: int, retry_after: str | None, receiver: str, now: datetime) -> Outcome:
    """Any 2xx is success, whatever the body. Redirects are final, and so are 4xx other than those that mean "later".

    408 and 429 concern the moment, not the ping (RFC 9110 section 15.5.9, RFC 6585 section 4).
    """
    answer = f"{receiver} answered {status_in_words(status)}"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome(Result.DELIVERED, answer, status, receiver)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Outcome(
            Result.REJECTED,
            f"{answer}; redirects are not followed. If the receiver has moved, change telemetry.url",
            status,
            receiver,
        )
    later = status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and not later:
        return Outcome(Result.REJECTED, f"{answer}; check telemetry.url", status, receiver)
    return Outcome(Result.FAILED, answer, status, receiver, retry_after_seconds(retry_after, now))


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """`Retry-After` in either form (RFC 9110 section 10.2.3), at most a day; None if absent, past or unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)  # infinite if the number has hundreds of digits
    else:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        if moment.tzinfo is None:  # "-0000": UTC of unknown origin
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    if math.isnan(seconds) or seconds <= 0:
        return None
    return min(seconds, MAX_RETRY_AFTER_SECONDS)
