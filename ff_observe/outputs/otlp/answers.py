"""Evaluates a receiver's answer to an export, over HTTP or gRPC."""

from typing import Any

from google.protobuf.message import DecodeError, Message

TOO_LATE = "it did not answer in time"
AUTHORITY_KEY = "telemetry.backend.otlp.certificate"
STOPPED = "it had not answered when the bridge stopped"
TOO_LONG = "its answer is too long for an OTLP receiver's"

MOST_OF_AN_ANSWER = 65_536  # bytes; a real answer has a few hundred


class TakenInPart(str):
    """What is wrong with an answer of success: some of what was sent was taken, and must not be sent again (OTLP
    specification, "Partial Success")."""

    __slots__ = ()


def problem_in(body: bytes, message_type: type[Message]) -> TakenInPart | None:
    """Why the data, or part of it, was not accepted; None if it was (OTLP specification, "Partial Success"). It quotes
    the receiver in full, so that secrets are found in it.

    `message_type` is the type of an OTLP receiver's answer.
    """
    if len(body) > MOST_OF_AN_ANSWER:
        return TakenInPart(TOO_LONG)
    message: Any = message_type()
    try:
        message.ParseFromString(body)
    except DecodeError:
        return TakenInPart("its answer is malformed")
    partial = message.partial_success
    rejected = sum(value for field, value in partial.ListFields() if field.name.startswith("rejected_"))
    if not rejected:
        return None
    why = partial.error_message or "it did not say why"
    return TakenInPart(f"it rejected {rejected} of what was sent: {why}")
