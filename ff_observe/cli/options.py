"""What several commands share: the settings that the global options name, and moments on the command line."""

import argparse
import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ff_observe.clock import Clock, FrozenClock, SystemClock

if TYPE_CHECKING:  # importing the parser of the file costs time that `--help` does not have
    from ff_observe.config.platforms import Platforms
    from ff_observe.config.settings import Settings


def start_logging(options: argparse.Namespace) -> None:
    """Log as `--log-format` and `--log-level` say. What no settings name is recognised by its shape."""
    from ff_observe.log import configure_logging

    configure_logging(options.log_format, _level(options), redactor=getattr(options, "redactor", None))


def settings_of(options: argparse.Namespace) -> "Settings":
    """The settings of the platform that the global options name; from now on log and errors know their secrets.

    Raises `ConfigurationError`.
    """
    from ff_observe.config import load_settings

    start_logging(options)
    settings = load_settings(options.home, options.config, overlay=options.overlay, assignments=options.set)
    hide_secrets(options, settings)
    return settings


def hide_secrets(options: argparse.Namespace, settings: object) -> None:
    """From now on log and errors are without the secrets of `settings`, besides those hidden before: after a reload,
    parts with the old settings still stop, or go on running."""
    from ff_observe.redaction import Redactor, known_secrets

    redactor = getattr(options, "redactor", None) or Redactor(personal=False)
    options.redactor = redactor.with_secrets(known_secrets(settings))
    start_logging(options)


def platforms_of(options: argparse.Namespace) -> "Platforms":
    """The platforms that `--platforms` names; from now on log and errors know the secrets of each.

    Raises `ConfigurationError`.
    """
    from ff_observe.config.platforms import load_platforms
    from ff_observe.redaction import RedactorOfPlatforms, known_secrets

    start_logging(options)
    platforms = load_platforms(options.platforms)
    before = getattr(options, "redactor", None) or RedactorOfPlatforms({})
    secrets = {listed.name: known_secrets(listed.settings) for listed in platforms.platforms if listed.settings}
    options.redactor = before.with_platforms(secrets)
    start_logging(options)
    return platforms


def _level(options: argparse.Namespace) -> int:
    logging.getLogger("urllib3").setLevel(logging.INFO)  # its debug lines show whole URLs
    # A command that answers and ends may be run by cron, which mails whatever it says besides.
    level = options.log_level or getattr(options, "usual_log_level", "warning")
    return logging.getLevelNamesMapping()[level.upper()]


def assignment(text: str) -> tuple[str, str]:
    """Read `KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError("write KEY=VALUE, such as telemetry.backend.prometheus.port=9000")
    return key, value


@contextlib.contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Without warnings of this logger and those below it: the answer of the command says the same."""
    named = logging.getLogger(logger)
    before = named.level
    named.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        named.setLevel(before)


def add_at(parser: argparse.ArgumentParser) -> None:
    """Add `--at TIME`."""
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
    if not 1970 <= parsed.year <= 9998:  # so that a month before, or an hour of offset, is a date too
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment from 1970 to 9998")
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def port(text: str) -> int:
    """Read the number of a TCP port; 0 lets the system choose."""
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 65535")
    return int(text)


def clock_at(at: datetime | None) -> Clock:
    """The real clock, or one whose wall time stands still at `at`."""
    return SystemClock() if at is None else FrozenClock(at)
