"""Reduced platforms: FlowFuse 2.33's tables and file formats with invented content, written in the layout of the
recordings. What each would send and answer is counted from its description alone."""

from pathlib import Path

from tests.reduced.descriptions import PLATFORMS
from tests.reduced.frontend import write_frontends
from tests.reduced.platforms import write_platforms
from tests.reduced.probes import write_probes


def write_all(directory: Path, recorded: Path) -> None:
    """Write every platform, probe and served page below `directory`; `recorded` holds the recordings of 2.4.0."""
    write_platforms(PLATFORMS, directory / "platforms", recorded)
    write_probes(directory / "probes", recorded)
    write_frontends(directory / "frontend")
