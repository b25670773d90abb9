"""Real Chromium (Debian package `chromium-headless-shell`) driven by Playwright, and the real libraries from npm.

The browser cannot leave this machine: every host name but those a test maps is unknown to it. `python -m
tests.real_parts.browser` installs the libraries into the cache.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.real_parts.cache import cache_directory, finish, unfinished

CHROMIUM = next(
    (path for name in ("-headless-shell", "", "-browser") if (path := Path(f"/usr/bin/chromium{name}")).exists()), None
)
"""One without windows, where there is one: it takes half as much of a processor."""

PACKAGES = {
    "posthog-js": "1.449.2",
    "@sentry/browser": "11.12.0",
    "plausible-tracker": "0.3.9",
    "esbuild": "0.28.2",
    "axe-core": "4.14.1",  # accessibility of our own pages
    "yaml": "2.9.0",  # no browser library: what FlowFuse reads its file with
}

# posthog-js silently sends nothing from a browser that looks automated: a headless user agent, `navigator.webdriver`.
_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
_ARGUMENTS = (
    "--no-sandbox",  # tests may run as root in a container
    "--disable-blink-features=AutomationControlled",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-quic",
    "--no-pings",
)


def libraries() -> Path | None:
    """The `node_modules` with `PACKAGES`, if they are installed."""
    modules = _directory() / "node_modules"
    return modules if modules.is_dir() else None


def install_libraries() -> Path:
    """Install what is missing of `PACKAGES`; returns their `node_modules`."""
    directory = _directory()
    if not (directory / "node_modules").is_dir():
        fresh = unfinished(directory)
        fresh.mkdir(parents=True)
        command: list[str | Path] = [
            "npm",
            "install",
            "--prefix",
            fresh,
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--save-exact",
        ]
        subprocess.run([*command, *(f"{name}@{version}" for name, version in PACKAGES.items())], check=True)
        finish(directory)
    return directory / "node_modules"


def bundle(source: str, modules: Path, directory: Path, *arguments: str) -> bytes:
    """`source` and what it imports from `modules` as one minified script, made by esbuild in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    entry, output = directory / "source.js", directory / "bundle.js"
    entry.write_text(source)
    command: list[str | Path] = [
        modules / ".bin" / "esbuild",
        entry,
        "--bundle",
        "--minify",
        f"--outfile={output}",
        *arguments,
    ]
    environment = {**os.environ, "NODE_PATH": str(modules)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return output.read_bytes()


def _directory() -> Path:
    return cache_directory() / ("npm-frontend-" + "-".join(PACKAGES.values()))


@contextlib.contextmanager
def browser(hosts: Mapping[str, str] | None = None) -> Iterator[Browser]:
    """A browser that knows 127.0.0.1 and `hosts`: pattern (`*:443`) → `address:port` on this machine, nothing else.
    Skips the test without one."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium-headless-shell")
    rules = [f"MAP {pattern} {target}" for pattern, target in (hosts or {}).items()]
    rules += ["EXCLUDE 127.0.0.1", "MAP * ~NOTFOUND"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*_ARGUMENTS, f"--host-resolver-rules={', '.join(rules)}"]
        )
        try:
            yield launched
        finally:
            launched.close()


@contextlib.contextmanager
def visitor(launched: Browser, name: str = "visitor") -> Iterator[BrowserContext]:
    """A fresh visitor: no cookies, nothing stored, a person's user agent with `name` at its end."""
    context = launched.new_context(user_agent=f"{_USER_AGENT} {name}", ignore_https_errors=True)
    context.add_init_script("delete Navigator.prototype.userAgentData")  # which names the browser as it is
    context.set_default_timeout(15_000)
    try:
        yield context
    finally:
        context.close()


if __name__ == "__main__":
    sys.stdout.write(f"{install_libraries()}\n")
