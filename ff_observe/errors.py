"""The errors that ff-observe raises for people to read: each message says what is wrong, where, and what to do."""

import errno
from dataclasses import dataclass
from typing import Final

PRIVILEGED_PORTS: Final = 1024


class FFObserveError(Exception):
    """Base of all errors that a user can act on. `exit_status` is the command line's exit status."""

    exit_status = 1


class UsageError(FFObserveError):
    """The command line was used wrongly."""

    exit_status = 2


class SourceError(FFObserveError):
    """The platform's database could not be read. The message never contains a password."""


class DeliveryError(FFObserveError):
    """Data that should have left this process did not arrive."""


class LedgerError(FFObserveError):
    """The ledger of pings cannot be shown, or not safely be written."""


class PageError(FFObserveError):
    """A web page could not be rendered: it has no place for the snippets."""


class SourceMapsError(FFObserveError):
    """Source maps are not fit to be uploaded, or the upload failed. The message never contains the token."""


def what_to_change_to_listen(error: OSError, port: int) -> str:
    """What to do about an address that cannot be listened on, depending on the error."""
    if error.errno == errno.EADDRINUSE:
        return f"choose a port that is free, or stop what listens on {port}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            "ports below 1024 are for root and for who has CAP_NET_BIND_SERVICE: choose one from 1024 on, or grant it "
            "(systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
            if port < PRIVILEGED_PORTS
            else "the system does not allow it: see its security policy, or choose another port"
        )
    return "choose an address of this machine"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem in one place of a configuration file, or in the variable or option that `file` then names.

    `line` and `column` count from 1, and are 0 if the problem concerns the file as a whole. `key` is the dotted path
    (`telemetry.backend.sentry.dsn`), empty for the file as a whole.
    """

    file: str
    line: int
    column: int
    key: str
    message: str

    @property
    def place(self) -> str:
        """The file with line and column, in the format of compilers."""
        return self.file if self.line == 0 else f"{self.file}:{self.line}:{self.column}"

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.message}" if self.key else f"{self.place}: {self.message}"


class ConfigurationError(FFObserveError):
    """The configuration is wrong. Holds every problem found, not only the first."""

    exit_status = 78  # EX_CONFIG of sysexits.h

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))
