"""Shared by several commands: the settings that the global options name, and moments on the command line."""

import argparse
import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from ff_observe.errors import UsageError
from ff_observe.system.clock import Clock, FrozenClock, SystemClock

if TYPE_CHECKING:  # importing the parser of the file would slow `--help` down
    from ff_observe.config.platforms import Platforms
    from ff_observe.config.settings import Settings
    from ff_observe.telemetry.redaction import Redactor

OF_FLOWFORGE_YML: Final = ("--home", "--config", "--overlay", "--set")
"""The global options that name flowforge.yml, or change what is read of it."""


def given_of_flowforge_yml(options: argparse.Namespace) -> list[str]:
    """Those of them that are on the command line."""
    return [name for name in OF_FLOWFORGE_YML if getattr(options, name.removeprefix("--")) not in (None, [])]


def start_logging(options: argparse.Namespace) -> None:
    """Set up the log by `--log-format` and `--log-level`. Secrets that no settings name are recognised by their
    shape."""
    from ff_observe.telemetry.log import configure_logging

    configure_logging(options.log_format, _level(options), redactor=getattr(options, "redactor", None))


def settings_of(options: argparse.Namespace) -> "Settings":
    """The settings of the platform that the global options name; from now on log and errors mask their secrets.

    Raises `ConfigurationError`.
    """
    from ff_observe.config import load_settings

    start_logging(options)
    settings = load_settings(options.home, options.config, overlay=options.overlay, assignments=options.set)
    hide_secrets(options, settings)
    return settings


def hide_secrets(options: argparse.Namespace, settings: object) -> None:
    """From now on log and errors mask the secrets of `settings`, in addition to earlier ones: after a reload,
    components with the old settings still stop, or keep running."""
    from ff_observe.telemetry.redaction import known_secrets

    options.redactor = redactor_of(options).with_secrets(known_secrets(settings))
    start_logging(options)


def redactor_of(options: argparse.Namespace) -> "Redactor":
    """What masks the secrets of the settings, as far as they were read."""
    from ff_observe.telemetry.redaction import Redactor

    return getattr(options, "redactor", None) or Redactor(personal=False)


def add_platforms(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--platforms",
        metavar="DIR|FILE",
        help=f"{what} several platforms: a directory of FlowFuse homes, or a file that lists them",
    )


def platforms_of(options: argparse.Namespace) -> "Platforms":
    """The platforms that `--platforms` names; from now on log and errors mask the secrets of each.

    Raises `UsageError` for options of a single platform, and `ConfigurationError`.
    """
    from ff_observe.config.platforms import load_platforms
    from ff_observe.telemetry.redaction import RedactorOfPlatforms, known_secrets

    idle = given_of_flowforge_yml(options)
    if idle:
        raise UsageError(f"--platforms names every home, each with its own settings: leave {' and '.join(idle)} out")
    start_logging(options)
    platforms = load_platforms(options.platforms)
    before = getattr(options, "redactor", None) or RedactorOfPlatforms({})
    secrets = {listed.name: known_secrets(listed.settings) for listed in platforms.platforms if listed.settings}
    options.redactor = before.with_platforms(secrets)
    start_logging(options)
    return platforms


def _level(options: argparse.Namespace) -> int:
    logging.getLogger("urllib3").setLevel(logging.INFO)  # its debug lines show whole URLs
    # cron mails everything that a short command prints besides its answer.
    level = options.log_level or getattr(options, "usual_log_level", "warning")
    return logging.getLevelNamesMapping()[level.upper()]


def assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError("write KEY=VALUE, such as telemetry.backend.prometheus.port=9000")
    return key, value


@contextlib.contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Suppress warnings of this logger and those below it: the command's own output says the same."""
    named = logging.getLogger(logger)
    before = named.level
    named.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        named.setLevel(before)


def add_at(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at",
        type=moment,
        metavar="TIME",
        help="ISO 8601 moment to take as the present, UTC unless it says otherwise (default: now)",
    )


def moment(text: str) -> datetime:
    """Read an ISO 8601 moment; one without an offset is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO 8601 moment such as 2026-11-23T12:00:00Z") from None
    if not 1970 <= parsed.year <= 9998:  # leaves room for a month before it, or an hour of offset
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment from 1970 to 9998")
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def port(text: str) -> int:
    """Read the number of a TCP port; 0 lets the system choose."""
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 65535")
    return int(text)


def server_address(text: str) -> str:
    """Read http://HOST:PORT, or https."""
    parts = _http_url(text)
    if parts is None or parts.port is None or parts.path.strip("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not the address of a server, such as http://127.0.0.1:10465")
    return text.rstrip("/")


def server_url(text: str) -> str:
    """Read http://HOST or https, with a port and a prefix of all paths if need be."""
    if _http_url(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not the URL of a server, such as http://127.0.0.1:9090")
    return text.rstrip("/")


def _http_url(text: str) -> SplitResult | None:
    """Its parts, if it has a host, no user and no parameters."""
    from ff_observe.config.kinds import is_http_url

    parts = urlsplit(text) if is_http_url(text) else None
    return None if parts is None or parts.username is not None or parts.query or parts.fragment else parts


def clock_at(at: datetime | None) -> Clock:
    """The real clock, or one whose wall time is fixed at `at`."""
    return SystemClock() if at is None else FrozenClock(at)
