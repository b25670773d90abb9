"""The command line. The only package that prints or exits; each command is a file of its own.

Commands import what they need when they run, so that `--help` and a wrong option answer at once.
"""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ff_observe.errors import FFObserveError
from ff_observe.version import VERSION

_COMMANDS = ("run", "demo", "check", "ping", "metrics", "collector", "frontend", "sentry")

_EPILOG = """\
exit status:
  0  done
  1  it did not work
  2  the command line was used wrongly
  78 the configuration is wrong

Start with `ff-observe demo`, or `ff-observe --home /opt/flowforge check`.
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. Each command's file adds its own part and sets `run`."""
    parser = argparse.ArgumentParser(
        prog="ff-observe",
        description="Wires the observability of a FlowFuse platform from its flowforge.yml and its database.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ff-observe {VERSION}")
    parser.set_defaults(home=None, config=None, log_format="text", log_level=None)
    _add_global_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_CommandParser)
    for name in _COMMANDS:
        importlib.import_module(f"ff_observe.cli.{name}").add_parser(commands)
    return parser


class _CommandParser(argparse.ArgumentParser):
    """A command, or an action of one: takes the global options too, so that they may come before and after it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _add_global_options(self.add_argument_group("options of every command"))


def _add_global_options(parser: "argparse._ActionsContainer") -> None:
    """Without defaults, which would take the place of what came before the command."""
    parser.add_argument(
        "--home",
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="FlowFuse's home (default: $FLOWFORGE_HOME, else /opt/flowforge if it exists, else this directory)",
    )
    parser.add_argument(
        "--config",
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="the file to read (default: HOME/etc/flowforge.local.yml if it exists, else HOME/etc/flowforge.yml)",
    )
    parser.add_argument(
        "--log-format",
        default=argparse.SUPPRESS,
        choices=("text", "json"),
        help="how logs look on stderr (default: text)",
    )
    parser.add_argument(
        "--log-level",
        default=argparse.SUPPRESS,
        choices=("debug", "info", "warning", "error"),
        help="the least that is logged (default: info where a command goes on running, else warning)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; people read one or a few lines, never a traceback."""
    # Python has None for a stream that was closed before it began (`>&-`): what is said there is lost, and no more.
    sys.stdout, sys.stderr = (
        stream or Path(os.devnull).open("w")  # noqa: SIM115 - open as long as the process lives
        for stream in (sys.stdout, sys.stderr)
    )
    options = argparse.Namespace(log_level=None)
    try:
        options = build_parser().parse_args(arguments)
        status: int = options.run(options)
        sys.stdout.flush()
    except FFObserveError as error:
        return _complain(str(error), error.exit_status, options)
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as shells count
    except BrokenPipeError:
        # The reader (`head`, a pager) has gone; what it did not take must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}", 1, options)
    except Exception as error:
        if options.log_level == "debug":
            traceback.print_exc()
        message = f"unexpected {type(error).__name__}; run again with --log-level debug and report it"
        return _complain(message, 1, options)
    return status


def _complain(message: str, status: int, options: argparse.Namespace) -> int:
    from ff_observe.log import escaped
    from ff_observe.redaction import Redactor

    redactor = getattr(options, "redactor", None) or Redactor(personal=False)
    for line in message.split("\n"):
        print(f"ff-observe: {redactor.text(escaped(line))}", file=sys.stderr)
    return status
