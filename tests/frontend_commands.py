"""The frontend commands as a user runs them: the telemetry section of a platform's file, a page in, a page out."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.network_guard import guarded_environment
from tests.real_parts.bridge import command

VERSION = "2.4.0"
RELEASE = f"flowfuse@{VERSION}"


_PAIR = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")


def as_yaml(content: object) -> str:
    """JSON, which YAML is but for one thing: it has an escape of its own for what is beyond the first 65 536."""

    def as_one(pair: re.Match[str]) -> str:
        character = json.loads(f'"{pair.group()}"')
        return f"\\U{ord(character):08x}"

    return _PAIR.sub(as_one, json.dumps(content))


class Platform:
    """A FlowFuse home in `directory` whose `telemetry.frontend` is `frontend`; `variables` are the environment."""

    def __init__(
        self, directory: Path, frontend: Mapping[str, Any], *, version: str = VERSION, **variables: str
    ) -> None:
        self.home = directory
        self.variables = variables
        (directory / "etc").mkdir(parents=True)
        telemetry = {"platform": {"version": version}, "frontend": frontend}
        (directory / "etc" / "flowforge.yml").write_text(as_yaml({"telemetry": telemetry}))

    def run(self, *arguments: str | Path, **more: Any) -> "subprocess.CompletedProcess[bytes]":
        """The outcome of `ff-observe` on this platform."""
        return subprocess.run(
            command("--home", self.home, *arguments),
            cwd=self.home,
            env=guarded_environment(**self.variables),
            capture_output=True,
            timeout=60,
            **more,
        )

    def render(self, page: bytes) -> bytes:
        """What `frontend render` makes of a page."""
        return self._said("frontend", "render", "-", input=page)

    def csp(self, policy: str) -> str:
        """What `frontend csp --merge` makes of a policy."""
        return self._said("frontend", "csp", "--merge", policy).decode().removesuffix("\n")

    def _said(self, *arguments: str, **more: Any) -> bytes:
        done = self.run(*arguments, **more)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout
