"""A real FlowFuse 2.4.0 from npm, with SQLite and the driver that pretends to run instances.

Its native parts are compiled, which takes minutes: `python -m tests.real_parts.flowfuse` installs it into the cache,
and `make nightly` does.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.real_parts.cache import cache_directory, finish, unfinished
from tests.real_parts.processes import answers, free_port, running

VERSION = "2.4.0"
USER, PASSWORD = "operator", "a-planted-password"
Body = Mapping[str, object]
_CSRF = "SETUP_CSRF_TOKEN"


def _directory() -> Path:
    return cache_directory() / f"flowfuse-{VERSION}"


def program() -> Path | None:
    """FlowFuse's program, if it is installed."""
    path = _directory() / "node_modules" / "@flowfuse" / "flowfuse" / "forge" / "app.js"
    return path if path.exists() else None


MISSING = "FlowFuse is not installed: python -m tests.real_parts.flowfuse"


def install() -> None:
    """Does nothing where it is there. Raises `CalledProcessError`."""
    if program() is not None:
        return
    fresh = unfinished(_directory())
    fresh.mkdir(parents=True)
    options = ["--prefix", str(fresh), "--no-audit", "--no-fund"]
    subprocess.run(["npm", "install", *options, "--ignore-scripts", f"@flowfuse/flowfuse@{VERSION}"], check=True)
    subprocess.run(
        ["npm", "rebuild", *options, "--ignore-scripts=false", "--build-from-source", "sqlite3", "bcrypt"], check=True
    )
    shutil.rmtree(_directory(), ignore_errors=True)
    finish(_directory())


@dataclass
class FlowFuse:
    """A running one. Its requests are those of FlowFuse's web app."""

    url: str
    home: Path
    _cookies: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.home / "var" / "forge.db"

    def ask(self, method: str, path: str, body: Body | None = None, *, token: str | None = None) -> tuple[int, Any]:
        """Status and content of the answer; as the user who logged in, or with a device's token."""
        headers = {"content-type": "application/json"} if body is not None else {}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        else:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text, cookies = answer.status, answer.read(), answer.headers.get_all("set-cookie") or []
        except urllib.error.HTTPError as refused:
            status, text, cookies = refused.code, refused.read(), []
        if token is None:
            for cookie in cookies:
                name, _, value = cookie.partition(";")[0].partition("=")
                self._cookies[name] = value
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def done(self, method: str, path: str, body: Body | None = None, *, token: str | None = None) -> Any:
        """The content of an answer that is to say that it was done."""
        status, content = self.ask(method, path, body, token=token)
        assert status == 200, (method, path, status, content)
        return content

    def log_in(self, password: str = PASSWORD) -> int:
        """The status of the answer."""
        return self.ask("POST", "/account/login", {"username": USER, "password": password})[0]

    def set_up(self) -> None:
        """As its assistant for the first start does."""
        page = self.done("GET", "/setup")
        token = page.split(f'{_CSRF} = "')[1].split('"')[0]
        for path, body in (
            ("create-user", {"name": "O", "username": USER, "email": "o@example.com", "password": PASSWORD}),
            ("settings", {"telemetry": False}),
            ("finish", {}),
        ):
            self.done("POST", f"/setup/{path}", {**body, "_csrf": token})


@contextlib.contextmanager
def flowfuse(home: Path) -> Iterator[FlowFuse]:
    """One in its own home, that was just set up."""
    started = program()
    assert started is not None, MISSING
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    (home / "etc").mkdir(parents=True)
    (home / "var").mkdir()
    (home / "etc" / "flowforge.yml").write_text(
        f"port: {port}\nhost: 127.0.0.1\nbase_url: {url}\ndb: {{type: sqlite, storage: forge.db}}\n"
        "driver: {type: stub}\nemail: {enabled: false}\nrate_limits: {enabled: false}\n"
        "telemetry: {enabled: false, url: 'http://127.0.0.1:9/'}\n"
    )
    environment = {**os.environ, "FLOWFORGE_HOME": str(home), "NODE_ENV": "production"}
    with running(["node", str(started)], home, answers(f"{url}/setup"), environment=environment):
        platform = FlowFuse(url, home)
        platform.set_up()
        yield platform


def main() -> int:
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"FlowFuse is not installed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
