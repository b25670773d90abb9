"""Spans of the bridge's own work. Costs next to nothing until an output installs a tracer; imports no tracing library.

Like `logging`, one per process: the code that works does not know whether anybody listens.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

AttributeValue = str | int | float | bool


class Span(Protocol):
    """Work under way."""

    def set_attribute(self, name: str, value: AttributeValue) -> None:
        """Say something of it, by OpenTelemetry's semantic conventions where there is one."""


class Tracer(Protocol):
    """What an output offers to hear of spans."""

    def span(self, name: str, attributes: Mapping[str, AttributeValue]) -> AbstractContextManager[Span]:
        """A span from entering to leaving; an exception that passes through marks it as failed."""

    def current_ids(self) -> tuple[str, str] | None:
        """Trace id and span id (hexadecimal) of the work under way in this thread or task."""


class _Silence:
    """The tracer when nobody listens, and the span it gives."""

    def set_attribute(self, name: str, value: AttributeValue) -> None:
        pass

    def span(self, name: str, attributes: Mapping[str, AttributeValue]) -> AbstractContextManager[Span]:
        return nullcontext(self)

    def current_ids(self) -> tuple[str, str] | None:
        return None


_SILENCE = _Silence()
_listening: list[Tracer] = []


def install(tracer: Tracer) -> None:
    """From now on spans go to `tracer`."""
    _listening.append(tracer)


def remove(tracer: Tracer) -> None:
    """Spans no longer go to `tracer`; legal if they never did."""
    if tracer in _listening:
        _listening.remove(tracer)


def _tracer() -> Tracer:
    return _listening[-1] if _listening else _SILENCE


def span(name: str, **attributes: AttributeValue) -> AbstractContextManager[Span]:
    """A span around a piece of work; an attribute `db__system` is sent as `db.system`."""
    return _tracer().span(name, {key.replace("__", "."): value for key, value in attributes.items()})


def current_ids() -> tuple[str, str] | None:
    """Trace id and span id (hexadecimal) of the work under way here, None without one."""
    return _tracer().current_ids()
