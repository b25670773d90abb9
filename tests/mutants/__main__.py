"""`python -m tests.mutants [MODULE ...]`: how many changes to a module its own unit tests notice (mutmut).

Exit status 1 if a module is below 95 % killed. Equivalent mutants are listed, with the reason, in `survivors.md`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests.recordings import ALL, ROOT

GOAL = 0.95
WORK = ROOT / ".cache" / "mutants"

TESTS: dict[str, tuple[str, ...]] = {
    "ff_observe/platform/snapshots.py": ("tests/unit/platform/test_snapshots*.py",),
    "ff_observe/outputs/ping/consent.py": ("tests/unit/ping/test_consent.py",),
    "ff_observe/outputs/ping/payload.py": ("tests/unit/ping/test_payload.py",),
    "ff_observe/outputs/ping/ledger.py": ("tests/unit/ping/test_ledger*.py",),
    "ff_observe/outputs/ping/ledger_files.py": ("tests/unit/ping/test_ledger*.py",),
    "ff_observe/outputs/ping/schedule.py": ("tests/unit/ping/test_schedule.py", "tests/unit/ping/test_agenda*.py"),
    "ff_observe/outputs/ping/outcome.py": ("tests/unit/ping/test_outcome.py",),
    "ff_observe/outputs/ping/memory.py": ("tests/unit/ping/test_memory.py",),
    "ff_observe/outputs/ping/participation.py": (
        "tests/unit/ping/test_participation.py",
        "tests/unit/ping/test_file_election.py",
    ),
    "ff_observe/outputs/ping/election.py": (
        "tests/unit/ping/test_election.py",
        "tests/unit/ping/test_file_election.py",
    ),
    "ff_observe/collector/receiving/acceptance.py": ("tests/unit/collector/test_acceptance.py",),
    "ff_observe/collector/store/rollups.py": ("tests/unit/collector/test_rollups.py",),
    "ff_observe/collector/sender_address.py": ("tests/unit/collector/test_sender_address.py",),
    "ff_observe/telemetry/escapes.py": ("tests/unit/test_escapes.py", "tests/unit/test_redaction*.py"),
    "ff_observe/http/peers.py": ("tests/unit/http/test_peers.py",),
    "ff_observe/http/places.py": ("tests/unit/http/test_places.py",),
    "ff_observe/platform/facts.py": ("tests/unit/platform/test_facts.py",),
    **{
        f"ff_observe/platform/sources/{module}.py": tuple(patterns)
        for module, *patterns in (
            ("conditions", "tests/unit/platform/test_conditions.py"),
            ("counting", "tests/unit/platform/test_counting_*.py"),
            ("http_probe", "tests/unit/platform/test_http_probe.py"),
            ("installation", "tests/unit/platform/test_installation*.py"),
            ("intervals", "tests/unit/platform/test_intervals.py"),
            ("reduction", "tests/unit/platform/test_reduction.py"),
            ("licence", "tests/unit/platform/test_licence.py"),
            ("limit", "tests/unit/platform/test_limit.py"),
            ("own_statements", "tests/unit/platform/test_own_statements.py"),
            ("postgresql", "tests/unit/platform/test_postgresql*.py", "tests/unit/platform/test_too_slow.py"),
            ("postgresql_locks", "tests/unit/platform/test_postgresql_locks.py"),
            ("postgresql_session", "tests/unit/platform/test_postgresql*.py"),
            ("postgresql_tls", "tests/unit/platform/test_postgresql_tls.py"),
            ("privileges", "tests/unit/platform/test_privileges.py"),
            ("questions", "tests/unit/platform/test_questions.py"),
            ("sql", "tests/unit/platform/test_sql.py", "tests/unit/platform/test_questions.py"),
            ("sqlite", "tests/unit/platform/test_sqlite*.py", "tests/unit/platform/test_too_slow.py"),
            ("sqlite_process", "tests/unit/platform/test_sqlite_process.py"),
            ("audit_log", "tests/unit/audit/test_counters.py"),
        )
    },
}
"""Module → its own unit tests, as patterns. Another module is tried as `MODULE=PATTERN[,PATTERN...]`."""

_UNDECIDED = {"no tests", "skipped", "suspicious", "not checked", "segfault", "check was interrupted by user"}


@dataclass(frozen=True)
class Score:
    """What became of the mutants of one module, by mutmut's names."""

    module: str
    status_of: dict[str, str]

    @property
    def survivors(self) -> list[str]:
        """Everything that no test noticed, code without a test included."""
        return sorted(name for name, status in self.status_of.items() if status in {"survived", *_UNDECIDED})

    @property
    def killed(self) -> float:
        return 1 - len(self.survivors) / len(self.status_of)


def selected(patterns: tuple[str, ...]) -> list[str]:
    return sorted({str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern)})


def copy_project(module: str, tests: list[str]) -> Path:
    """A copy of what git knows and does not ignore, with mutmut's settings for one module."""
    copy = WORK / Path(module).stem
    shutil.rmtree(copy, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    for name in names:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    beside = sorted({name.partition("/")[0] for name in names} - {"ff_observe", "tests", "pyproject.toml"})
    settings = {
        "source_paths": ["ff_observe"],
        "only_mutate": [module],
        "also_copy": beside,
        # mutmut has a limit of its own.
        "pytest_add_cli_args": ["--override-ini=timeout=0", "-p", "tests.mutants.forgetful"],
        "pytest_add_cli_args_test_selection": tests,
        "use_git_change_detection": False,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    with (copy / "pyproject.toml").open("a") as project:
        project.write("\n[tool.mutmut]\n" + "\n".join(lines) + "\n")
    return copy


def mutate(module: str, patterns: tuple[str, ...], workers: int) -> Score:
    tests = selected(patterns)
    copy = copy_project(module, tests)
    # An editable install would lead back to the code as it is: the copy comes first, and must be there to be looked at.
    (copy / "mutants").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(copy / "mutants"), "FF_OBSERVE_RECORDINGS": str(ALL)}
    mutmut = str(Path(sysconfig.get_path("scripts")) / "mutmut")
    done = subprocess.run(
        [mutmut, "run", "--max-children", str(workers)], cwd=copy, env=environment, capture_output=True, text=True
    )
    (copy / "run.log").write_text(done.stdout + done.stderr)
    results = subprocess.run(
        [mutmut, "results", "--all", "true"], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    found = (line.strip().rpartition(": ") for line in results.stdout.splitlines())
    status_of = {name: status for name, _, status in found if name}
    if not status_of or "not checked" in status_of.values():
        sys.exit(f"mutmut did not finish with {module}:\n{(done.stdout + done.stderr)[-3000:]}")
    score = Score(module, status_of)
    print(f"{module}: {score.killed:.1%} of {len(status_of)} killed", flush=True)
    for name in score.survivors:
        shown = subprocess.run([mutmut, "show", name], cwd=copy, env=environment, capture_output=True, text=True)
        changed = [line for line in shown.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        print("\n".join([f"  {name}: {status_of[name]}", *(f"    {line}" for line in changed)]), flush=True)
    return score


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="a path, or its name without .py; default: all")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    wanted: dict[str, tuple[str, ...]] = {}
    for each in arguments.modules or TESTS:
        module, _, patterns = each.partition("=")
        if patterns:
            wanted[module] = tuple(patterns.split(","))
            continue
        known = [name for name in TESTS if module in (name, Path(name).stem)]
        if not known:
            names = ", ".join(Path(name).stem for name in TESTS)
            parser.error(f"no tests are listed for {module}: name one of {names}, or write MODULE=TESTS")
        wanted[known[0]] = TESTS[known[0]]
    scores = [mutate(module, patterns, arguments.workers) for module, patterns in wanted.items()]
    return int(any(score.killed < GOAL for score in scores))


if __name__ == "__main__":
    sys.exit(main())
