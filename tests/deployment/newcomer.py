"""From an empty directory to a picture of a dashboard with real data, by the commands of docs/start.md alone.

`make newcomer` does it, says how long it took, and fails beyond five minutes, of which the time that other processes
took from it is not counted. Needs root; without the dashboard renderer, each panel's queries are asked of Prometheus as
Grafana would ask, and nothing is drawn.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from tests.dashboards import panels
from tests.deployment import documents
from tests.deployment.image_root import NAMESPACES
from tests.pictures.__main__ import MISSING, RENDERER, draw
from tests.plain_machine import TOP, environment
from tests.real_parts import prometheus

VARIABLES: Final = {"$job": ".+", "$instance": ".+", "$__rate_interval": "1m", "$__interval": "15s", "$__range": "5m"}
"""Of the dashboards, as Grafana fills them in."""
LONGEST_SECONDS: Final = 300.0
DOCUMENT: Final = TOP / "docs" / "start.md"
DASHBOARD: Final = "flowfuse-platform"
SCRAPES: Final = 6
FEWEST_PANELS: Final = 12
"""That show something: those of growth and of events find nothing in minutes, and say so."""


@dataclass(frozen=True)
class Moment:
    """Seconds on the clock, those that all processes of the machine have computed, and those of our children."""

    clock: float
    machine: float
    ours: float

    @classmethod
    def now(cls) -> Self:
        counters = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _idle, _waiting, *interrupts = (
            int(each) / os.sysconf("SC_CLK_TCK") for each in counters[:8]
        )
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cls(time.monotonic(), user + nice + system + sum(interrupts), children.ru_utime + children.ru_stime)

    def counted_since(self, earlier: Self, processors: int) -> float:
        """Seconds since `earlier`, without those in which other processes had each processor."""
        others = max(0.0, (self.machine - earlier.machine) - (self.ours - earlier.ours))
        return self.clock - earlier.clock - others / processors


def main() -> int:
    directory = TOP / ".cache" / "newcomer"
    shutil.rmtree(directory, ignore_errors=True)
    wheels = directory / "wheels"
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", wheels, TOP], check=True, capture_output=True)
    began, at = Moment.now(), datetime.now(UTC)
    _install(directory, wheels)
    installed = Moment.now()
    done = documents.run(DOCUMENT, directory, installed=True, afterwards=_ENOUGH)
    if done.returncode != 0:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        return 1
    followed = Moment.now()
    scene = directory / "upper" / "srv" / "scene"
    dashboard = scene / "monitoring" / "dashboards" / f"{DASHBOARD}.json"
    with prometheus.prometheus(scene, "{}") as server:
        if (RENDERER / "render.py").is_file():
            status, made = _draw(dashboard, server, directory / "dashboard.png", at)
        else:
            print(MISSING, file=sys.stderr)
            status, made = _ask(dashboard, server)
    ended = Moment.now()
    counted = ended.counted_since(began, os.cpu_count() or 1)
    print(
        f"newcomer: {installed.clock - began.clock:.0f} s to install, {followed.clock - installed.clock:.0f} s for the "
        f"commands of {DOCUMENT.name}, {ended.clock - began.clock:.0f} s to {made}; {counted:.0f} s without what other "
        f"processes took, of {LONGEST_SECONDS:.0f}"
    )
    return status or int(counted > LONGEST_SECONDS)


_ENOUGH: Final = (
    "for _ in $(seq 600); do curl -sf --get http://127.0.0.1:9090/api/v1/query "
    f"--data-urlencode 'query=count_over_time(flowfuse_users[5m]) >= {SCRAPES}' | grep -q value && break; "
    "sleep 0.5; done"
)
"""A picture of one scrape shows no line."""


def _install(directory: Path, wheels: Path) -> None:
    """Carry out the lines of the document that install, where the package index is reached, and has our wheel."""
    lines = documents.INSTALLS.findall(DOCUMENT.read_text())
    scene = directory / "upper" / "srv" / "scene"
    for made in (scene, directory / "work", directory / "merged"):
        made.mkdir(parents=True)
    variables = environment("/root", os.environ)
    variables["PIP_FIND_LINKS"] = f"{os.environ.get('PIP_FIND_LINKS', '')} {wheels}".strip()
    enter = (
        f"mount -t overlay overlay -o lowerdir=/,upperdir={directory}/upper,workdir={directory}/work "
        f"{directory}/merged; exec chroot {directory}/merged /bin/sh -euc 'cd /srv/scene; {'; '.join(lines)}'"
    )
    subprocess.run([*NAMESPACES, enter], check=True, env=variables, stdout=subprocess.DEVNULL)


def _draw(dashboard: Path, server: prometheus.Prometheus, picture: Path, began: datetime) -> tuple[int, str]:
    """Draw the dashboard that was installed, from what Prometheus kept; the exit status, and what there is now."""
    until = datetime.now(UTC) + timedelta(seconds=1)
    done = draw(dashboard, server.url, picture, began, until, timedelta(seconds=5))
    problems = [line for line in done.stdout.splitlines() if "PROBLEM" in line and not line.endswith(": no data")]
    shown = len(re.findall(r"frames: [1-9]", done.stdout))
    if problems or shown < FEWEST_PANELS or not picture.exists():
        print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
        return 1, "a picture that lacks something"
    return 0, f"{picture.relative_to(TOP)}, in which {shown} panels show data"


def _ask(dashboard: Path, server: prometheus.Prometheus) -> tuple[int, str]:
    """Ask the queries of each panel; the exit status, and what there is now."""
    shown = 0
    for panel in panels(dashboard):
        queries = [target["expr"] for target in panel.get("targets", [])]
        for variable, value in VARIABLES.items():
            queries = [query.replace(variable, value) for query in queries]
        shown += any(server.query(query) for query in queries)
    return int(shown < FEWEST_PANELS), f"data for {shown} panels of {dashboard.name}"


if __name__ == "__main__":
    sys.exit(main())
