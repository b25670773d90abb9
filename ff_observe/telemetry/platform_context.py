"""Which of several platforms the work under way is for, so that log lines, spans and errors reach its outputs alone."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_PLATFORM: ContextVar[str | None] = ContextVar("ff_observe_platform", default=None)


def current_platform() -> str | None:
    """Its name; None for the work of the process itself, and where the process serves one platform."""
    return _PLATFORM.get()


@contextlib.contextmanager
def working_for(name: str | None) -> Iterator[None]:
    """What runs within, and the contexts copied there, is work for the platform of that name."""
    token = _PLATFORM.set(name)
    try:
        yield
    finally:
        _PLATFORM.reset(token)
