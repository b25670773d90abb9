"""Spells release and environment as Sentry accepts them, the same for the backend, the page and the source maps."""

import re
from typing import Final

# With halves of surrogate pairs, as Python reads a variable that is no UTF-8: Sentry refuses the whole event with one.
_REFUSED: Final = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]+")
_MAX_ENVIRONMENT: Final = 64  # bytes of UTF-8, as Sentry counts them
_MAX_VERSION: Final = 100


def environment_name(name: str) -> str:
    """`name` in a form that Sentry accepts as an environment.

    It discards an environment of more than 64 bytes, `none`, and one with slashes or control characters
    (sentry-relay, relay-event-schema, `validate_environment`).
    """
    legal = _legal(name, _MAX_ENVIRONMENT)
    return "unknown" if legal.lower() in ("", "none", ".", "..") else legal


def release_name(flowfuse_version: str | None) -> str | None:
    """`flowfuse@VERSION` as FlowFuse names it, without characters that Sentry refuses; None if the version is not
    known."""
    legal = _legal(flowfuse_version or "", _MAX_VERSION)
    return f"flowfuse@{legal}" if legal else None


def _legal(text: str, maximum: int) -> str:
    return _REFUSED.sub("-", text).strip().encode()[:maximum].decode(errors="ignore").strip()
