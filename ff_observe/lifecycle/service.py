"""Starts and stops the parts of a running bridge: in order, in reverse, with one deadline."""

import logging
from collections.abc import Sequence
from typing import Protocol

from ff_observe.system.clock import Clock

log = logging.getLogger(__name__)


class Component(Protocol):
    """A part with its own lifecycle (a thread, a client, a server)."""

    name: str

    def start(self) -> None:
        """Start and return quickly. Raises if it cannot work at all; called once."""

    def stop(self, deadline: float) -> None:
        """Stop by `deadline` (of the clock's monotonic time). Idempotent, and legal before or after a failed start."""


class Service:
    """Components, started in the order given (sinks before producers) and stopped in reverse."""

    def __init__(self, components: Sequence[Component], clock: Clock, stop_seconds: float = 5.0) -> None:
        self._components = tuple(components)
        self._clock = clock
        self._stop_seconds = stop_seconds

    def start(self) -> None:
        """Start all. If one fails, those already started are stopped and its error is raised."""
        for component in self._components:
            try:
                component.start()
            except BaseException:
                self.stop()
                raise
            log.debug("%s started", component.name)

    def stop(self) -> None:
        """Stop all within the deadline, continuing after an error. Raises an `ExceptionGroup` of the errors."""
        deadline = self._clock.monotonic() + self._stop_seconds
        errors: list[Exception] = []
        for component in reversed(self._components):
            try:
                component.stop(deadline)
            except ExceptionGroup as group:
                errors += group.exceptions
            except Exception as error:
                error.add_note(f"while stopping {component.name}")
                errors.append(error)
        if errors:
            raise ExceptionGroup("some parts of the bridge did not stop cleanly", errors)
