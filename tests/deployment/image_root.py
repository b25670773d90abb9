"""Builds and runs the root of the image: each RUN in a chroot over a plain Debian root, the result read-only, as uid
1000, without capabilities, and with no network beyond its own loopback. Needs root."""

import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import recordings
from tests.deployment.dockerfile import Stage, Step, context, stages
from tests.plain_machine import BASE, TOP, environment, make_base
from tests.real_parts.cache import finish, unfinished
from tests.real_parts.processes import PATIENCE_SECONDS, running, wait_until

LARGEST_BYTES: Final = 150_000_000
NAMESPACES: Final = ("unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "/bin/sh", "-euc")
UID: Final = 1000
METRICS: Final = "http://127.0.0.1:10464/metrics"
_SCRAPE: Final = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=60).read().decode())"
VARIABLES: Final = {
    "FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_BRIDGE_ENABLED": "true",
    "FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_HOST": "0.0.0.0",
    "FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_ALLOW_PUBLIC": "true",
}
"""As those who run the image set them: docs/compose.md, docs/kubernetes.md."""


@dataclass(frozen=True)
class Image:
    """A root file system, and what its Dockerfile says about running it."""

    root: Path
    stage: Stage

    @property
    def size_bytes(self) -> int:
        """Of all files, each counted once however many names it has."""
        files = {(found.st_dev, found.st_ino): found.st_size for found in map(Path.lstat, self.root.rglob("*"))}
        return sum(files.values())

    @property
    def environment(self) -> dict[str, str]:
        return self.stage.pairs("ENV")


def build(base: Path, directory: Path, cache: Path) -> Image:
    """Carry out the Dockerfile in `directory`, over `base` for Debian's image. As container engines do it, the steps
    before `COPY . .` are carried out once and kept in `cache`, until they or the files they copy change. The cache is
    linked to, not copied: it is on the file system of `directory`, and later steps only add files."""
    built, final = stages(TOP / "Dockerfile")
    copies_all = built.steps.index(Step("COPY", ". ."))
    layer = cache / _digest(base, built.steps[:copies_all])
    overlay = Overlay(base, directory)
    if layer.exists():
        subprocess.run(["cp", "-al", f"{layer}/.", overlay.upper], check=True)
    else:
        _run_steps(built, 0, copies_all, overlay)
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-al", overlay.upper, unfinished(layer)], check=True)
        finish(layer)
    _run_steps(built, copies_all, len(built.steps), overlay)
    root = directory / "root"
    (copy,) = (step for step in final.steps if step.instruction == "COPY")
    from_stage, source, target = copy.words
    assert (from_stage, target) == (f"--from={built.name}", "/"), copy
    (overlay.upper / source.lstrip("/")).rename(root)
    return Image(root, final)


def _digest(base: Path, steps: Sequence[Step]) -> str:
    release = (base / "etc" / "os-release").read_bytes()
    copied = [(TOP / word).read_bytes() for step in steps if step.instruction == "COPY" for word in step.words[:-1]]
    return hashlib.sha256(b"\0".join([os.fsencode(base), release, repr(steps).encode(), *copied])).hexdigest()[:16]


class Overlay:
    """A file system over `lower`, whose changes are kept in `directory`/upper."""

    def __init__(self, lower: Path, directory: Path) -> None:
        self.upper = directory / "upper"
        for name in ("upper", "work", "merged"):
            (directory / name).mkdir(parents=True)
        self._log = directory / "build.log"
        self._mount = (
            f"mount -t overlay overlay -o lowerdir={lower},upperdir={self.upper},"
            f"workdir={directory}/work {directory}/merged; cd {directory}/merged; "
        )

    def run(self, command: str, variables: dict[str, str]) -> None:
        """Run a shell command in the directory where it is mounted."""
        with self._log.open("ab") as output:
            ended = subprocess.run(
                [*NAMESPACES, self._mount + command], stdout=output, stderr=subprocess.STDOUT, env=variables
            )
        if ended.returncode != 0:
            tail = self._log.read_text(errors="replace")[-3000:]
            raise AssertionError(f"{command} ended with {ended.returncode}:\n{tail}")

    def chroot(self, workdir: str, command: str, variables: dict[str, str]) -> None:
        """Run a shell command in it as root."""
        enter = "mount -t proc proc proc; mount --rbind /dev dev; exec chroot . /bin/sh -c "
        self.run(enter + shlex.quote(f"cd {workdir} && {command}"), variables)


def _run_steps(stage: Stage, first: int, end: int, overlay: Overlay) -> None:
    variables = {**environment("/root", os.environ), **stage.pairs("ENV")}
    workdir = "/"
    for number, step in enumerate(stage.steps[:end]):
        if step.instruction == "WORKDIR":
            workdir = step.text
            (overlay.upper / workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif number < first or step.instruction == "ENV":
            continue
        elif step.instruction == "COPY":
            _copy(step, overlay.upper / workdir.lstrip("/"))
        elif step.instruction == "RUN":
            overlay.chroot(workdir, step.text, variables)
        else:
            raise ValueError(f"{step.instruction} is not known in a stage that builds")


def _copy(step: Step, workdir: Path) -> None:
    *sources, target = step.words
    assert target in (".", "./"), step
    for path in context(TOP):
        if sources == ["."]:
            there = workdir / path
        elif str(path) in sources:
            there = workdir / path.name
        else:
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / path, there)


def entered(image: Image, home: Path, state: Path, command: Sequence[str]) -> list[str]:
    """A command line that runs `command` in the image as a container engine would run it, with FlowFuse's home and a
    volume for the state. It becomes the first process of its own network, in which only loopback is up."""
    root = image.root
    enter = (
        f"mount --bind {root} {root}; mount --bind {home} {root}/usr/src/forge; "
        f"mount --bind {state} {root}/var/lib/ff-observe; mount -t tmpfs tmpfs {root}/tmp; "
        f"mount -o remount,bind,ro {root}; mount -o remount,bind,ro {root}/usr/src/forge; "
        f"mount -t proc proc {root}/proc; mount --rbind /dev {root}/dev; ip link set lo up; "
        f'exec chroot --userspec={UID}:{UID} --groups= {root} "$@"'
    )
    namespaces = [NAMESPACES[0], "--net", *NAMESPACES[1:]]
    return [*namespaces, enter, "sh", *command]


@contextlib.contextmanager
def started(image: Image, home: Path, directory: Path, **variables: str) -> Iterator[int]:
    """The image as its ENTRYPOINT and CMD say, until the block ends; the process id of the first process in it."""
    state = directory / "state"
    state.mkdir(exist_ok=True)
    os.chown(state, UID, UID)
    command = entered(image, home, state, [*image.stage.last("ENTRYPOINT").words, *image.stage.last("CMD").words])
    variables = {**image.environment, "PATH": os.environ["PATH"], **variables}
    with running(command, directory, None, environment=variables) as process:
        inner = wait_until(lambda: _child(process.pid), "the image's first process")
        yield inner
        os.kill(inner, signal.SIGTERM)  # `unshare` hands no signal on
        status = process.wait(PATIENCE_SECONDS)
        assert status == 0, (directory / f"{NAMESPACES[0]}.log").read_text()


def _child(pid: int) -> int | None:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found[0]) if found else None


def inside(pid: int, *command: str, environment: dict[str, str] | None = None) -> str:
    """Run a program of this machine in the network of the process `pid`; its output. Raises where it fails."""
    done = subprocess.run(
        ["nsenter", "--target", str(pid), "--net", *command],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=environment,
    )
    if done.returncode != 0:
        raise OSError(done.stderr[-1000:])
    return done.stdout


def scraped(pid: int) -> str:
    """`/metrics` of the bridge that runs in the image."""
    return wait_until(lambda: inside(pid, sys.executable, "-c", _SCRAPE, METRICS), "/metrics of the image")


def home_of_a_platform(directory: Path) -> Path:
    """FlowFuse's home on a recorded SQLite platform, to be mounted where the image expects it."""
    (directory / "etc").mkdir(parents=True)
    (directory / "var").mkdir()
    shutil.copyfile(recordings.named("v2.4.0-sqlite-ce").home / "var" / "forge.db", directory / "var" / "forge.db")
    (directory / "etc" / "flowforge.yml").write_text("db:\n  type: sqlite\ntelemetry:\n  enabled: false\n")
    return directory


def main() -> int:
    """`make image-root`: the whole of it in a root that debootstrap makes, with the size and a scrape printed."""
    directory = TOP / ".cache" / "image-root"
    shutil.rmtree(directory, ignore_errors=True)
    make_base(BASE)
    image = build(BASE, directory, TOP / ".cache" / "image-layers")
    print(f"image: {image.size_bytes / 1e6:.0f} MB")
    with started(image, home_of_a_platform(directory / "home"), directory, **VARIABLES) as pid:
        samples = [line for line in scraped(pid).splitlines() if line.startswith("flowfuse_")]
    print(f"image: started as uid {UID} on a read-only root, {len(samples)} samples of the platform scraped")
    return 0 if image.size_bytes < LARGEST_BYTES and "flowfuse_up 1.0" in samples else 1


if __name__ == "__main__":
    sys.exit(main())
