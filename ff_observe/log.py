"""Logging habits the parts share."""

import logging


class StateLog:
    """Logs a change of state and not each repetition: the first failure is a warning, the recovery an info."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._failing = False

    def failing(self, message: str) -> None:
        """Tell of a failure; only the first after a success is more than a debug line."""
        self._log.log(logging.DEBUG if self._failing else logging.WARNING, "%s", message)
        self._failing = True

    def working(self, message: str) -> None:
        """Tell of a success; only the first after a failure is logged."""
        if self._failing:
            self._log.info("%s", message)
        self._failing = False


def configure_logging(log_format: str, level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
