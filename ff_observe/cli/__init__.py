"""The command line. The only package that prints or exits; each command is a file of its own.

Of the commands, the one that is named is imported, and imports what it needs when it runs; `--help` and a wrong command
answer at once, too.
"""

import argparse
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ff_observe.cli.options import OF_FLOWFORGE_YML, assignment, given_of_flowforge_yml, redactor_of
from ff_observe.cli.signals import EndedBySignal, ending_as_exceptions
from ff_observe.cli.spelling import SpellingParser
from ff_observe.errors import FFObserveError, UsageError
from ff_observe.version import VERSION

_COMMANDS = (
    "run",
    "demo",
    "check",
    "health",
    "doctor",
    "egress",
    "database",
    "ping",
    "metrics",
    "history",
    "collector",
    "fleet",
    "frontend",
    "sentry",
    "assets",
    "completion",
)

_ITS_OWN_FILE = "; its own file is named with --settings"
WITHOUT_FLOWFORGE_YML = {"demo": "", "collector": _ITS_OWN_FILE, "fleet": _ITS_OWN_FILE, "assets": "", "completion": ""}
"""The commands that do not read flowforge.yml, and what an error for an option of that file adds."""

_EPILOG = """\
exit status:
  0  done
  1  it did not work
  2  the command line was used wrongly
  78 the configuration is wrong

Start with `ff-observe demo`, or `ff-observe --home /opt/flowforge check`.
"""


def build_parser(commands: Sequence[str] = _COMMANDS) -> argparse.ArgumentParser:
    """The command line, all of it by default. Each command's file adds its own part and sets `run`."""
    gathered: list[tuple[str, str]] = []

    class Gather(argparse.Action):
        """Appends each value to one list, before or after the command."""

        def __call__(self, parser: Any, namespace: Any, value: Any, option: str | None = None) -> None:
            gathered.append(value)

    class Command(SpellingParser):
        """A command, or an action of one: takes the global options too, so that they may come before and after it."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            _add_global_options(self, Gather, are_idle=self.prog.split()[1] in WITHOUT_FLOWFORGE_YML)

    parser = SpellingParser(
        prog="ff-observe",
        description="Wires the observability of a FlowFuse platform from its flowforge.yml and its database.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ff-observe {VERSION}")
    parser.set_defaults(home=None, config=None, overlay=None, set=gathered, log_format="text", log_level=None)
    _add_global_options(parser, Gather)
    parsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Command)
    for name in commands:
        importlib.import_module(f"ff_observe.cli.{name}").add_parser(parsers)
    return parser


def _needed(arguments: Sequence[str]) -> Sequence[str]:
    """The command that is named, where only global options stand before it: no other is imported then, which takes
    longer than what many a command does. Else all of them, for `--help` and for the error."""
    left = iter(arguments)
    for argument in left:
        if argument in _COMMANDS:
            return (argument,)
        name, given, _ = argument.partition("=")
        if name not in _GLOBAL_OPTIONS:
            break
        if not given:
            next(left, None)
    return _COMMANDS


_GLOBAL_OPTIONS: dict[str, dict[str, Any]] = {
    "--home": {
        "metavar": "DIR",
        "help": "FlowFuse's home (default: $FLOWFORGE_HOME, else /opt/flowforge if it exists, else this directory)",
    },
    "--config": {
        "metavar": "FILE",
        "help": "the file to read (default: HOME/etc/flowforge.local.yml if it exists, else HOME/etc/flowforge.yml)",
    },
    "--overlay": {
        "metavar": "FILE",
        "help": "settings that override that file (default: $FF_OBSERVE_SETTINGS, else ff-observe.yml beside it)",
    },
    "--set": {
        "type": assignment,
        "metavar": "KEY=VALUE",
        "help": "set one key of that file, overriding everything else; may be repeated",
    },
    "--log-format": {"choices": ("text", "json"), "help": "format of the log on stderr (default: text)"},
    "--log-level": {
        "choices": ("debug", "info", "warning", "error"),
        "help": "lowest level that is logged (default: info for commands that keep running, else warning)",
    },
}
"""Each takes one value. See `argparse.ArgumentParser.add_argument`."""


def _add_global_options(
    parser: argparse.ArgumentParser, gather: type[argparse.Action], *, are_idle: bool = False
) -> None:
    """Options without defaults: a subparser's default would overwrite a value given before the command. For the same
    reason all parsers `gather` `--set` in one list. Those of flowforge.yml are not shown if they `are_idle`."""
    of_file = parser.add_argument_group("options of every command that reads flowforge.yml")
    of_all = parser.add_argument_group("options of every command")
    for name, options in _GLOBAL_OPTIONS.items():
        further: dict[str, Any] = {"action": gather} if name == "--set" else {}
        if name in OF_FLOWFORGE_YML and are_idle:
            further["help"] = argparse.SUPPRESS
        group = of_file if name in OF_FLOWFORGE_YML else of_all
        group.add_argument(name, default=argparse.SUPPRESS, **{**options, **further})


def _refuse_idle_options(options: argparse.Namespace) -> None:
    """Raises `UsageError` for an option of flowforge.yml if the command does not read that file."""
    given = given_of_flowforge_yml(options)
    if given and options.command in WITHOUT_FLOWFORGE_YML:
        raise UsageError(
            f"{given[0]} is an option of flowforge.yml, which `{options.command}` does not read"
            f"{WITHOUT_FLOWFORGE_YML[options.command]}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. Errors take one or a few lines, never a traceback."""
    # Python sets a stream that was closed at the start (`>&-`) to None: output to it is dropped without an error.
    sys.stdout, sys.stderr = (
        stream or Path(os.devnull).open("w")  # noqa: SIM115 - open as long as the process lives
        for stream in (sys.stdout, sys.stderr)
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what its encoding lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    options = argparse.Namespace(log_level=None)
    try:
        with ending_as_exceptions():
            arguments = sys.argv[1:] if arguments is None else arguments
            options = build_parser(_needed(arguments)).parse_args(arguments)
            _refuse_idle_options(options)
            status: int = options.run(options)
            sys.stdout.flush()
    except FFObserveError as error:
        return _complain(str(error), error.exit_status, options)
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as shells count
    except EndedBySignal as ended:
        return ended.exit_status
    except BrokenPipeError:  # the reader (`head`, a pager) is gone
        _drop_output()
        return 1
    except OSError as error:
        _drop_output()
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}", 1, options)
    except Exception as error:
        if options.log_level == "debug":
            from ff_observe.telemetry.log import indented

            print(indented(redactor_of(options).text(traceback.format_exc().rstrip())), file=sys.stderr)
        message = f"unexpected {type(error).__name__}; run again with --log-level debug and report it"
        return _complain(message, 1, options)
    return status


def _drop_output() -> None:
    """Output that cannot be written must not fail once more at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, status: int, options: argparse.Namespace) -> int:
    from ff_observe.telemetry.log import escaped

    for line in redactor_of(options).text(message).split("\n"):
        print(f"ff-observe: {escaped(line)}", file=sys.stderr)
    return status
