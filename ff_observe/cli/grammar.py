"""The command line as data, taken from its parser, for completion and the manual page."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_PATHS: Final = frozenset(("FILE", "INDEX.html", "DIR", "DIRECTORY"))


@dataclass(frozen=True, slots=True)
class Argument:
    """An option, or without `flags` a positional argument. `value` is the placeholder of its value, empty for none."""

    flags: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    help: str

    @property
    def takes_file(self) -> bool:
        """Whether the value is the path of a file or directory."""
        return self.value in _PATHS


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its words after the program's name, its options and its subcommands."""

    words: tuple[str, ...]
    help: str
    description: str
    epilog: str
    arguments: tuple[Argument, ...]
    commands: tuple["Command", ...]

    def each(self) -> Iterator["Command"]:
        yield self
        for command in self.commands:
            yield from command.each()


def grammar(parser: argparse.ArgumentParser, words: tuple[str, ...] = (), summary: str = "") -> Command:
    """Everything that the parser accepts."""
    arguments, commands = [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            commands = [grammar(below, (*words, name), helps.get(name, "")) for name, below in action.choices.items()]
        elif action.help != argparse.SUPPRESS:
            arguments.append(_argument(action))
    return Command(words, summary, parser.description or "", parser.epilog or "", tuple(arguments), tuple(commands))


def _argument(action: argparse.Action) -> Argument:
    choices = tuple(map(str, action.choices or ()))
    named = action.metavar if isinstance(action.metavar, str) else ""
    value = "" if action.nargs == 0 else named or "|".join(choices) or action.dest.upper()
    # argparse expands percent signs, so that literal ones are doubled.
    return Argument(tuple(action.option_strings), value, choices, (action.help or "").replace("%%", "%"))
