"""The overlay in deploy/compose, merged with FlowFuse's file as compose merges them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.plain_machine import TOP

OVERLAY = TOP / "deploy" / "compose" / "ff-observe.yml"
FLOWFUSE = TOP / "tests" / "data" / "compose" / "docker-compose.yml"
ON_LOOPBACK = {
    "FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PORT": "0",
    "FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_HOST": "127.0.0.1",
    "FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PROBE_URL": "false",
    "FF_TELEMETRY_DISABLED": "1",
}
"""Variables for a container's bridge on this machine, which has other tests that listen, and no FlowFuse `forge`."""


def merged(directory: Path, flowfuse: Path = FLOWFUSE, *profiles: str, **variables: str) -> dict[str, Any]:
    """Both files, interpolated and merged by podman-compose, which needs no engine for that. Paths are below
    `directory`, where FlowFuse's file stands and ff-observe's clone is `ff-observe`."""
    base = directory / "docker-compose.yml"
    base.write_bytes(flowfuse.read_bytes())
    if not (directory / "ff-observe").exists():
        (directory / "ff-observe").symlink_to(TOP)
    programs = directory / "programs"
    programs.mkdir(exist_ok=True)
    engine = programs / "podman"  # asked for its version alone
    engine.write_text("#!/bin/sh\necho podman version 5.0.0\n")
    engine.chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "podman_compose"),
            *("-f", "docker-compose.yml", "-f", "ff-observe/deploy/compose/ff-observe.yml"),
            *(part for profile in profiles for part in ("--profile", profile)),
            "config",
        ],
        cwd=directory,
        capture_output=True,
        text=True,
        env={"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(directory), **variables},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


def validate(file: Path) -> str:
    """What the compose specification's schema says against a file; empty where nothing."""
    from check_jsonschema import main as check_jsonschema  # takes seconds
    from click.testing import CliRunner

    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", "vendor.compose-spec", str(file)])
    return "" if done.exit_code == 0 else done.output
