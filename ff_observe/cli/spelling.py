"""A parser that names a misspelt option or command, and the one that was probably meant.

argparse takes the value of an unknown option for the command, and complains of that.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any


class SpellingParser(argparse.ArgumentParser):
    """Looks at the options and the command before argparse does."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # its overloads add nothing here
        self._check_spelling(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def _check_spelling(self, words: Sequence[str]) -> None:
        commands = _commands_of(self)
        left = iter(words)
        for word in left:
            if word == "--":
                return
            if not word.startswith("-"):
                if commands is None:
                    continue
                if word not in commands.choices:
                    self._refuse_command(word, commands)
                return
            name, equals, _ = word.partition("=")
            action = self._option(name)
            if action is None and name.startswith("--") and " " not in name:
                self._refuse_option(name)
            if commands is not None and action is not None and action.nargs != 0 and not equals:
                next(left, None)

    def _option(self, name: str) -> argparse.Action | None:
        """The option, which may be abbreviated; argparse refuses an abbreviation of several."""
        known = self._option_string_actions
        if name in known:
            return known[name]
        return next((known[each] for each in known if name.startswith("--") and each.startswith(name)), None)

    def _refuse_option(self, name: str) -> None:
        own, below = _options_of(self), _options_below(self)
        meant = name if name in below else _nearest(name, own | below)
        place = _commands_of(self)
        behind = "" if meant in own or place is None else f" behind {place.metavar}"
        if meant is None:
            self.error(f"unrecognized option {name}")
        advice = f"write it{behind}" if meant == name else f"did you mean {meant}{behind}?"
        self.error(f"unrecognized option {name}: {advice}")

    def _refuse_command(self, word: str, commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
        meant = _nearest(word, commands.choices)
        if meant is not None:
            self.error(f"argument {commands.metavar}: invalid choice: {word!r}, did you mean {meant!r}?")


def _commands_of(parser: argparse.ArgumentParser) -> "argparse._SubParsersAction[argparse.ArgumentParser] | None":
    return next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)


def _options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {flag for action in parser._actions if action.help != argparse.SUPPRESS for flag in action.option_strings}


def _options_below(parser: argparse.ArgumentParser) -> set[str]:
    commands = _commands_of(parser)
    parsers = () if commands is None else commands.choices.values()
    return {flag for below in parsers for flag in _options_of(below) | _options_below(below)}


def _nearest(word: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, sorted(known), 1)), None)
