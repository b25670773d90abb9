"""What `make mutants` needs of pytest."""

import functools

import pytest

import ff_observe.errors
from tests.mutants.forgetful import pytest_runtest_setup


def test_a_test_begins_without_what_an_earlier_one_has_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    @functools.cache
    def computed() -> int:
        return 1

    monkeypatch.setattr(ff_observe.errors, "computed", computed, raising=False)
    computed()
    pytest_runtest_setup()
    assert computed.cache_info().currsize == 0
