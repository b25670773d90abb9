"""A file of environment variables, one `NAME=value` a line, as systemd's `EnvironmentFile=` and `docker --env-file`."""

import re
from pathlib import Path
from typing import Final

from ff_observe.config.reader import not_for_root
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.trusted_path import check_naming_file

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LINE_END: Final = re.compile(r"\r\n|[\r\n]")  # not all that Unicode has: a value may hold those
_BLANK: Final = " \t"


def read_environment_file(file: Path) -> dict[str, str]:
    """The variables; a value in quotes is without them. They can name files: root reads none that another user can
    change. Raises `ConfigurationError`, which shows no value."""
    try:
        check_naming_file(file)
    except FileNotFoundError:
        pass  # reading says so
    except OSError as error:
        message = f"as root, ff-observe takes no variables from this file: {not_for_root(error)}"
        raise ConfigurationError((Problem(str(file), 0, 0, "", message),)) from None
    try:
        lines = _LINE_END.split(read_text(file))
    except UnreadableFileError as error:
        raise ConfigurationError((Problem(str(file), error.line, error.column, "", str(error)),)) from None
    variables: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        text = line.strip(_BLANK)
        if not text or text[0] in "#;":
            continue
        name, is_set, value = text.partition("=")
        name, value = name.rstrip(_BLANK), value.lstrip(_BLANK)
        if not is_set or not _NAME.fullmatch(name) or "\0" in value:
            problems.append(
                Problem(str(file), number, 1, "", "write NAME=value; a line that begins with # is a comment")
            )
            continue
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        variables[name] = value[1:-1] if quoted else value
    if problems:
        raise ConfigurationError(tuple(problems))
    return variables
