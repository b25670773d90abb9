"""Spans of the bridge's own work. Costs next to nothing until an output installs a tracer; imports no tracing library.

Like `logging`, one per process: the code that works does not know whether anybody listens. What a span says is for
the operator's eyes, never a value of the database, a secret or the address of somebody who asks.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol

AttributeValue = str | int | float | bool
Kind = Literal["internal", "client", "server"]
"""The bridge's own work, a question to somebody else, or the answer to a question (OpenTelemetry's span kinds)."""


class Span(Protocol):
    """Work under way."""

    def set_attribute(self, name: str, value: AttributeValue) -> None:
        """Say something of it, by OpenTelemetry's semantic conventions where there is one."""

    def fail(self, error_type: str) -> None:
        """It did not work, for a reason of a few: a class of error, an outcome."""


class Context(Protocol):
    """Where in a trace the work under way is, to go on from in another thread."""


class Tracer(Protocol):
    """What an output offers to hear of spans."""

    def span(
        self, name: str, kind: Kind, attributes: Mapping[str, AttributeValue], after: Sequence[Context]
    ) -> AbstractContextManager[Span]:
        """A span from entering to leaving; an exception that passes through marks it as failed."""

    def current_ids(self) -> tuple[str, str] | None:
        """Trace id and span id (hexadecimal) of the work under way in this thread or task."""

    def here(self) -> Context:
        """The place of the work under way in this thread or task."""


class _Silence:
    """The span when nobody listens."""

    def set_attribute(self, name: str, value: AttributeValue) -> None:
        pass

    def fail(self, error_type: str) -> None:
        pass


_UNHEARD: AbstractContextManager[Span] = nullcontext(_Silence())
_NOBODY: list[Tracer | None] = [None]
_listening: list[Tracer | None] = []


def install(tracer: Tracer) -> None:
    """From now on spans go to `tracer`."""
    _listening.append(tracer)


def remove(tracer: Tracer) -> None:
    """Spans no longer go to `tracer`; legal if they never did."""
    if tracer in _listening:
        _listening.remove(tracer)


def _tracer() -> Tracer | None:
    return (_listening[-1:] or _NOBODY)[0]  # in one step: it may go at any time


def is_on() -> bool:
    """Whether anybody listens: for code that is called so often that even an unheard span would cost too much."""
    return bool(_listening)


def span(
    name: str, kind: Kind = "internal", *, after: Sequence[Context | None] = (), **attributes: AttributeValue
) -> AbstractContextManager[Span]:
    """A span around a piece of work; an attribute `db__system` is sent as `db.system`.

    It belongs to the work under way in this thread or task, or to that of `after` (see `here`): to the first as a part
    of it, to the others by a link.
    """
    tracer = _tracer()
    if tracer is None:
        return _UNHEARD
    spelled = {key.replace("__", "."): value for key, value in attributes.items()}
    return tracer.span(name, kind, spelled, [context for context in after if context is not None])


def here() -> Context | None:
    """The place of the work under way in this thread or task; None when nobody listens."""
    tracer = _tracer()
    return tracer.here() if tracer is not None else None


def current_ids() -> tuple[str, str] | None:
    """Trace id and span id (hexadecimal) of the work under way here, None without one."""
    tracer = _tracer()
    return tracer.current_ids() if tracer is not None else None
