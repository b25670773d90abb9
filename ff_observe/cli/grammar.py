"""The command line as data, read out of its parser: what completion and the manual page are made from."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_TAKES_FILES: Final = frozenset(("FILE", "INDEX.html"))
_TAKES_DIRECTORIES: Final = frozenset(("DIR", "DIRECTORY"))


@dataclass(frozen=True, slots=True)
class Argument:
    """An option, or without `flags` a word in its place. `value` is how its value is named, empty where it has none."""

    flags: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    help: str

    @property
    def takes_file(self) -> bool:
        """Whether the value is the path of a file or directory."""
        return self.value in _TAKES_FILES | _TAKES_DIRECTORIES


@dataclass(frozen=True, slots=True)
class Command:
    """One command: the words that name it, below the program's name, and what stands below it."""

    words: tuple[str, ...]
    help: str
    description: str
    epilog: str
    arguments: tuple[Argument, ...]
    commands: tuple["Command", ...]

    def each(self) -> Iterator["Command"]:
        """This command and all below it."""
        yield self
        for command in self.commands:
            yield from command.each()


def grammar(parser: argparse.ArgumentParser, words: tuple[str, ...] = (), summary: str = "") -> Command:
    """The whole of what the parser takes."""
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
    # A percent sign is doubled for argparse, which fills in what it stands before.
    return Argument(tuple(action.option_strings), value, choices, (action.help or "").replace("%%", "%"))
