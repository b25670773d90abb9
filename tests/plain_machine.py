"""The two set-up commands of the README on a machine that holds nothing else: a Debian root made by debootstrap.

`make plain-machine` clones the committed state into a fresh root for each user, runs `make demo` until it is scraped,
then `make test`. Root may install what is missing there; an ordinary user (uid 1000) may not, and the command has to
succeed all the same. With `--short` only a part of the tests runs, at least one of each part that root installs, and
the ordinary user's `make test` finds installed what root's installed; `--base` makes the plain root and no more.
Needs root, `debootstrap` and `unshare`.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.real_parts import install

TOP: Final = Path(__file__).parent.parent
DEBOOTSTRAP: Final = install.Package("debootstrap", "debootstrap", "a plain root")
PACKAGES: Final = ("python3", "python3-venv", "make", "git", "ca-certificates")
"""What the README asks for, `git` to clone, and the certificates of the package registries."""
PLACE: Final = "srv/ff-observe"
BASE: Final = TOP / ".cache" / "plain-machine" / "base"
USERS: Final = {"root": 0, "operator": 1000}
PAGE: Final = "tests/end_to_end/test_status_page_in_a_browser.py"
SHORT: Final = (
    *("tests/unit/platform/test_postgresql.py", "tests/unit/platform/test_postgresql_pooler.py"),
    *("tests/unit/test_install_real_parts.py", "tests/unit/test_deploy.py", "tests/unit/test_shell_comfort.py"),
    *("tests/unit/web/test_authentication.py", "tests/unit/ping/test_recording.py"),
    *("tests/end_to_end/test_otlp_rotel.py", "tests/end_to_end/test_prometheus_scrape.py"),
    "tests/end_to_end/test_backend_sentry_bugsink.py",
    f"{PAGE}::test_it_is_legible_and_accessible_in_both_themes_and_all_sizes[database-down]",
)
HANDED_OVER: Final = re.compile(
    r"(?:https?|no|all)_proxy|(?:PIP_(?:CERT|INDEX_URL|PROXY)|NPM_CONFIG_\w+)", re.IGNORECASE
)
"""Of this machine's environment: how it reaches the package registries."""
TRUST: Final = ("etc/ssl/certs/ca-certificates.crt", "etc/resolv.conf", "etc/hosts")
"""Of this machine's files: the authorities it trusts and how it finds other machines."""
UNSAFE_IO: Final = ("etc/dpkg/dpkg.cfg.d/unsafe-io", "force-unsafe-io\n")
"""As in the images of container engines: dpkg does not wait for the disk; no such root is kept after a crash."""
DEMO_SECONDS: Final = 600.0


class FailedError(Exception):
    """The text says which command failed and how."""


def make_base(base: Path, codename: str | None = None) -> None:
    """The plain root, of this or another release of Debian, made once: a complete directory has its final name."""
    if base.exists():
        return
    if absent := install.missing([DEBOOTSTRAP]):
        if not install.may_install():
            raise FailedError("a plain root needs root and debootstrap: apt-get install debootstrap")
        install.install_packages(absent)
    unfinished = base.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    command: list[str | Path] = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command += [codename or release["VERSION_CODENAME"], unfinished]
    if codename:  # a release that is younger than this debootstrap is made as unstable is
        command += ["", "/usr/share/debootstrap/scripts/sid"]
    log = base.with_name("debootstrap.log")
    with log.open("wb") as output:
        ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT)
    if ended.returncode != 0:
        raise FailedError(f"debootstrap ended with {ended.returncode}; see {log}")
    for name in TRUST:
        shutil.copy(f"/{name}", unfinished / name)
    (unfinished / UNSAFE_IO[0]).write_text(UNSAFE_IO[1])
    unfinished.rename(base)


def environment(home: str, variables: Mapping[str, str]) -> dict[str, str]:
    """What a stranger's shell has, and how this machine reaches the package registries."""
    reached = {name: value for name, value in variables.items() if HANDED_OVER.fullmatch(name)}
    authorities = f"/{TRUST[0]}"
    return {
        **reached,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "PIP_CERT": authorities,
        "NODE_EXTRA_CA_CERTS": authorities,
    }


def command_in(root: Path, uid: int, command: str) -> list[str]:
    """A shell command inside of `root`, in mount and process namespaces of its own: what it starts ends with it."""
    enter = (
        f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && "
        f"exec chroot --userspec={uid}:{uid} {root} /bin/sh -c 'cd /{PLACE} && exec {command}'"
    )
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "/bin/sh", "-c", enter]


@contextlib.contextmanager
def machine(base: Path, name: str, uid: int) -> Iterator[Path]:
    """A copy of the plain root with a clone of what is committed here, until the block ends."""
    root = base.with_name(f"machine-{name}")
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "-a", base, root], check=True)
    try:
        clone = root / PLACE
        clone.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", TOP, clone], check=True)
        subprocess.run(["chown", "-R", f"{uid}:{uid}", clone.parent], check=True)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def keep_installed(root: Path, installed: Path) -> None:
    """Move what `make test` installed in a machine out of it."""
    shutil.rmtree(installed, ignore_errors=True)
    (root / PLACE / ".venv").rename(installed)


def take_installed(installed: Path, root: Path, uid: int) -> None:
    """Put what another machine's `make test` installed, at the same place, into this one."""
    environment_there = root / PLACE / ".venv"
    shutil.rmtree(environment_there)
    installed.rename(environment_there)
    subprocess.run(["chown", "-R", f"{uid}:{uid}", environment_there], check=True)
    for stamp in environment_there.glob("*.stamp"):  # newer than the files of this clone
        stamp.touch()


def run_demo(root: Path, uid: int) -> float:
    """Run `make demo` until its metrics are scraped, then press Ctrl-C. Returns the seconds to the first scrape."""
    command = command_in(root, uid, 'make demo DEMO_ARGS="--port 0 --collector-port 0"')
    return scraped("make demo", command, root.with_name(f"{root.name}-demo.log"), environment("/srv", os.environ))


def scraped(name: str, command: Sequence[str | Path], log: Path, variables: Mapping[str, str]) -> float:
    """Run a demo until its metrics are scraped, then press Ctrl-C. Returns the seconds to the first scrape."""
    began = time.monotonic()
    with log.open("wb") as output:
        demo = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=variables, start_new_session=True)
    try:
        while not (found := re.search(r"metrics +(http://127\.0\.0\.1:[0-9]+/metrics)", log.read_text())):
            if demo.poll() is not None or time.monotonic() > began + DEMO_SECONDS:
                raise FailedError(f"{name} did not start:\n{log.read_text()[-3000:]}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                demo.wait(0.1)
        with urllib.request.urlopen(found[1], timeout=60) as response:
            exposition = response.read().decode()
        seconds = time.monotonic() - began
        if not re.search(r"\nflowfuse_up(\{.*\})? 1", exposition):
            raise FailedError(f"{name} was scraped, and its platform was not up:\n{exposition[:3000]}")
        os.killpg(demo.pid, signal.SIGINT)
        status = demo.wait(60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)
        demo.wait()
    if "Stopping." not in log.read_text():
        raise FailedError(f"{name} ended with {status} without having stopped in order:\n{log.read_text()[-3000:]}")
    return seconds


def run_tests(root: Path, uid: int, short: bool) -> str:
    """Run `make test`. Returns pytest's last line."""
    selected = f'PYTEST_ARGS="{" ".join(SHORT)}"' if short else ""
    log = root.with_name(f"{root.name}-test.log")
    with log.open("wb") as output:
        ended = subprocess.run(
            command_in(root, uid, f"make test {selected}"),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment("/srv", os.environ),
        )
    text = log.read_text(errors="replace")
    if ended.returncode != 0:
        raise FailedError(f"make test ended with {ended.returncode}; its log is {log}, and ends so:\n{text[-4000:]}")
    try:
        return summary(text, uid)
    except FailedError as error:
        raise FailedError(f"{error}; its log is {log}") from None


def summary(text: str, uid: int) -> str:
    """pytest's last line of a passed `make test`. For root nothing may be left out or skipped; for others, what is
    left out must be named."""
    last = text.strip().splitlines()[-1].strip("= ")
    left_out = re.findall(r"^  \S+: .*", text, re.MULTILINE)
    if " passed" not in last:
        raise FailedError(f"make test ended with {last!r}")
    if uid == 0 and (left_out or " skipped" in last):
        raise FailedError(f"make test as root ended with {last!r} and left out {left_out}")
    if uid != 0 and not left_out:
        raise FailedError("make test did not name what it left out")
    return last


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.plain_machine", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a part of the tests instead of all")
    parser.add_argument("--base", action="store_true", help="make the plain root, and no more")
    options = parser.parse_args()
    installed = BASE.with_name("installed")
    failed = False
    try:
        make_base(BASE)
        for name, uid in {} if options.base else USERS.items():
            with machine(BASE, name, uid) as root:
                began = time.monotonic()
                print(f"{name}: make demo was scraped after {run_demo(root, uid):.0f} s", flush=True)
                if options.short and installed.exists():
                    take_installed(installed, root, uid)
                print(f"{name}: make test: {run_tests(root, uid, options.short)}", flush=True)
                print(f"{name}: {time.monotonic() - began:.0f} s in all", flush=True)
                if options.short and uid == 0:
                    keep_installed(root, installed)
    except FailedError as error:
        print(f"plain machine: {error}", file=sys.stderr)
        failed = True
    finally:
        shutil.rmtree(installed, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
