"""The image: its Dockerfile and locks, and its root file system, built and started as an engine would start it."""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.version import VERSION
from tests.deployment import locks
from tests.deployment.chart import render, the
from tests.deployment.dockerfile import Stage, context, stages
from tests.deployment.image_root import (
    LARGEST_BYTES,
    UID,
    VARIABLES,
    Image,
    build,
    entered,
    home_of_a_platform,
    inside,
    scraped,
    started,
)
from tests.plain_machine import BASE, TOP
from tests.real_parts.cache import cache_directory

BOOKWORM = "VERSION_CODENAME=bookworm" in Path("/etc/os-release").read_text()


@pytest.fixture(scope="module")
def final() -> Stage:
    return stages(TOP / "Dockerfile")[-1]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, TOP / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_dependency_is_locked_with_hashes_in_the_version_that_ci_runs_with() -> None:
    everywhere = locks.pinned(locks.ALL)
    locked = locks.pinned(locks.RUN)
    assert locked.items() <= everywhere.items()
    assert locks.pinned(locks.BUILD).items() <= everywhere.items()
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[\[<>=!;~ ]", line)[0] for line in project["dependencies"]}
    needed |= {re.split(r"[<>=]", line)[0] for line in project["optional-dependencies"][locks.EXTRA]}
    assert needed <= locked.keys()
    assert locks.pinned(locks.BUILD).keys() == {
        "hatchling",
        "packaging",
        "pathspec",
        "pluggy",
        "tomlkit",
        "trove-classifiers",
    }


def test_the_image_says_what_it_is_and_how_it_runs(final: Stage) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in final.pairs("LABEL").items()}
    assert labels.keys() == {"title", "description", "licenses", "vendor", "base.name", "version"}
    assert labels["version"] == VERSION
    assert final.base == "scratch"
    assert final.last("USER").text == f"{UID}:{UID}"
    assert final.last("HEALTHCHECK").text.endswith('CMD ["/opt/ff-observe/bin/ff-observe", "health"]')


def test_the_build_sees_the_sources_of_the_wheel_and_no_secret_beside_them() -> None:
    seen = {str(path) for path in context(TOP)}
    assert {"pyproject.toml", "ff_observe/version.py", "deploy/image/requirements.lock"} <= seen
    assert not any(path.startswith(("tests/", ".git/", ".cache/", ".venv/")) or "__pycache__" in path for path in seen)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image, built over the plain root where `make plain-machine` or CI has made one, else over this machine's own,
    which stays as it is."""
    if os.geteuid() != 0 or not BOOKWORM:
        pytest.skip(
            "needs root on Debian bookworm, to carry out the steps of the Dockerfile in a root like the image's"
        )
    cache_directory().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_directory(), prefix="image-") as directory:
        yield build(BASE if BASE.exists() else Path("/"), Path(directory), cache_directory() / "image-layers")


def test_the_image_is_small_and_holds_no_shell(image: Image) -> None:
    print(f"image: {image.size_bytes / 1e6:.0f} MB")
    assert image.size_bytes < LARGEST_BYTES
    programs = {path.name for path in image.root.rglob("bin/*")}
    assert programs.isdisjoint({"sh", "bash", "dash", "busybox", "pip", "apt-get", "dpkg", "perl"})
    assert {"ff-observe", "python3.11"} <= programs
    writable = [path for path in image.root.rglob("*") if path.lstat().st_uid == UID]
    assert writable == [image.root / "var" / "lib" / "ff-observe"]


def test_the_image_serves_the_metrics_of_its_platform(image: Image, tmp_path: Path) -> None:
    home = home_of_a_platform(tmp_path / "home")
    health = [sys.executable, "-m", "ff_observe", "health", "--url", "http://127.0.0.1:10464"]
    with started(image, home, tmp_path, **VARIABLES) as pid:
        exposition = scraped(pid)
        assert inside(pid, *health) == "ff-observe is healthy.\n"
        status = Path(f"/proc/{pid}/status").read_text()
        mounts = Path(f"/proc/{pid}/mounts").read_text()
    assert re.search(r"^flowfuse_up(\{[^}]*\})? 1\.0$", exposition, re.MULTILINE)
    assert re.search(r"^flowfuse_users\{[^}]*\} 6\.0$", exposition, re.MULTILINE)
    assert re.search(rf"^Uid:\s+{UID}\s+{UID}\s+{UID}\s+{UID}$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^\S+ / \S+ ro\b", mounts, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--version"], 0, f"ff-observe {VERSION}"),
        (["health"], 1, "does not answer"),
        (["metrics"], 0, 'flowfuse_users{platform_id="'),
        (["ping", "show"], 0, '"platform"'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_commands_run_in_the_image(image: Image, tmp_path: Path, arguments: list[str], status: int, said: str) -> None:
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, UID, UID)
    command = entered(
        image, home_of_a_platform(tmp_path / "home"), state, [*image.stage.last("ENTRYPOINT").words, *arguments]
    )
    done = subprocess.run(
        command, capture_output=True, text=True, env={**image.environment, "PATH": os.environ["PATH"], **VARIABLES}
    )
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr


def test_a_pod_keeps_a_ledger_although_every_user_may_write_to_an_emptydir(image: Image, tmp_path: Path) -> None:
    """Kubernetes makes one with mode 0777, and gives it the pod's `fsGroup` (pkg/volume/emptydir/empty_dir.go)."""
    volume = tmp_path / "volume"
    volume.mkdir()
    os.chown(volume, 0, UID)
    volume.chmod(0o2777)
    pod = the("Deployment", render())["spec"]["template"]["spec"]
    (prepare,), (container,) = pod["initContainers"], pod["containers"]
    assert prepare["volumeMounts"] == [{"name": "state", "mountPath": "/var/lib/ff-observe"}]
    (state,) = (each for each in container["volumeMounts"] if each["name"] == "state")
    home = home_of_a_platform(tmp_path / "home")
    variables = {**image.environment, "PATH": os.environ["PATH"], "FF_OBSERVE_TELEMETRY_ENABLED": "true"}
    variables["FF_OBSERVE_TELEMETRY_URL"] = "http://127.0.0.1:9/ping"
    for _ in range(2):  # a pod whose sandbox is made anew starts it once more, with the same volume
        subprocess.run(entered(image, home, volume, prepare["command"]), check=True, env=variables)
    send = [*image.stage.last("ENTRYPOINT").words, "ping", "send"]
    done = subprocess.run(
        entered(image, home, volume / state["subPath"], send), capture_output=True, text=True, env=variables
    )
    assert "could not be reached" in done.stderr
    assert (volume / state["subPath"] / "pings.jsonl").stat().st_size > 0
