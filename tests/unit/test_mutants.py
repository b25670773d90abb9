"""What `make mutants` needs of pytest."""

import functools

from tests.mutants.forgetful import pytest_sessionstart


def test_a_run_begins_without_what_an_earlier_one_has_computed() -> None:
    @functools.cache
    def ours() -> int:
        return 1

    @functools.cache
    def anothers() -> int:
        return 1

    ours.__module__ = "ff_observe.platform"
    for function in (ours, anothers):
        function()
    pytest_sessionstart()
    assert [function.cache_info().currsize for function in (ours, anothers)] == [0, 1]
