"""Exports over gRPC: the SDK's exporters with our own calls, which read the answer and say why one failed.

The SDK (1.45) does not look at the answer, and grpc logs a traceback for each one that is malformed. Retries and
`RetryInfo` are the SDK's. Imports grpc; load it only if that is used.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from ff_observe.delivery.trust import explain
from ff_observe.outputs.otlp.answers import AUTHORITY_KEY, STOPPED, TOO_LATE, problem_in

_REFUSED_CERTIFICATE: Final = re.compile(r"(?<=CERTIFICATE_VERIFY_FAILED: )[\w -]+|Peer name .{1,255} is not in")


class NotTakenError(grpc.RpcError):
    """The receiver answered, and did not accept the data. For errors with this interface the SDK does nothing more."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self._problem = problem

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.INVALID_ARGUMENT

    def details(self) -> str:
        return self._problem

    def trailing_metadata(self) -> tuple[Any, ...]:
        return ()


class Calls:
    """What the SDK uses as the stub of a service, channel after channel. `problem` is why the last call failed."""

    def __init__(
        self, service: ServiceDescriptor, answer: type[Message], authority: Path | None, headers: Mapping[str, str]
    ) -> None:
        self.problem: str | None = None
        # Values of names with this ending are bytes ("gRPC over HTTP2", "Custom-Metadata").
        self._metadata = [(name, value.encode() if name.endswith("-bin") else value) for name, value in headers.items()]
        self._authority = authority
        self._method = f"/{service.full_name}/Export"
        self._answer = answer

    def over(self, channel: grpc.Channel) -> "Calls":
        self._call: Any = channel.unary_unary(
            self._method, request_serializer=lambda message: message.SerializeToString()
        )
        return self

    def Export(self, **arguments: Any) -> None:  # noqa: N802 - named so by the protocol
        try:
            # Ours: the SDK adds those of the environment, and one process may serve several platforms.
            body: bytes = self._call(**arguments | {"metadata": self._metadata})
        except grpc.RpcError as error:
            self.problem = _in_words(error, self._authority)
            raise
        except ValueError:  # grpc raises this for a closed channel
            self.problem = STOPPED
            raise NotTakenError(STOPPED) from None
        self.problem = problem_in(body, self._answer)
        if self.problem is not None:
            raise NotTakenError(self.problem)


def over(exporter_class: Any, calls: Calls) -> Any:
    """The exporter's class, exporting through `calls`."""

    class Exporter(exporter_class):  # type: ignore[misc]  # the base is known when it runs
        def _initialize_channel_and_stub(self) -> None:  # the only place in the SDK to supply a stub
            self._stub = calls.over
            super()._initialize_channel_and_stub()

    return Exporter


def _in_words(error: Any, authority: Path | None) -> str:
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TOO_LATE
    if code is grpc.StatusCode.CANCELLED:
        return STOPPED
    if refused := _REFUSED_CERTIFICATE.search(details):
        return explain(refused[0], AUTHORITY_KEY, authority)
    if "last error: " in details:  # no connection: grpc reports the same for each attempt
        return f"it could not be reached: {details.rpartition('last error: ')[2]}"
    return f"{code.name}, {details or 'without a reason'}"
