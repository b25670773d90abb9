"""A plugin of pytest: each run begins with empty caches. mutmut tries a mutant in a fork of a process that has run the
tests before: what the code as it is had computed was found there, and the mutant never asked."""

import functools
import gc


def pytest_sessionstart() -> None:
    for found in gc.get_objects():
        if isinstance(found, functools._lru_cache_wrapper) and found.__module__.startswith("ff_observe."):
            found.cache_clear()
