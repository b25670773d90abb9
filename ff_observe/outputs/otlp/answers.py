"""Evaluates a receiver's answer to an export, over HTTP or gRPC."""

from typing import Any

from google.protobuf.message import DecodeError, Message

TOO_LATE = "it did not answer in time"
AUTHORITY_KEY = "telemetry.backend.otlp.certificate"
STOPPED = "it had not answered when the bridge stopped"

_MOST_OF_A_MESSAGE = 200  # characters


def problem_in(body: bytes, message_type: type[Message]) -> str | None:
    """Why the data, or part of it, was not accepted; None if it was (OTLP specification, "Partial Success").

    `message_type` is the type of an OTLP receiver's answer.
    """
    message: Any = message_type()
    try:
        message.ParseFromString(body)
    except DecodeError:
        return "its answer is malformed"
    partial = message.partial_success
    rejected = sum(value for field, value in partial.ListFields() if field.name.startswith("rejected_"))
    if not rejected:
        return None
    return f"it rejected {rejected} of what was sent: {shortened(partial.error_message) or 'it did not say why'}"


def shortened(said: str | None) -> str:
    """A receiver's message, cut to the length of a log line."""
    return (said or "")[:_MOST_OF_A_MESSAGE]
