"""The manual page in roff (man(7)), made from the parser of the command line."""

import re
from collections.abc import Iterator

from ff_observe.cli import WITHOUT_FLOWFORGE_YML, build_parser
from ff_observe.cli.grammar import Argument, Command, grammar
from ff_observe.cli.options import OF_FLOWFORGE_YML
from ff_observe.version import VERSION


def render() -> str:
    """The text of `ff-observe.1`."""
    return "\n".join(_page(grammar(build_parser()))) + "\n"


def _page(program: Command) -> Iterator[str]:
    yield '.\\" Made by `make generate` from ff_observe/cli. Edits are lost.'
    yield f'.TH FF-OBSERVE 1 "" "ff-observe {VERSION}" "User Commands"'
    yield ".SH NAME"
    yield "ff-observe \\- observability of a FlowFuse platform"
    yield ".SH SYNOPSIS"
    yield ".B ff-observe"
    yield "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIOPTIONS\\fR]"
    yield ".SH DESCRIPTION"
    yield _text(program.description)
    yield ".SH OPTIONS"
    *first, last = WITHOUT_FLOWFORGE_YML
    yield _text(
        f"These come before or after the command. {', '.join(first)} and {last} do not read flowforge.yml and refuse "
        f"{', '.join(OF_FLOWFORGE_YML)}."
    )
    for argument in program.arguments:
        yield from _argument(argument)
    yield ".SH COMMANDS"
    general = {argument.flags for argument in program.arguments}
    for command in program.each():
        if command.words and not command.commands:
            yield from _command(command, general)
    yield ".SH EXIT STATUS"
    yield from _exit_status(program.epilog)
    yield ".SH SEE ALSO"
    yield _text("docs/configuration.md names every key, and the environment variable that sets it.")


def _command(command: Command, general: set[tuple[str, ...]]) -> Iterator[str]:
    yield f".SS ff-observe {' '.join(map(_text, command.words))}"
    summary = command.description or f"{command.help[:1].upper()}{command.help[1:]}."
    yield _text(summary)
    for argument in command.arguments:
        if not argument.flags or argument.flags not in general:
            yield from _argument(argument)
    if command.epilog:
        yield ".PP"
        yield _text(f"{command.epilog[:1].upper()}{command.epilog[1:]}.")


def _argument(argument: Argument) -> Iterator[str]:
    value = f" \\fI{_text(argument.value)}\\fR" if argument.value else ""
    flags = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in argument.flags)
    yield ".TP"
    yield f"{flags}{value}".strip()
    yield _text(argument.help or "")


def _exit_status(epilog: str) -> Iterator[str]:
    for line in epilog.splitlines():
        number, _, meaning = line.strip().partition(" ")
        if number.isdigit():
            yield ".TP"
            yield f".B {number}"
            yield _text(meaning.strip())


def _text(words: str) -> str:
    """Escaped for roff: a backslash, a hyphen that must stay one, and a line that would begin with a request."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-")
    escaped = re.sub(r"[^\x00-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", escaped)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
