"""Spans of the bridge's own work. Nearly free until an output installs a tracer; imports no tracing library.

Like `logging`, one per process: the code that is traced does not know whether a tracer is installed. A span's content
is for the operator: never a value of the database, a secret or a client's address.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol

from ff_observe.telemetry.platform_context import current_platform

AttributeValue = str | int | float | bool
Kind = Literal["internal", "client", "server"]
"""The bridge's own work, a request to another service, or the answer to a request (OpenTelemetry's span kinds)."""
Context = object
"""The position in a trace of the work in progress, to continue from in another thread."""


class Span:
    """Work under way; here, what nothing traces."""

    def set_attribute(self, name: str, value: AttributeValue) -> None:
        """Add an attribute, by OpenTelemetry's semantic conventions if there is one."""

    def fail(self, error_type: str) -> None:
        """Mark it as failed, with one of a few reasons: a class of error, an outcome."""


class Tracer(Protocol):
    """The interface of an output that receives spans."""

    def span(
        self, name: str, kind: Kind, attributes: Mapping[str, AttributeValue], after: Sequence[Context]
    ) -> AbstractContextManager[Span]:
        """A span from entering to leaving; an exception that passes through marks it as failed."""

    def current_ids(self) -> tuple[str, str] | None:
        """Trace id and span id (hexadecimal) of the work in progress in this thread or task."""

    def here(self) -> Context:
        """The position of the work in progress in this thread or task."""


_UNHEARD: AbstractContextManager[Span] = nullcontext(Span())
_listening: list[tuple[str | None, Tracer]] = []


def install(tracer: Tracer) -> None:
    """Send spans of the current platform's work to `tracer` from now on."""
    _listening.append((current_platform(), tracer))


def remove(tracer: Tracer) -> None:
    """Stop sending spans to `tracer`; legal if it was never installed."""
    _listening[:] = [each for each in _listening if each[1] is not tracer]


def _tracer() -> Tracer | None:
    if not _listening:
        return None
    platform = current_platform()
    return next((tracer for of_platform, tracer in reversed(_listening) if of_platform == platform), None)


def is_on() -> bool:
    """Whether a tracer is installed: for code that is called so often that even an unused span would cost too much."""
    return bool(_listening)


def span(
    name: str, kind: Kind = "internal", *, after: Sequence[Context | None] = (), **attributes: AttributeValue
) -> AbstractContextManager[Span]:
    """A span around a piece of work; an attribute `db__system` is sent as `db.system`.

    It belongs to the work in progress in this thread or task, or to that of `after` (see `here`): to the first as a
    part of it, to the others by a link.
    """
    tracer = _tracer()
    if tracer is None:
        return _UNHEARD
    spelled = {key.replace("__", "."): value for key, value in attributes.items()}
    return tracer.span(name, kind, spelled, [context for context in after if context is not None])


def here() -> Context | None:
    """The position of the work in progress in this thread or task; None without a tracer."""
    tracer = _tracer()
    return tracer.here() if tracer is not None else None


def current_ids() -> tuple[str, str] | None:
    """Trace id and span id (hexadecimal) of the work in progress here, None without one."""
    tracer = _tracer()
    return tracer.current_ids() if tracer is not None else None
