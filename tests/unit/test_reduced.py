"""The reduced platforms are fit to stand in for recordings: FlowFuse's tables, and numbers that cannot be confused."""

import contextlib
import sqlite3
from collections import Counter

import pytest

from tests.recordings import Case, cases
from tests.reduced.descriptions import PLATFORMS
from tests.reduced.platforms import Platform
from tests.reduced.schema import TABLES

RECORDED = [case for case in cases() if case.name.startswith("v2.") and not case.is_postgresql]
LABELLED = {"PlatformSettings", "TeamTypes", "Subscriptions"}
"""No count is their number of rows."""


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case.name)
def test_the_tables_have_the_columns_of_recorded_platforms(case: Case) -> None:
    """Of FlowFuse 2.33 all; 2.4.0 has fewer tables and columns."""
    uri = f"file:{case.home / 'var' / 'forge.db'}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        for table, columns in TABLES.items():
            ours = {column.removesuffix("!").partition(":")[0] for column in columns}
            theirs = {row[1] for row in database.execute(f'PRAGMA table_info("{table}")')}
            assert theirs <= ours, table
            if case.meta["flowfuse_version"] == "2.33.2":
                assert theirs == ours, table
        if case.meta["flowfuse_version"] == "2.33.2":
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            assert {name for (name,) in found} == TABLES.keys()


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
def test_no_table_has_as_many_rows_as_another(platform: Platform) -> None:
    sizes = Counter(table for table, _ in platform.rows() if table not in LABELLED)
    assert sizes
    assert len(set(sizes.values())) == len(sizes), sizes
