"""Reads a Dockerfile: its stages and instructions, as far as ours uses the format."""

import json
import re
import shlex
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

INSTRUCTIONS: Final = frozenset(
    {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "USER", "WORKDIR"}
)


@dataclass(frozen=True)
class Step:
    """One instruction and its text, continuation lines joined."""

    instruction: str
    text: str

    @property
    def words(self) -> list[str]:
        """The text as an exec form, else split as a shell would."""
        found: list[str] = json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)
        return found


@dataclass
class Stage:
    """What stands between one FROM and the next."""

    base: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def pairs(self, instruction: str) -> dict[str, str]:
        """`key=value` of all ENV or LABEL steps."""
        words = [word for step in self.steps if step.instruction == instruction for word in step.words]
        return dict(word.split("=", 1) for word in words)

    def last(self, instruction: str) -> Step:
        """The one that counts."""
        return [step for step in self.steps if step.instruction == instruction][-1]


def stages(file: Path) -> list[Stage]:
    """The stages of a Dockerfile. Raises `ValueError` for what this reader does not know."""
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    text = re.sub(r"^[ \t]*#.*\n", "", file.read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n", "", text).splitlines():
        if not line.strip():
            continue
        instruction, _, rest = line.strip().partition(" ")
        rest = " ".join(rest.split())
        if instruction not in INSTRUCTIONS:
            raise ValueError(f"{file.name}: {instruction} is not known here")
        if instruction == "ARG":
            name, _, default = rest.partition("=")
            arguments[name] = default
        elif instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], base), name))
        else:
            found[-1].steps.append(Step(instruction, rest))
    return found


def context(directory: Path) -> list[Path]:
    """The files that the build sees, relative to `directory`: .dockerignore's last line that matches decides."""
    lines = (directory / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    kept = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    if rules[0] != "*":
        raise ValueError(".dockerignore excludes everything first: `*`")
    found = []
    for name in kept:
        place = directory / name
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            relative = path.relative_to(directory)
            if not path.is_dir() and not any(_excluded(relative, rule) for rule in rules[1:] if rule[0] != "!"):
                found.append(relative)
    return found


def _excluded(path: Path, rule: str) -> bool:
    if not rule.startswith("**/"):
        raise ValueError(f".dockerignore: {rule!r} is not known here")
    return any(fnmatch(part, rule.removeprefix("**/")) for part in path.parts)
