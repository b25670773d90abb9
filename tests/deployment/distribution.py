"""Wheel and sdist, built as anybody would build them: the same bytes each time.

`python -m tests.deployment.distribution DIR` builds both twice, leaves them in DIR, and runs the demo of the wheel as
`pipx install` and `uv tool install` install it (`make dist`).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.deployment import locks
from tests.plain_machine import TOP, FailedError, scraped


def sources() -> list[str]:
    """What git knows here, or would take: the paths that a clone has."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, cwd=TOP, capture_output=True, text=True).stdout.split("\0")
    return [path for path in listed if path and os.path.lexists(TOP / path)]


def copied(directory: Path, umask: int, modified: float) -> Path:
    """A copy of the sources, made under a umask, whose files were changed at that time (seconds since the epoch)."""
    before = os.umask(umask)
    try:
        for path in sources():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if (TOP / path).is_symlink():
                target.symlink_to((TOP / path).readlink())
                continue
            shutil.copyfile(TOP / path, target)
            if os.access(TOP / path, os.X_OK):
                target.chmod(0o777 & ~umask)
            os.utime(target, (modified, modified))
    finally:
        os.umask(before)
    return directory


def built(source: Path, into: Path, umask: int = 0o022, user: int | None = None) -> Mapping[str, str]:
    """Build sdist and wheel; returns their names and SHA-256. `user` is whom the build believes to run as."""
    become = [] if user is None else ["unshare", "--user", f"--map-user={user}", f"--map-group={user}"]
    command = [*become, sys.executable, "-m", "build", "--no-isolation", "--outdir", str(into), str(source)]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "TZ": f"UTC+{umask % 12}"}
    done = subprocess.run(command, umask=umask, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"the build failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(into.iterdir())}


def namespaces() -> bool:
    """Whether this machine lets a process believe to be another user."""
    tried = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "true"]
    return shutil.which("unshare") is not None and subprocess.run(tried, capture_output=True).returncode == 0


def installed(wheel: Path, home: Path) -> Mapping[str, Path]:
    """Install the wheel below `home` by each tool for applications, with the versions of the image's lock; returns the
    commands."""
    programs = Path(sys.executable).parent
    pinned = home / "pinned.txt"
    pinned.write_text("".join(f"{name}=={version}\n" for name, version in locks.pinned(locks.RUN).items()))
    commands: Mapping[str, Sequence[str | Path]] = {
        "pipx": [programs / "pipx", "install", "--quiet", f"--pip-args=--constraint={pinned}", wheel],
        "uv tool": [programs / "uv", "tool", "install", "--quiet", "--constraints", pinned, wheel],
    }
    found = {}
    for name, command in commands.items():
        place = home / name.partition(" ")[0]
        variables = {"PIPX_HOME": str(place), "PIPX_BIN_DIR": str(place / "bin"), "PIPX_DEFAULT_PYTHON": sys.executable}
        variables |= {"UV_TOOL_DIR": str(place), "UV_TOOL_BIN_DIR": str(place / "bin"), "UV_PYTHON": sys.executable}
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables})
        if done.returncode:
            sys.exit(f"{name} install failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        found[name] = place / "bin" / "ff-observe"
    return found


def try_tools(target: Path) -> None:
    """Run the demo as each tool installed it, and say when it was scraped. Exits with a message where it is not."""
    (wheel,) = target.resolve().glob("*.whl")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for tool, command in installed(wheel, home).items():
            demo: Sequence[str | Path] = [command, "demo", "--port", "0", "--collector-port", "0"]
            try:
                seconds = scraped(f"ff-observe demo by {tool}", demo, home / "demo.log", os.environ)
            except FailedError as error:
                sys.exit(str(error))
            print(f"{tool} install: ff-observe demo was scraped after {seconds:.0f} s", flush=True)


def main(target: Path) -> None:
    """Build twice, under another umask, clock, path and user. Exits with a message if the bytes differ."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        one = built(copied(directory / "one", 0o022, 1_000_000_000), directory / "first")
        copy = copied(directory / "another" / "place", 0o077, 1_700_000_000)
        other = built(copy, directory / "another" / "dist", 0o077, 1000 if namespaces() else None)
        if one != other:
            sys.exit(f"two builds differ:\n{one}\n{other}")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(directory / "first", target)
    for file, digest in one.items():
        print(f"{digest}  {file}", flush=True)
    try_tools(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
