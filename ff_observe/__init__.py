"""ff-observe: the observability bridge for FlowFuse platforms, as a library.

    settings = ff_observe.load_settings(home="/opt/flowforge")
    bridge = ff_observe.build_bridge(settings)
    with bridge:
        ...  # bridge.app is an ASGI application with the status page and /metrics

Several platforms: `load_platforms`, or a map of names to settings for `build_bridge`.

Importing this costs next to nothing; what an output needs is imported when that output is on.
"""

from typing import TYPE_CHECKING, Any

from ff_observe.errors import ConfigurationError, FFObserveError
from ff_observe.version import VERSION

if TYPE_CHECKING:
    from ff_observe.config import load_settings
    from ff_observe.config.platforms import Platforms, load_platforms
    from ff_observe.config.settings import Settings
    from ff_observe.running.bridge import Bridge, build_bridge

__version__ = VERSION

__all__ = [
    "Bridge",
    "ConfigurationError",
    "FFObserveError",
    "Platforms",
    "Settings",
    "__version__",
    "build_bridge",
    "load_platforms",
    "load_settings",
]

_HOMES = {
    "Bridge": "ff_observe.running.bridge",
    "Platforms": "ff_observe.config.platforms",
    "Settings": "ff_observe.config.settings",
    "build_bridge": "ff_observe.running.bridge",
    "load_platforms": "ff_observe.config.platforms",
    "load_settings": "ff_observe.config",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
