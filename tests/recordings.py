"""The recordings of real FlowFuse platforms: those of 2.4.0 are in `tests/data/recordings`, the rest are read from
`../shared/recordings` (or `$FF_OBSERVE_RECORDINGS`) where present."""

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "tests" / "data" / "recordings"
ALL = Path(os.environ.get("FF_OBSERVE_RECORDINGS") or ROOT.parent / "shared" / "recordings")
MISSING = f"the recordings of real FlowFuse are not in {ALL}; set FF_OBSERVE_RECORDINGS to where they are"


@dataclass(frozen=True)
class Case:
    """One recorded platform: a FlowFuse home with what it really sent and answered."""

    home: Path

    @property
    def name(self) -> str:
        return self.home.name

    @property
    def is_postgresql(self) -> bool:
        return (self.home / "dump.sql").exists()

    @cached_property
    def meta(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.home / "meta.json").read_text())
        return loaded

    @cached_property
    def ping(self) -> dict[str, Any] | None:
        """The ping as it was POSTed; None where none was sent."""
        path = self.home / "ping.json"
        return json.loads(path.read_bytes()) if path.exists() else None

    @cached_property
    def stats(self) -> dict[str, Any] | None:
        """What `GET /api/v1/admin/stats` answered."""
        path = self.home / "admin-stats.json"
        return json.loads(path.read_bytes()) if path.exists() else None


def cases() -> list[Case]:
    """Every recorded platform at hand, by name; those of 2.4.0 are always there."""
    found = {path.parent.name: Case(path.parent) for path in sorted(COMMITTED.glob("v*/meta.json"))}
    for path in sorted(ALL.glob("v*/meta.json")):
        found.setdefault(path.parent.name, Case(path.parent))
    return [found[name] for name in sorted(found)]


def home_of(probe: Path, home: Path) -> Path:
    """Make, in `home`, the platform of a probe: the case it is based on, with the probe's file and changes."""
    meta = json.loads((probe / "meta.json").read_text())
    base = next(case.home for case in cases() if case.name == meta["base"])
    (home / "etc").mkdir(parents=True)
    (home / "var").mkdir()
    shutil.copy(probe / "flowforge.yml", home / "etc" / "flowforge.yml")
    if (probe / "forge.db").exists():
        shutil.copy(probe / "forge.db", home / "var" / "forge.db")
        return home
    shutil.copyfile(base / "var" / "forge.db", home / "var" / "forge.db")
    with contextlib.closing(sqlite3.connect(home / "var" / "forge.db", isolation_level=None)) as connection:
        for statement in meta["sql"]:
            connection.execute(statement)
    return home


def frontend(name: str) -> Path:
    """The page and headers that FlowFuse served with one of the telemetry settings. Skips the test if not here."""
    directory = ALL / "frontend" / name
    if not directory.is_dir():
        pytest.skip(MISSING)
    return directory


def all_present() -> bool:
    """Whether the recordings that are not committed are here."""
    return ALL.is_dir()


def leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, (*path, key))
    else:
        yield path, value


def assert_as_recorded(ours: bytes, recorded: dict[str, Any]) -> None:
    """Every field recorded, of equal type and value and in the same order; templates and stacks exactly swapped."""
    counts = recorded["platform"]["counts"]
    counts["projectTemplates"], counts["projectStacks"] = counts["projectStacks"], counts["projectTemplates"]
    expected = [(path, value) for path, value in leaves(recorded) if path[0] not in ("os", "env")]
    wanted = {path for path, _ in expected}
    found = [(path, value) for path, value in leaves(json.loads(ours)) if path in wanted]
    assert [(*leaf, type(leaf[1])) for leaf in found] == [(*leaf, type(leaf[1])) for leaf in expected]
