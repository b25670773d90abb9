"""Installs the real programs the tests run against: Debian packages where it may (as root on Debian), and what the
other modules here fetch for themselves. Elsewhere it says what is left out and how to get it.

Run it as `python -m tests.real_parts.install`; it does nothing, fast and silently, where all is there.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


@dataclass(frozen=True)
class Package:
    """A Debian package, and the program or file by which one sees that it is there."""

    name: str
    sign: str
    purpose: str

    def is_there(self) -> bool:
        if self.sign.startswith("/"):
            return any(Path("/").glob(self.sign[1:]))
        return shutil.which(self.sign, path=SEARCH_PATH) is not None


PACKAGES = (
    Package("prometheus", "promtool", "a real Prometheus scrapes the bridge, promtool checks metrics and rules"),
    Package("prometheus-alertmanager", "prometheus-alertmanager", "alerts reach somebody"),
    Package("prometheus-sql-exporter", "prometheus-sql-exporter", "what the benchmarks compare with"),
    Package("prometheus-node-exporter", "prometheus-node-exporter", "what is attacked beside the bridge"),
    Package("postgresql", "/usr/lib/postgresql/*/bin/initdb", "platforms on PostgreSQL"),
    Package("etcd-server", "etcd", "a collector whose PostgreSQL fails over"),
    Package("haproxy", "haproxy", "several collectors behind a balancer"),
    Package("pgbouncer", "pgbouncer", "platforms whose PostgreSQL is behind a pooler"),
    Package("libatomic1", "/usr/lib/*/libatomic.so.1", "Playwright's driver, which steers the browser"),
    Package("libpython3.11", "/usr/lib/*/libpython3.11.so.1.0", "the OTLP receiver of another maker (rotel)"),
    Package("nftables", "nft", "a NetworkPolicy in force in a network namespace"),
    Package("zsh", "zsh", "completion as its users have it"),
    Package("fish", "fish", "completion as its users have it"),
    Package("groff-base", "groff", "the manual page"),
    Package("systemd", "systemd-analyze", "the units in deploy/systemd"),
    Package("chromium-headless-shell", "chromium-headless-shell", "pages in a real browser"),
    Package("fonts-dejavu-core", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "text in pictures of pages"),
    Package("apache2-utils", "htpasswd", "hashes of passwords as operators make them"),
    Package("wrk", "wrk", "load for the benchmarks"),
    Package("nginx-light", "nginx", "what the benchmarks compare with"),
    Package("nodejs", "node", "the browser SDKs of PostHog, Sentry and Plausible"),
    Package("npm", "npm", "the browser SDKs of PostHog, Sentry and Plausible"),
)

MODULES = ("bugsink", "browser", "aics_tlog", "patroni")
"""Parts that install themselves when run as `python -m tests.real_parts.NAME`, and do nothing where they are there."""


def missing(packages: Sequence[Package]) -> list[Package]:
    """The packages that are not there."""
    return [package for package in packages if not package.is_there()]


def may_install() -> bool:
    """Whether this is root on Debian or one of its children."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian starts what it installs; policy-rc.d forbids it for the while (invoke-rc.d(8))."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _is_offered(package: Package) -> bool:
    """Whether this release of Debian has it: apt-get installs nothing at all if it does not know one of the names."""
    return subprocess.run(["apt-cache", "show", package.name], capture_output=True).returncode == 0


def install_packages(packages: Sequence[Package]) -> None:
    """Install with apt-get. Raises `CalledProcessError`, after apt-get has said why."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt_get = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
    with _no_service_starts():
        subprocess.run([*apt_get, "update"], check=True, env=environment)
        names = [package.name for package in packages if _is_offered(package)]
        print("installing Debian packages:", *names, flush=True)
        subprocess.run(
            [*apt_get, "install", "--yes", "--no-install-recommends", *names],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
        )


def _install_modules(modules: Sequence[str]) -> list[str]:
    """Install the other parts; returns what is left out, and why."""
    left_out = []
    for name in modules:
        command = [sys.executable, "-m", f"tests.real_parts.{name}"]
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode != 0:
            reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
            left_out.append(f"{name}: {reason} (to try again: python -m tests.real_parts.{name})")
    return left_out


def main(packages: Sequence[Package] = PACKAGES, modules: Sequence[str] = MODULES) -> int:
    """Install; returns 1 if something is left out where nothing may be (`FF_OBSERVE_REQUIRE_ALL=1`)."""
    absent = missing(packages)
    if absent and may_install():
        try:
            install_packages(absent)
        except subprocess.CalledProcessError as error:
            print(f"apt-get ended with {error.returncode}", file=sys.stderr)
        absent = missing(packages)
    left_out = [f"{package.name}: {package.purpose}" for package in absent]
    left_out += _install_modules(modules)
    if left_out:
        print("Left out; the tests that need them are skipped:", file=sys.stderr)
        for line in left_out:
            print(f"  {line}", file=sys.stderr)
    if absent:
        print("To have them, on Debian or Ubuntu, run as root:", file=sys.stderr)
        names = " ".join(package.name for package in absent)
        print(f"  apt-get install --no-install-recommends {names}", file=sys.stderr)
    return 1 if left_out and os.environ.get("FF_OBSERVE_REQUIRE_ALL") else 0


if __name__ == "__main__":
    sys.exit(main())
