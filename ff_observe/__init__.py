"""ff-observe: the observability bridge for FlowFuse platforms."""

from ff_observe.version import VERSION

__version__ = VERSION

__all__ = ["__version__"]
