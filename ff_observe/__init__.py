"""ff-observe: the observability bridge for FlowFuse platforms."""

from ff_observe.version import VERSION as __version__

__all__ = ["__version__"]
