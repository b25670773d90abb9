"""`flowforge.yml` and the environment as typed, frozen settings; every problem with its place."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ff_observe.config.load import find_file, find_home, load_settings

__all__ = ["find_file", "find_home", "load_settings"]


def __getattr__(name: str) -> object:
    """Load the parser when it is asked for: who imports only `config.secret` does not pay for YAML."""
    if name in __all__:
        from ff_observe.config import load

        return getattr(load, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
