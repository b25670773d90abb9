"""`ff-observe` as a process of its own, as an operator runs it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.network_guard import guarded_environment
from tests.real_parts.processes import PATIENCE_SECONDS, wait_until

_SERVES = re.compile(r"serves (http://\S+)")


@dataclass(frozen=True)
class Page:
    """An HTTP answer."""

    status: int
    text: str


@dataclass
class Bridge:
    """A running `ff-observe run`."""

    process: "subprocess.Popen[bytes]"
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def url(self) -> str:
        """Where it serves now: the last address it told."""
        return str(_SERVES.findall(self.log)[-1])

    def get(self, path: str, seconds: float = 60) -> Page:
        try:
            with urllib.request.urlopen(self.url + path, timeout=seconds) as response:
                return Page(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.code, error.read().decode())

    def value(self, sample: str) -> float | None:
        """The value of a sample on /metrics, by name with labels as exposed but for `platform_id`; None where it is
        absent."""
        exposition = re.sub(r',?platform_id="\w+"(?=})|platform_id="\w+",', "", self.get("/metrics").text)
        for line in exposition.replace("{}", "").splitlines():
            if line.rsplit(" ", 1)[0] == sample:
                return float(line.rsplit(" ", 1)[1])
        return None

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The exit status, once it has ended by itself."""
        return self.process.wait(seconds)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "ff_observe", *(str(argument) for argument in arguments)]


@contextlib.contextmanager
def running_bridge(
    home: Path | None, directory: Path, *, serves: str = _SERVES.pattern, options: Sequence[str] = (), **variables: str
) -> Iterator[Bridge]:
    """Run the bridge on `home` (None where `options` name what it reads) until the block ends; killed there if it has
    not ended by itself. `serves` is what it logs once it does."""
    log_file = directory / "bridge.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            command(*(() if home is None else ("--home", home)), "run", *options),
            cwd=directory,
            env=guarded_environment(**variables),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    bridge = Bridge(process, log_file)
    try:

        def serving() -> bool:
            assert process.poll() is None, bridge.log
            return bool(re.search(serves, bridge.log))

        wait_until(serving, "the bridge to serve")
        yield bridge
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)


def home_with(directory: Path, database: str, telemetry: str) -> Path:
    """A FlowFuse home whose file has these two sections (YAML, indented by two)."""
    (directory / "etc").mkdir(parents=True, exist_ok=True)
    (directory / "var").mkdir(exist_ok=True)
    write_file(directory, database, telemetry)
    return directory


def write_file(home: Path, database: str, telemetry: str) -> None:
    (home / "etc" / "flowforge.yml").write_text(
        f"driver:\n  type: stub\ndb:\n{database}telemetry:\n{telemetry}", encoding="utf-8"
    )
