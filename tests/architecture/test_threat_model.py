"""Every claim of the threat model names a test, and that test is there."""

import re

import pytest

from tests.architecture.sources import ROOT

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ROWS = [
    line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| may try to |"))
]
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
}


def test_there_are_claims() -> None:
    assert len(ROWS) > 15


@pytest.mark.parametrize("row", ROWS)
def test_its_test_is_there(row: str) -> None:
    named = re.findall(r"`(test_\w+)`", row.split("|")[3])
    assert named, f"SECURITY.md: name the test that holds it: {row}"
    for name in named:
        assert name in TESTS, f"SECURITY.md names {name}, which is not there"
