"""Runs the commands of a document, in their order, on a machine on which nothing is changed: this one's root with the
changes kept apart, a network of its own, FlowFuse's home with a recorded platform, and stand-ins for what cannot run.

A block of a document is one of: `sh`, which is run; `yaml PATH`, which is written to that path; another language, which
others check.
"""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import recordings
from tests.deployment.image_root import NAMESPACES
from tests.deployment.programs import PROGRAMS
from tests.plain_machine import TOP

FENCE: Final = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BRIDGE: Final = "http://127.0.0.1:10464/-/healthy"
STARTED: Final = {
    r"^ff-observe demo$|^ff-observe .*\brun$": BRIDGE,
    r"^systemctl enable --now ff-observe$": BRIDGE,
    r"^systemctl enable --now ff-observe-collector$": "http://127.0.0.1:10465/-/healthy",
    r"^prometheus ": "http://127.0.0.1:9090/-/ready",
}
"""Commands after which something runs, and the address that answers once it has started."""

INSTALLS: Final = re.compile(r"^(python3 -m venv \S+|\S*pip install ff-observe)$", re.MULTILINE)
VENV: Final = Path(sys.executable).parent.parent
CLONE: Final = ("kubernetes.md", "systemd.md")
"""Documents whose commands are run in a clone of the repository."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the path that follows it, its text."""

    language: str
    path: str
    text: str


def blocks(document: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(document.read_text())]


def script(document: Path, *, installed: bool) -> str:
    """The document as a shell script. The package under test stands in for what it installs, unless that is done."""
    parts = ["set -euo pipefail"]
    for block in blocks(document):
        if block.path:
            parts.append(f"cat > {block.path} <<'END OF FILE'\n{block.text}END OF FILE")
        elif block.language == "sh":
            parts += [_command(line, installed) for line in block.text.splitlines() if not line.startswith("#")]
    return "\n".join(parts) + "\n"


def _command(line: str, installed: bool) -> str:
    for pattern, address in STARTED.items():
        if re.search(pattern, line):
            return _started(line, address)
    found = INSTALLS.match(line)
    if found is None:
        return line
    return f"ln -sfn {VENV} {line.split()[-1]}" if "venv" in line and not installed else ":"


def _started(line: str, address: str) -> str:
    """The command in the background, once the bridge before it has ended; of a unit, what systemd would start."""
    lines = []
    if line.startswith("systemctl"):
        unit = TOP / "deploy" / "systemd" / f"{line.split()[-1]}.service"
        lines.append(line)
        (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    if address == BRIDGE:
        lines.append("[ -z ${bridge:-} ] || { kill -INT $bridge; wait $bridge || true; }")
    lines += [f"{line} > started.log 2>&1 &", "bridge=$!" if address == BRIDGE else ":"]
    lines.append(f"for _ in $(seq 1200); do curl -sf {address} > /dev/null && break; sleep 0.1; done")
    return "\n".join([*lines, f"curl -sf {address} > /dev/null || {{ cat started.log; exit 1; }}"])


def run(
    document: Path, directory: Path, *, installed: bool = False, afterwards: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a document below `directory`, and a command after it; what it ended with and wrote."""
    upper = directory / "upper"
    work = Path("/srv/scene")
    scene = upper / "srv" / "scene"
    for made in (scene, directory / "work", directory / "merged", upper / "usr" / "local" / "bin"):
        made.mkdir(parents=True, exist_ok=True)
    _platform(upper / "opt" / "flowforge")
    (upper / "opt" / "ff-observe").symlink_to(VENV)  # where a service has the package
    for name in PROGRAMS:
        program = upper / "usr" / "local" / "bin" / name
        program.write_text(
            f'#!/bin/sh\nPYTHONPATH={TOP} exec {sys.executable} -m tests.deployment.programs {name} "$@"\n'
        )
        program.chmod(0o755)
    if document.name == "compose.md":
        (scene / "ff-observe").symlink_to(TOP)
        shutil.copyfile(TOP / "tests" / "data" / "compose" / "docker-compose.yml", scene / "docker-compose.yml")
        (scene / ".env").write_text("DOMAIN=example.com\n")
    (scene / "document.sh").write_text(script(document, installed=installed) + afterwards)
    place = TOP if document.name in CLONE else work
    enter = (
        f"mount -t overlay overlay -o lowerdir=/,upperdir={upper},workdir={directory}/work {directory}/merged; "
        f"cd {directory}/merged; mount -t proc proc proc; mount --rbind /dev dev; ip link set lo up; "
        f"exec chroot . /bin/bash -c {shlex.quote(f'cd {place} && exec bash {work}/document.sh')}"
    )
    path = f"{VENV / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    variables = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "DO_NOT_TRACK": "1"}
    return subprocess.run(
        [NAMESPACES[0], "--net", *NAMESPACES[1:], enter], capture_output=True, text=True, env=variables
    )


def _platform(home: Path) -> None:
    (home / "etc").mkdir(parents=True)
    (home / "var").mkdir()
    shutil.copyfile(recordings.named("v2.4.0-sqlite-ce").home / "var" / "forge.db", home / "var" / "forge.db")
    (home / "etc" / "flowforge.yml").write_text("base_url: http://127.0.0.1:3000\ndb:\n  type: sqlite\n")
