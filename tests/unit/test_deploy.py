"""The units in deploy/systemd: systemd accepts them, they leave little open, and they call the command as it is."""

import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from ff_observe.cli import build_parser
from ff_observe.cli.collector import COLLECTOR_DATABASE_FILE
from ff_observe.cli.signals import EndedBySignal
from ff_observe.config.declaration import OVERLAY

DIRECTORY = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(DIRECTORY.glob("*.service"))
DROP_INS = sorted(DIRECTORY.glob("*.service.d/*.conf"))
MOST_EXPOSURE = 2.0

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)


@pytest.fixture
def analyze(tmp_path: Path) -> Path:
    """A directory for units; skipped where systemd is not installed."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    return tmp_path


def installed(unit: Path, directory: Path) -> Path:
    """A copy with a program that is there, as systemd asks, with the drop-ins of the unit."""
    there = directory / unit.name.replace("@.", "@acme.")  # of a template, an instance
    there.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE))
    for drop_in in DROP_INS:
        if drop_in.parent.name == f"{unit.name}.d":
            (directory / drop_in.parent.name).mkdir(exist_ok=True)
            shutil.copy(drop_in, directory / drop_in.parent.name)
    return there


@each_unit
def test_systemd_accepts_the_unit_and_its_drop_ins(unit: Path, analyze: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", installed(unit, analyze)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@each_unit
def test_the_unit_leaves_little_open(unit: Path, analyze: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(installed(unit, analyze))]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSURE


def test_systemd_accepts_the_socket_of_the_service(analyze: Path) -> None:
    installed(DIRECTORY / "ff-observe.service", analyze)
    there = shutil.copy(DIRECTORY / "ff-observe.socket", analyze)
    done = subprocess.run(["systemd-analyze", "verify", there], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@each_unit
def test_a_stop_before_the_start_was_done_is_no_failure_of_the_unit(unit: Path) -> None:
    assert f"SuccessExitStatus={EndedBySignal(signal.SIGTERM).exit_status}" in unit.read_text().splitlines()


@each_unit
def test_the_unit_calls_the_command_as_it_is(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), flags=re.MULTILINE)
    _, *arguments = shlex.split(line)
    assert build_parser().parse_args(arguments).command in ("run", "collector")


@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda drop_in: drop_in.name)
def test_a_credential_is_named_where_it_is_read(drop_in: Path) -> None:
    text = drop_in.read_text()
    credentials = set(re.findall(r"^LoadCredential=([^:]+):/etc/ff-observe/", text, flags=re.MULTILINE))
    variables = dict(re.findall(r"\b(FF_OBSERVE_\w+)=(\S+)", text))
    by_path = set(re.findall(rf"/run/credentials/{drop_in.parent.stem}/([\w-]+)", text))
    by_variable = {value.removeprefix("%d/") for value in variables.values() if value.startswith("%d/")}
    assert by_path | by_variable == credentials != set()
    overlay = {name for key in OVERLAY.keys for name in (key.variable, f"{key.variable}_FILE")}
    assert variables.keys() <= {*overlay, COLLECTOR_DATABASE_FILE}
