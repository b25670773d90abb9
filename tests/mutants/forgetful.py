"""A plugin of pytest: each test begins with empty caches. mutmut tries a mutant in a fork of a process that has run the
tests before: what the code as it is had computed was found there, and the mutant never asked. Nor did mutmut see that a
test needs a function whose answer an earlier one had left."""

import functools
import sys


def pytest_runtest_setup() -> None:
    for name, module in [*sys.modules.items()]:
        if name.startswith("ff_observe."):
            for value in vars(module).values():
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()
