"""`ff-observe completion bash|zsh|fish`: a script that completes commands, options and their values."""

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ff_observe.cli.files import write_exactly
from ff_observe.cli.grammar import Argument, Command, grammar

_HOW: Final = """\
bash:  ff-observe completion bash > /etc/bash_completion.d/ff-observe
zsh:   ff-observe completion zsh > "${fpath[1]}/_ff-observe"
fish:  ff-observe completion fish > ~/.config/fish/completions/ff-observe.fish
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "completion",
        help="print a script that completes the command line",
        description="Prints the script for a shell. It is made from the command line of this version.",
        epilog=_HOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    write_exactly(render(options.shell))
    return 0


def render(shell: str) -> str:
    from ff_observe.cli import build_parser
    from ff_observe.config.declaration import OVERLAY

    keys = tuple(f"{key.path}=" for key in OVERLAY.keys if not key.secret)
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]
    return "\n".join(script(grammar(build_parser()), keys)) + "\n"


def _candidates(command: Command) -> list[str]:
    words = [below.words[-1] for below in command.commands]
    words += [choice for argument in command.arguments if not argument.flags for choice in argument.choices]
    return [*words, *(flag for argument in command.arguments for flag in argument.flags)]


def _with_values(program: Command) -> list[Argument]:
    """Every option that takes a value, once by its flags."""
    found: dict[tuple[str, ...], Argument] = {}
    for one in program.each():
        for argument in one.arguments:
            if argument.flags and argument.value:  # where its values differ from command to command, all are offered
                choices = (*found.get(argument.flags, argument).choices, *argument.choices)
                found[argument.flags] = replace(argument, choices=tuple(dict.fromkeys(choices)))
    return list(found.values())


def _paths(program: Command) -> str:
    """The pattern of `case` for every command's words, behind those before it."""
    return "|".join(shlex.quote(" ".join(("", *command.words))) for command in program.each() if command.words)


def _bash(program: Command, keys: tuple[str, ...]) -> Iterator[str]:
    yield "_ff_observe() {"
    yield '  local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" path="" word'
    yield "  COMPREPLY=()"
    yield '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield f'    case "$path $word" in {_paths(program)}) path="$path $word" ;; esac'
    yield "  done"
    yield '  case "$before" in'
    for argument in _with_values(program):
        yield f"    {'|'.join(argument.flags)}) {_bash_values(argument, keys)}; return ;;"
    yield "  esac"
    yield '  case "$path" in'
    for command in program.each():
        path = shlex.quote(" ".join(("", *command.words))) if command.words else '""'
        files = " -f" if any(not argument.flags and argument.takes_file for argument in command.arguments) else ""
        yield f'    {path}) COMPREPLY=($(compgen{files} -W "{" ".join(_candidates(command))}" -- "$current")) ;;'
    yield "  esac"
    yield "}"
    yield "complete -F _ff_observe ff-observe"


def _bash_values(argument: Argument, keys: tuple[str, ...]) -> str:
    if argument.takes_file:
        return 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current"))'
    if "--set" in argument.flags:
        return f'compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen -W "{" ".join(keys)}" -- "$current"))'
    return f'COMPREPLY=($(compgen -W "{" ".join(argument.choices)}" -- "$current"))' if argument.choices else ":"


def _zsh(program: Command, keys: tuple[str, ...]) -> Iterator[str]:
    yield "#compdef ff-observe"
    yield "_ff_observe() {"
    yield '  local line="" word'
    yield "  for word in ${words[2,CURRENT-1]}; do"
    yield f'    case "$line $word" in {_paths(program)}) line="$line $word" ;; esac'
    yield "  done"
    yield '  case "${words[CURRENT-1]}" in'
    for argument in _with_values(program):
        yield f"    {'|'.join(argument.flags)}) {_zsh_values(argument, keys)}; return ;;"
    yield "  esac"
    yield '  case "$line" in'
    for command in program.each():
        path = shlex.quote(" ".join(("", *command.words))) if command.words else '""'
        described = " ".join(
            shlex.quote(f"{name.replace(':', chr(92) + ':')}:{about}") for name, about in _described(command)
        )
        files = "; _files" if any(not argument.flags and argument.takes_file for argument in command.arguments) else ""
        yield f"    {path}) local -a found; found=({described}); _describe argument found{files} ;;"
    yield "  esac"
    yield "}"
    yield 'if [ "$funcstack[1]" = "_ff_observe" ]; then _ff_observe; else compdef _ff_observe ff-observe; fi'


def _zsh_values(argument: Argument, keys: tuple[str, ...]) -> str:
    if argument.takes_file:
        return "_files"
    if "--set" in argument.flags:
        return f"compadd -S '' -- {' '.join(keys)}"
    return f"compadd -- {' '.join(argument.choices)}" if argument.choices else ":"


def _described(command: Command) -> Iterator[tuple[str, str]]:
    for below in command.commands:
        yield below.words[-1], below.help
    for argument in command.arguments:
        for name in argument.flags or argument.choices:
            yield name, argument.help


def _fish(program: Command, keys: tuple[str, ...]) -> Iterator[str]:
    yield "function __ff_observe_at"
    yield "  set -l path ''"
    yield "  for word in (commandline -opc)[2..-1]"
    yield '    switch "$path $word"'
    yield f"      case {_paths(program).replace('|', ' ')}"
    yield '        set path "$path $word"'
    yield "    end"
    yield "  end"
    yield '  test "$path" = "$argv[1]"'
    yield "end"
    for command in program.each():
        at = f"__ff_observe_at {_fish_quoted(' '.join(('', *command.words)) if command.words else '')}"
        files = any(not argument.flags and argument.takes_file for argument in command.arguments)
        start = f"complete -c ff-observe -n {_fish_quoted(at)} {'' if files else '-f '}"
        for name, about in _described(command):
            if not name.startswith("-"):
                yield f"{start}-a {name} -d {_fish_quoted(about)}"
        for argument in command.arguments:
            if argument.flags:
                begins = start.replace(" -f ", " ") if argument.takes_file else start
                yield f"{begins}{_fish_flags(argument)} -d {_fish_quoted(argument.help)}{_fish_values(argument, keys)}"


def _fish_flags(argument: Argument) -> str:
    return " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in argument.flags)


def _fish_values(argument: Argument, keys: tuple[str, ...]) -> str:
    if not argument.value:
        return ""
    if argument.takes_file:
        return " -r -F"
    values = keys if "--set" in argument.flags else argument.choices
    return f" -x -a {_fish_quoted(' '.join(values))}" if values else " -x"


def _fish_quoted(text: str) -> str:
    """In single quotes, in which fish escapes a backslash and a quote by a backslash."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
