"""Build-time Sentry: source maps checked and uploaded, so that errors in the browser show the original code."""

from ff_observe.source_maps.upload import upload_source_maps

__all__ = ["upload_source_maps"]
