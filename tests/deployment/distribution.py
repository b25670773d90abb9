"""Wheel and sdist, built as anybody would build them: the same bytes each time.

`python -m tests.deployment.distribution DIR` builds both twice and leaves them in DIR (`make dist`).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.plain_machine import TOP


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
        print(f"{digest}  {file}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
