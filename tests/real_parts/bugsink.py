"""Bugsink, a server that speaks Sentry's protocol: it keeps events, and takes source maps from sentry-cli.

It is a test tool only (its licence is not an open one), so it lives in a virtual environment of its own in the cache
directory. `python -m tests.real_parts.bugsink` puts it there.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tests import network_guard
from tests.real_parts.cache import cache_directory
from tests.real_parts.processes import answers, free_port, running, wait_until

VERSION = "2.6.1"
ORGANISATION = "bugsinkorg"  # the one organisation it has; sentry-cli wants to know
HOW_TO_INSTALL = "needs Bugsink: python -m tests.real_parts.bugsink"

CONFIGURATION = """
from bugsink.settings.default import *

SECRET_KEY = "only-for-tests-on-this-machine-0123456789-0123456789"
ALLOWED_HOSTS = ["127.0.0.1"]
TIME_ZONE = "UTC"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
DATABASES["default"]["NAME"] = "db.sqlite3"
DATABASES["snappea"]["NAME"] = "snappea.sqlite3"
SNAPPEA = {{"TASK_ALWAYS_EAGER": True}}  # an event is digested before its POST is answered
BUGSINK = {{
    "BASE_URL": "http://127.0.0.1:{port}",
    "SINGLE_USER": True,
    "PHONEHOME": False,
    "VALIDATE_ON_DIGEST": "warn",
    "KEEP_ENVELOPES": 10000,  # as they came in, for `everything_stored`
    "INGEST_STORE_BASE_DIR": "ingestion",
}}
"""


def home() -> Path:
    """Bugsink's own virtual environment."""
    return cache_directory() / f"bugsink-{VERSION}"


def _template() -> Path:
    """A server's directory, ready to be copied: the migrated database and the token of its API."""
    return cache_directory() / f"bugsink-{VERSION}-template"


def installed() -> bool:
    """Whether `install` has run to its end on this machine."""
    return (_template() / "token").exists()


def install() -> None:
    """Make the virtual environment and the template; does nothing where both are there already. Takes about 30 s."""
    cache_directory().mkdir(parents=True, exist_ok=True)
    with (cache_directory() / f"bugsink-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed():
            return
        subprocess.run([sys.executable, "-m", "venv", "--clear", home()], check=True)
        subprocess.run([home() / "bin" / "pip", "install", "--quiet", f"bugsink=={VERSION}"], check=True)
        template = _template()
        shutil.rmtree(template, ignore_errors=True)
        template.mkdir()
        _configure(template, port=0)
        _manage(template, "migrate")
        _manage(template, "prestart")
        # Written last: its presence says that everything else is there.
        (template / "token").write_text(_manage(template, "create_auth_token").split()[-1])


def _configure(directory: Path, port: int) -> None:
    (directory / "bugsink_conf.py").write_text(CONFIGURATION.format(port=port))


def _environment(directory: Path) -> dict[str, str]:
    guarded = network_guard.guarded_environment()
    path = os.pathsep.join([str(directory), guarded["PYTHONPATH"]])
    return {
        **guarded,
        "PYTHONPATH": path,
        "DJANGO_SETTINGS_MODULE": "bugsink_conf",
        "CREATE_SUPERUSER": "operator@example.org:only-for-tests",
    }


def _manage(directory: Path, *arguments: str) -> str:
    command = [str(home() / "bin" / "bugsink-manage"), *arguments]
    done = subprocess.run(command, cwd=directory, env=_environment(directory), capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"bugsink-manage {arguments[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


@dataclass(frozen=True)
class Project:
    """Where events go: `dsn` for an SDK; `id` or `slug` for the API and for sentry-cli."""

    id: int
    slug: str
    dsn: str


@dataclass(frozen=True)
class Server:
    """A running Bugsink. `token` opens its API, also for sentry-cli (`SENTRY_URL`, `SENTRY_AUTH_TOKEN`)."""

    url: str
    token: str
    directory: Path

    def api(self, path: str, body: dict[str, Any] | None = None, **query: object) -> Any:
        """Ask the REST API (`/api/canonical/0/` + path); POST where there is a body. Returns the decoded JSON."""
        request = urllib.request.Request(
            f"{self.url}/api/canonical/0/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else ""),
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def create_project(self, name: str) -> Project:
        """Make a project without events, in a team of its own (names are unique within a team)."""
        team = self.api("teams/", {"name": f"team of {name} {os.urandom(4).hex()}"})["id"]
        created = self.api("projects/", {"name": name, "team": team})["id"]
        project = self.api(f"projects/{created}/")
        return Project(project["id"], project["slug"], project["dsn"])

    def issues(self, project: Project) -> list[dict[str, Any]]:
        """The groups of like events, oldest first."""
        return cast("list[dict[str, Any]]", self.api("issues/", project=project.id)["results"])

    def events(self, project: Project) -> list[dict[str, Any]]:
        """All events in the order of their arrival. The event as the SDK sent it is under `data`."""
        found = [event for issue in self.issues(project) for event in self.api("events/", issue=issue["id"])["results"]]
        found.sort(key=lambda event: str(event["ingested_at"]))
        return [self.api(f"events/{event['id']}/") for event in found]

    def wait_for_events(self, project: Project, count: int = 1, seconds: float = 20.0) -> list[dict[str, Any]]:
        """As `events`, once there are at least `count`."""

        def enough() -> list[dict[str, Any]] | None:
            events = self.events(project)
            return events if len(events) >= count else None

        return wait_until(enough, f"{count} events in Bugsink", seconds)

    def everything_stored(self) -> bytes:
        """Every byte it keeps, of all projects: to look for what should not be there."""
        found = b""
        for path in sorted(self.directory.glob("db.sqlite3*")):
            with contextlib.suppress(FileNotFoundError):  # SQLite's own files beside the database come and go
                found += path.read_bytes()
        return found


@contextlib.contextmanager
def server(directory: Path) -> Iterator[Server]:
    """A Bugsink without projects in `directory`, until the block ends. `install` must have run."""
    shutil.copytree(_template(), directory)
    port = free_port()
    _configure(directory, port)
    gunicorn = str(home() / "bin" / "gunicorn")
    command = [gunicorn, "--bind", f"127.0.0.1:{port}", "--threads", "4", "--no-control-socket", "bugsink.wsgi"]
    url = f"http://127.0.0.1:{port}"
    with running(command, directory, answers(f"{url}/health/ready"), environment=_environment(directory), seconds=60):
        yield Server(url, (directory / "token").read_text(), directory)


if __name__ == "__main__":
    install()
