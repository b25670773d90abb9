"""Whether something reads the metrics of a running bridge."""

from collections.abc import Callable, Iterator
from typing import Final

from ff_observe.clock import Clock
from ff_observe.doctor.model import Check, Subject, warning
from ff_observe.problems import Finding

SILENT_SECONDS: Final = 300.0


class Scrapes:
    """Whether the metrics of a running bridge are read, judged by the number of answered requests."""

    def __init__(self, answered: Callable[[], int], clock: Clock) -> None:
        self._answered = answered
        self._clock = clock
        self._seen = (0, clock.monotonic())  # how many, and since when

    def look(self, _subject: Subject) -> Iterator[Finding]:
        """A finding where nothing was answered for `SILENT_SECONDS`."""
        answered, now = self._answered(), self._clock.monotonic()
        if answered != self._seen[0]:
            self._seen = (answered, now)
        silent = now - self._seen[1]
        if silent >= SILENT_SECONDS:
            yield warning(
                "not-scraped",
                "Nothing reads the metrics",
                f"They are on, and nothing has asked for them in the last {silent / 60:.0f} minutes.",
                "Check the target of Prometheus; `ff-observe doctor --prometheus URL` asks it.",
            )

    @property
    def check(self) -> Check:
        return Check("scraped", "Something reads the metrics", self.look, lambda of: of.settings.prometheus.enabled)
