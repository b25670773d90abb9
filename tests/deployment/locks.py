"""The locks: what tests and tools are installed from, and the same versions as far as image and build need them.

`python -m tests.deployment.locks` takes the newest versions into all of them (`make pins`).
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

from tests.plain_machine import TOP

ALL: Final = TOP / "requirements.lock"
RUN: Final = TOP / "deploy" / "image" / "requirements.lock"
BUILD: Final = TOP / "deploy" / "image" / "build-requirements.lock"
PYTHON: Final = "3.11"  # of Debian bookworm
EXTRA: Final = "web-auth"


def pinned(lock: Path) -> dict[str, str]:
    """Name → version. Raises `ValueError` for a line without a version or a hash."""
    found = {}
    for entry in re.split(r"\n(?=\S)", lock.read_text().strip()):
        if entry.startswith("#"):
            continue
        match = re.match(
            r"([a-z0-9-]+)==([^\s;]+)(?: ;[^\\]+)? \\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\\n|$))+$", entry
        )
        if match is None:
            raise ValueError(f"{lock.name}: {entry.splitlines()[0]} has no version, or no hash")
        found[match[1]] = match[2]
    return found


def _lock(target: Path, *sources: str, requirements: str = "") -> None:
    options = (
        "--universal",
        "--generate-hashes",
        "--no-annotate",
        "--no-header",
        "--quiet",
        "--python-version",
        PYTHON,
    )
    command = [sys.executable, "-m", "uv", "pip", "compile", *options, "--output-file", str(target), *sources]
    target.unlink(missing_ok=True)
    subprocess.run(command, check=True, cwd=TOP, input=requirements, text=True)


if __name__ == "__main__":
    _lock(ALL, "pyproject.toml", "--all-extras", "--group", "test", "--group", "dev", "--group", "docs")
    _lock(RUN, "pyproject.toml", "--extra", EXTRA, "--constraints", ALL.name)
    with (TOP / "pyproject.toml").open("rb") as project:
        build = "\n".join(tomllib.load(project)["build-system"]["requires"])
    _lock(BUILD, "-", "--constraints", ALL.name, requirements=build)
