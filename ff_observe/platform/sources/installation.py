"""The software installed beside the database: the versions of FlowFuse and Node.js, and the operating system.

None of these is in the database or in flowforge.yml.
"""

import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from ff_observe.config.environment import Environment
from ff_observe.config.kinds import is_http_url
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.config.settings import PlatformSettings, Settings
from ff_observe.platform.sources.model import OperatingSystem
from ff_observe.system.json_object import json_object
from ff_observe.system.presence import exists
from ff_observe.system.trusted_path import check_trusted_file

log = logging.getLogger(__name__)

NODE_TIMEOUT_SECONDS = 2.0
ASK_FLOWFUSE_AGAIN_SECONDS = 60.0
METRICS_SECONDS = 1.0
METRICS_BYTES = 2**20  # FlowFuse's exposition has some 20 kB
_BYTES_AT_ONCE = 2**16
_NODE_IN_METRICS = re.compile(rb'^nodejs_version_info\{[^}]*\bversion="(v\d[\w.+-]{0,62})"', re.MULTILINE)
MAX_VERSION_CHARACTERS = 64
_PACKAGES = ("@flowfuse/flowfuse", "@flowforge/flowforge")  # the second until FlowFuse 2.0

# Node.js uses other names than uname for these (deps/v8 target names, `process.arch`); the rest are the same.
_NODE_ARCHITECTURES: Mapping[str, str] = {
    "x86_64": "x64",
    "amd64": "x64",
    "aarch64": "arm64",
    "i386": "ia32",
    "i686": "ia32",
    "armv6l": "arm",
    "armv7l": "arm",
    "ppc64le": "ppc64",
    "loongarch64": "loong64",
}


def operating_system() -> OperatingSystem:
    """The one this process runs on, as Node.js names it: `os.type()`, `os.release()`, `os.arch()`."""
    system = os.uname()
    return OperatingSystem(
        system.sysname, system.release, _NODE_ARCHITECTURES.get(system.machine.lower(), system.machine)
    )


class InstalledVersions:
    """The versions of a platform. Configured versions take precedence over detected ones; unknown ones are None.

    `flowfuse` and `nodejs` read files, run a program and make a request to FlowFuse: never call them on an event loop,
    for which `flowfuse_known` is the last result of `flowfuse`. `flowfuse_url` is the base of FlowFuse's `/metrics`;
    None if it has none.
    """

    def __init__(
        self,
        home: Path,
        platform: PlatformSettings | None = None,
        environment: Environment | None = None,
        flowfuse_url: str | None = None,
    ) -> None:
        platform, environment = platform or PlatformSettings(), environment or Environment()
        self._home = home
        self._flowfuse = platform.flowfuse_version or environment.flowfuse_version
        self._nodejs = platform.nodejs_version or environment.nodejs_version
        self._node_path = platform.node_path or None
        self._asked_node = False
        self.flowfuse_known = self._flowfuse
        self._flowfuse_url = flowfuse_url
        self._ask_flowfuse_at = 0.0  # monotonic

    def flowfuse(self) -> str | None:
        """Looked up each time: FlowFuse may be upgraded meanwhile."""
        self.flowfuse_known = self._flowfuse or _installed_flowfuse(self._home)
        return self.flowfuse_known

    def node_refusal(self) -> str | None:
        """Why Node.js is not run to find its version; None if it is, or need not be."""
        if self._nodejs is not None:
            return None
        if self._node_path is not None and os.geteuid() == 0:
            refusal: str | None = f"root does not run {self._node_path}, which driver.options.node_path names"
        else:
            refusal = _refusal(self._node_path or "node")
        if refusal is None:
            return None
        return f"Node.js is not asked for its version: {refusal}. Write it to telemetry.platform.nodejs_version"

    def nodejs(self) -> str | None:
        """The version with Node's leading `v`, as in the ping.

        Node is run at most once, for no longer than 2 s; FlowFuse, which may not be up yet, is asked once a minute
        until it answers.
        """
        if self._nodejs is None and not self._asked_node:
            self._asked_node = True
            refusal = self.node_refusal()
            if refusal is None:
                self._nodejs = _node_version(self._node_path or "node")
            else:
                log.info("%s", refusal)
        if self._nodejs is None and self._flowfuse_url is not None and time.monotonic() >= self._ask_flowfuse_at:
            self._nodejs = node_version_of_flowfuse(self._flowfuse_url)
            self._ask_flowfuse_at = time.monotonic() + ASK_FLOWFUSE_AGAIN_SECONDS
        return self._nodejs


def _installed_flowfuse(home: Path) -> str | None:
    """The version that FlowFuse reports: that of its package.json, with `-git` in a working copy
    (forge/config/index.js)."""
    modules = (home / "app" / "node_modules", home / "node_modules")
    installed = [directory / package for directory in modules for package in _PACKAGES]
    for directory in (*installed, home / "app", home):
        try:
            package = json_object(read_text(directory / "package.json"))
        except UnreadableFileError:
            continue
        if package is None or package.get("name") not in _PACKAGES:
            continue
        version = package.get("version")
        if isinstance(version, str) and len(version) <= MAX_VERSION_CHARACTERS:
            return version + ("-git" if exists(directory / ".git") else "")
    return None


def _refusal(node: str) -> str | None:
    """Why this program is not run; None if only root and the caller can change it, or it does not exist."""
    try:
        found = shutil.which(node)
        if found is not None:
            check_trusted_file(Path(found))
    except OSError as error:
        return f"{error.filename or node}: {error.strerror or error}"
    return None


def _node_version(node: str) -> str | None:
    try:
        answered = subprocess.run(  # noqa: S603 - no shell, and no other user can change the program
            [node, "--version"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=NODE_TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.debug("the version of Node.js is unknown: %s --version: %s", node, error)
        return None
    version = answered.stdout.decode("ascii", "replace").strip()
    is_version = version.startswith("v") and version[1:2].isdigit() and len(version) <= MAX_VERSION_CHARACTERS
    return version if is_version else None


def node_version_of_flowfuse(base_url: str) -> str | None:
    """The version in FlowFuse's own `/metrics`, for containers, where Node is not on the path.

    None if FlowFuse does not answer, or its answer lacks it: perhaps its web page, which it answers with where
    `telemetry.backend.prometheus.enabled` is off.
    """
    if not is_http_url(base_url):  # FlowFuse accepts any string
        return None
    import urllib3  # costs memory and start-up time; not needed if Node is on the path
    from urllib3.exceptions import HTTPError

    from ff_observe.delivery.trust import client_context

    until = time.monotonic() + METRICS_SECONDS
    try:
        trust = client_context() if base_url.lower().startswith("https:") else None
        # Without retries no redirect is followed.
        with urllib3.PoolManager(ssl_context=trust, timeout=METRICS_SECONDS, retries=False) as pool:
            answer = pool.request("GET", f"{base_url.rstrip('/')}/metrics", preload_content=False)
            body = b""
            while (more := answer.read1(_BYTES_AT_ONCE)) and len(body) < METRICS_BYTES and time.monotonic() < until:
                body += more
            answer.close()
    except (HTTPError, OSError, ValueError) as error:
        log.debug("the version of Node.js cannot be read from FlowFuse: %s", type(error).__name__)
        return None
    found = _NODE_IN_METRICS.search(body)
    return found[1].decode("ascii") if found else None


def installed_versions(settings: Settings) -> InstalledVersions:
    """The platform's versions, as far as they are known without its database."""
    flowfuse_url = settings.platform.base_url if settings.prometheus.flowfuse_enabled else None
    return InstalledVersions(settings.home, settings.platform, settings.environment, flowfuse_url)
