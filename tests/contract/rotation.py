"""Wrappings of each kind, and settings and commands that rotate them in a real PostgreSQL."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import yaml

from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.settings_file import collector_settings

PROGRAM = """\
import os, signal, sys
from pathlib import Path
kind, byte, verb = sys.argv[1], int(sys.argv[2]), sys.argv[3]
here = Path(__file__).parent
content = sys.stdin.buffer.read()
with (here / "called").open("a") as called:
    called.write(f"{byte} {verb}\\n")
if (here / "down").exists():
    sys.exit(1)
kills = here / "kills"
if kills.exists() and len((here / "called").read_text().splitlines()) == int(kills.read_text()):
    os.kill(os.getppid(), signal.SIGKILL)
if kind == "kms" and verb == "unwrap":
    if content[0] != byte:
        sys.stderr.buffer.write(bytes(each ^ byte for each in content))
        sys.exit(3)
    content = content[1:]
content = bytes(each ^ byte for each in content)
sys.stdout.buffer.write(bytes([byte]) + content if kind == "kms" and verb == "wrap" else content)
"""
OLD, NEW, WRONG = 0x5A, 0xA5, 0x33
Wrapping = Mapping[str, object]
"""The key of `collector.yml` that names it, below `keys`, and its value."""
KINDS = ("file", "kms", "cipher")
"""A key file, a command that recognises what it has wrapped, and one that does not."""
of_each_kind = pytest.mark.parametrize("kind", KINDS)


@dataclass(frozen=True)
class Rotation:
    """Wrappings, and settings that name them, in one directory."""

    directory: Path
    database: str

    def wrapping(self, kind: str, byte: int) -> Wrapping:
        if kind != "file":
            return {"wrapping_command": [str(self.directory / "wraps"), kind, str(byte)]}
        file = self.directory / f"{byte}.key"
        file.write_text(f"{byte:02x}" * 32)
        file.chmod(0o600)
        return {"wrapping_key_file": str(file)}

    def written(self, present: Wrapping, previous: Wrapping | None = None, name: str = "one") -> Path:
        """A `collector.yml`."""
        file = self.directory / f"{name}.yml"
        keys = {**present, **{f"previous_{key}": value for key, value in (previous or {}).items()}}
        settings = {"listen": "127.0.0.1:0", "data_dir": name, "database": self.database, "keys": keys}
        file.write_text(yaml.safe_dump(settings))
        return file

    def settings(self, present: Wrapping, previous: Wrapping | None = None, name: str = "one") -> CollectorSettings:
        return collector_settings(self.written(present, previous, name))

    def command(self, present: Wrapping, previous: Wrapping | None = None) -> list[str]:
        file = self.written(present, previous, "command")
        return ["collector", "key", "--rewrap", "--settings", str(file)]

    @property
    def senders(self) -> list[bytes]:
        """The hash of the sender of each stored ping."""
        with psycopg.connect(self.database) as session:
            return [bytes(sender) for (sender,) in session.execute("SELECT sender FROM ping")]


def rotation_in(directory: Path, database: str) -> Rotation:
    """Its command fails if there is a file `down` beside it; a file `kills` holds the number of the run that kills its
    parent."""
    program = directory / "wraps"
    program.write_text(f"#!{sys.executable} -IS\n{PROGRAM}")
    program.chmod(0o700)
    return Rotation(directory, database)


def wrapped_by(setting: str, *, before: Sequence[str] = ()) -> str:
    """What the command prints."""
    return "".join(
        f"{name}: {'already ' if name in before else ''}wrapped by keys.{setting}\n" for name in ("receipts", "sender")
    )


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name == "ff_observe.collector.keys.both"
    ]
