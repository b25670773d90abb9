"""A file of environment variables, one `NAME=value` a line, as systemd's `EnvironmentFile=` and `docker --env-file`."""

import re
from pathlib import Path
from typing import Final

from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.errors import ConfigurationError, Problem

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def read_environment_file(file: Path) -> dict[str, str]:
    """The variables; a value in quotes is without them. Raises `ConfigurationError`, which shows no value."""
    try:
        lines = read_text(file).splitlines()
    except UnreadableFileError as error:
        raise ConfigurationError((Problem(str(file), error.line, error.column, "", str(error)),)) from None
    variables: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        name, is_set, value = text.partition("=")
        if not is_set or not _NAME.fullmatch(name.strip()) or "\0" in value:
            problems.append(
                Problem(str(file), number, 1, "", "write NAME=value; a line that begins with # is a comment")
            )
            continue
        value = value.strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        variables[name.strip()] = value[1:-1] if quoted else value
    if problems:
        raise ConfigurationError(tuple(problems))
    return variables
