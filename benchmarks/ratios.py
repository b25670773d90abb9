"""Ratios of one run, kept in `benchmarks/results/`, and what got worse between two: `python -m benchmarks.ratios`."""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KEPT = Path(__file__).with_name("results")
NOISE = 0.15
"""Two runs of one commit on an idle machine differ by up to this share."""

_noted: dict[str, dict[str, object]] = {}


def note(name: str, ratio: float, *, less_is_better: bool = False, target: float | None = None) -> None:
    """Keep a ratio of this run under a name of words and dots, and the target that it has in this repository."""
    _noted[name] = {"ratio": round(ratio, 4), "better": "less" if less_is_better else "more", "target": target}


def write(directory: Path = KEPT) -> Path | None:
    """Write what was noted, with the machine and the commit; None if nothing was."""
    if not _noted:
        return None
    at = datetime.now(UTC)
    commit = _git("rev-parse", "--short=12", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no") != ""
    document = {
        "at": at.isoformat(timespec="seconds"),
        "commit": commit + ("-changed" if changed else ""),
        "machine": machine(),
        "ratios": dict(sorted(_noted.items())),
    }
    directory.mkdir(exist_ok=True)
    path = directory / f"{at:%Y-%m-%dT%H%M}-{commit}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def machine() -> dict[str, object]:
    """What the ratios may depend on."""
    models = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_mib": int(memory[0]) // 1024 if memory else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, float, float, str]]:
    """Name, ratio before and after, and a verdict (`worse`, `better`, `same`) for each ratio that both have."""
    found = []
    for name in old["ratios"].keys() & new["ratios"].keys():
        before, after = old["ratios"][name]["ratio"], new["ratios"][name]["ratio"]
        gain = before / after if new["ratios"][name]["better"] == "less" else after / before
        verdict = "worse" if gain < 1 - NOISE else "better" if gain > 1 / (1 - NOISE) else "same"
        found.append((name, before, after, verdict))
    return sorted(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two results, by default the newest two. Returns 1 if a ratio got worse by more than its noise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ratios", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="two results, the older one first")
    files = parser.parse_args(arguments).files or sorted(KEPT.glob("*.json"))[-2:]
    if len(files) != 2:
        parser.error("two results are needed; make bench writes one")
    try:
        old, new = (json.loads(file.read_text()) for file in files)
        rows = compared(old, new)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        parser.error(f"not results of make bench: {error}")
    for document in (old, new):
        print(f"{document['at']}  {document['commit']}  {document['machine']['cpu']}, {document['machine']['python']}")
    if old["machine"]["cpu"] != new["machine"]["cpu"]:
        print("The machines differ: what is said below may be theirs.")
    for name, before, after, verdict in rows:
        print(f"{name:<58} {before:>9.2f} {after:>9.2f}  {'' if verdict == 'same' else verdict}")
    return int(any(verdict == "worse" for *_, verdict in rows))


def _git(*arguments: str) -> str:
    """Its output; nothing where there is no repository."""
    done = subprocess.run(["git", *arguments], check=False, cwd=KEPT.parent, capture_output=True, text=True)
    return done.stdout.strip()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
