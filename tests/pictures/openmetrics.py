"""Histories as OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics`."""

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path

from tests.real_parts.prometheus import MISSING, PROMTOOL


@dataclass(frozen=True)
class Sample:
    """One value of one series at one moment."""

    at: datetime
    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def backfill(samples: Iterable[Sample], directory: Path) -> Path:
    """Blocks of a Prometheus database in `directory`, in any order of the samples; returns the database's directory."""
    return make_blocks(chain(map(_line, samples), ["# EOF\n"]), directory)


def make_blocks(lines: Iterable[str], directory: Path) -> Path:
    """As above, of an exposition."""
    assert PROMTOOL is not None, MISSING
    directory.mkdir(parents=True, exist_ok=True)
    text, data = directory / "history.om", directory / "data"
    with text.open("w") as file:
        file.writelines(lines)
    command = [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=720h", "-q"]
    subprocess.run([*command, text, data], check=True, capture_output=True)
    text.unlink()
    return data


def _line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
    return f"{sample.name}{{{labels}}} {sample.value!r} {sample.at.timestamp():.3f}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
