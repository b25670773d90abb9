"""Renders every dashboard, dark and light, into `docs/pictures/`, against a real Prometheus with a week of history, and
that of the fleet's history with a year; with `--years 2`, light, into `docs/pictures/years/`: before that week is what
`ff-observe history` knows.

The renderer is a tool beside this repository: `../shared/tools/dashboard-render`, or `$FF_OBSERVE_DASHBOARD_RENDER`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from PIL import Image

from ff_observe.generate.dashboards import OF_COLLECTORS, TITLES
from tests.pictures.fleet_history import fleet_history
from tests.pictures.fleet_year import fleet_year
from tests.pictures.openmetrics import backfill, make_blocks
from tests.pictures.platform_history import earlier_history, platform_history
from tests.real_parts import prometheus
from tests.real_parts.browser import CHROMIUM

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
RENDERER = Path(os.environ.get("FF_OBSERVE_DASHBOARD_RENDER") or ROOT.parent / "shared" / "tools" / "dashboard-render")
MISSING = (
    f"The dashboard renderer is not in {RENDERER}. Set FF_OBSERVE_DASHBOARD_RENDER to the directory that holds its "
    "render.py; without it, the pictures in docs/pictures stay as they are."
)
STEP = timedelta(minutes=5)
SPAN, YEAR = timedelta(days=7), timedelta(days=365)
HISTORY = SPAN + timedelta(days=1)
"""More than is shown, for what compares with a week ago."""
COLORS, FREQUENT_COLORS = 256, 160
OF_A_YEAR = "flowfuse-fleet-history"
ALLOWED_EMPTY = {
    "flowfuse-platform": ("Subscriptions of teams",),  # the demo does not bill
    "flowfuse-bridge": ("What fails now", "Label values not shown"),
}


def main(arguments: Sequence[str]) -> int:
    """Render the dashboards that `arguments` name, or all; returns 1 if the renderer found fault with one."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("--years", type=int, default=0)
    parser.add_argument("uids", nargs="*", metavar="UID")
    chosen = parser.parse_args(arguments)
    if not (RENDERER / "render.py").is_file():
        print(MISSING, file=sys.stderr)
        return 2
    end = last_moment(datetime.now(UTC))
    uids = chosen.uids or TITLES
    pictures = [(PICTURES / f"{{uid}}-{theme}.png", theme) for theme in ("dark", "light")]
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        print("making history ...", flush=True)
        if OF_A_YEAR in uids and not chosen.years:
            make_blocks(fleet_year(directory, end), directory / "year")
            results += _render_all(directory / "year", [OF_A_YEAR], pictures, end - YEAR, end)
        uids = [uid for uid in uids if uid != OF_A_YEAR]
        born = end - chosen.years * YEAR if chosen.years else None
        of_bridges = any(uid not in OF_COLLECTORS for uid in uids)
        platform = platform_history(directory / "home", end - HISTORY, end, STEP, born) if of_bridges else ()
        backfill(chain(platform, fleet_history(end - HISTORY, end, STEP)), directory / "prometheus")
        if born is not None:
            make_blocks(earlier_history(directory / "home", end - HISTORY), directory / "prometheus")
            pictures = [(PICTURES / "years" / "{uid}.png", "light")]
        results += _render_all(directory / "prometheus", uids, pictures, born or end - SPAN, end)
    return max(results)


def _render_all(
    directory: Path, uids: Iterable[str], pictures: Iterable[tuple[Path, str]], start: datetime, end: datetime
) -> list[int]:
    with prometheus.prometheus(directory, "{}") as server:
        return [
            _render(server.url, uid, Path(str(picture).format(uid=uid)), theme, start, end)
            for uid in uids
            for picture, theme in pictures
        ]


def last_moment(now: datetime) -> datetime:
    """Now; soon after midnight, a little before it, as the label of a day at the right edge would be cut off."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - 2 * STEP if now - midnight < timedelta(hours=4) else now.replace(second=0, microsecond=0)


def draw(
    dashboard: Path, url: str, picture: Path, start: datetime, end: datetime, step: timedelta, *options: str
) -> "subprocess.CompletedProcess[str]":
    """Have the renderer draw a dashboard from what a Prometheus holds. It looks for a `chromium`: the tests' own."""
    command: list[str | Path] = [sys.executable, RENDERER / "render.py", dashboard, "--prometheus", url]
    span = ["--from", f"{start.timestamp() * 1000:.0f}", "--to", f"{end.timestamp() * 1000:.0f}"]
    command += ["--out", picture, *span, "--scrape-interval", f"{step.total_seconds():.0f}s", *options]
    with tempfile.TemporaryDirectory() as programs:
        if CHROMIUM is not None:
            (Path(programs) / "chromium").symlink_to(CHROMIUM)
        path = os.pathsep.join((programs, os.environ["PATH"]))
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})


def _render(url: str, uid: str, picture: Path, theme: str, start: datetime, end: datetime) -> int:
    picture.parent.mkdir(parents=True, exist_ok=True)
    allowed = [part for title in ALLOWED_EMPTY.get(uid, ()) for part in ("--allow-empty", title)]
    dashboard = ROOT / "grafana" / "dashboards" / f"{uid}.json"
    told = draw(dashboard, url, picture, start, end, STEP, "--theme", theme, "--width", "1400", *allowed)
    if told.returncode == 2:
        print(told.stderr, file=sys.stderr)
        return 2
    shrink(picture)
    print(f"{uid} {theme}: {picture.stat().st_size // 1024} KB")
    if told.returncode:
        print(told.stdout)
    return told.returncode


def shrink(picture: Path) -> None:
    """Keep the most frequent colours as they are, and a few that are unlike them: the mark of a series in a legend."""
    with Image.open(picture) as image:
        full = image.convert("RGB")
    frequent = sorted(full.getcolors(full.width * full.height) or [], reverse=True)[:FREQUENT_COLORS]
    rare = full.quantize(COLORS - FREQUENT_COLORS, Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([channel for _, color in frequent for channel in _channels(color)] + rare)
    full.quantize(palette=palette, dither=Image.Dither.NONE).save(picture, optimize=True)


def _channels(color: object) -> tuple[int, ...]:
    assert isinstance(color, tuple)
    return color


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
