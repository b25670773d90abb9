"""The locks: what tests and tools are installed from, and the same versions as far as image and build need them.

`python -m tests.deployment.locks` takes the newest versions into all of them (`make pins`).
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from packaging import tags
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.plain_machine import TOP

ALL: Final = TOP / "requirements.lock"
RUN: Final = TOP / "deploy" / "image" / "requirements.lock"
BUILD: Final = TOP / "deploy" / "image" / "build-requirements.lock"
PYTHON: Final = "3.11"  # of Debian bookworm
EXTRA: Final = "web-auth"
LINUX: Final = re.compile(r"-any$|manylinux\w*_(?:x86_64|aarch64)")


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


def needed(lock: str, python: tuple[int, int], machine: str) -> dict[str, bool]:
    """What is installed for a CPython on that machine (`x86_64`, `aarch64`), and whether it has a wheel for Debian 12's
    glibc."""
    older = [f"manylinux{year}_{machine}" for year in (2014, 2010, 1)]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 4, -1)] + older
    taken = {*tags.cpython_tags(python, platforms=platforms), *tags.compatible_tags(python, platforms=platforms)}
    version = ".".join(map(str, python))
    where = {"python_version": version, "python_full_version": f"{version}.0", "platform_machine": machine}
    found = {}
    for wheels, requirement in re.findall(r"^# wheels:(.*)\n([^\\\n]+)", lock, re.MULTILINE):
        each = Requirement(requirement)
        if not each.marker or each.marker.evaluate({**where, "sys_platform": "linux", "os_name": "posix"}):
            found[each.name] = any(taken & tags.parse_tag(wheel) for wheel in wheels.split())
    return found


def direct() -> set[str]:
    """The names that `pyproject.toml` asks for, in dependencies, extras and groups."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    groups = [*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()]
    listed = [*project["project"]["dependencies"], *(each for group in groups for each in group)]
    return {canonicalize_name(Requirement(each).name) for each in listed}


def _compiled(target: Path, *sources: str, requirements: str = "") -> None:
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


def without_addresses(pylock: str) -> Iterator[str]:
    """The lines of a `pylock.toml` as requirements; of its wheels, what they fit on the Linux that we promise."""
    for package in tomllib.loads(pylock)["packages"]:
        wheels = package.get("wheels", ())
        names = (unquote(wheel["url"].rpartition("/")[2]).removesuffix(".whl") for wheel in wheels)
        fits = ("-".join(name.split("-")[-3:]) for name in names)
        yield " ".join(["# wheels:", *sorted(tag for tag in fits if LINUX.search(tag))])
        marker = f" ; {package['marker']}" if "marker" in package else ""
        files = [*wheels, *([package["sdist"]] if "sdist" in package else ())]
        hashes = sorted(f"    --hash=sha256:{file['hashes']['sha256']}" for file in files)
        yield " \\\n".join([f"{package['name']}=={package['version']}{marker}", *hashes])


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        pylock = Path(directory) / "pylock.toml"
        _compiled(pylock, "pyproject.toml", "--all-extras", "--group", "test", "--group", "dev", "--group", "docs")
        ALL.write_text("\n".join(without_addresses(pylock.read_text())) + "\n")
    _compiled(RUN, "pyproject.toml", "--extra", EXTRA, "--constraints", ALL.name)
    with (TOP / "pyproject.toml").open("rb") as project:
        build = "\n".join(tomllib.load(project)["build-system"]["requires"])
    _compiled(BUILD, "-", "--constraints", ALL.name, requirements=build)


if __name__ == "__main__":
    main()
