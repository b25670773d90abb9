"""Sentry in the page: `window.sentryConfig` as FlowFuse's frontend reads it, and the hosts its SDK contacts."""

import json
from collections.abc import Mapping
from typing import Final

from ff_observe.config.settings import FrontendSentrySettings
from ff_observe.frontend.markup import Kind
from ff_observe.frontend.origins import origin
from ff_observe.frontend.page import places_in
from ff_observe.frontend.scripts import javascript

_ASSIGNMENT: Final = "window.sentryConfig = "


def snippet(settings: FrontendSentrySettings, environment_name: str, release: str | None) -> str:
    """Keys and their order are those of FlowFuse (forge/routes/ui/index.js); `version` is absent if not known."""
    config = {
        "dsn": settings.dsn,
        "production_mode": settings.production_mode,
        **({} if release is None else {"version": release}),
        "environment": environment_name,
    }
    return f"{_ASSIGNMENT}{javascript(config)};"


def sources(settings: FrontendSentrySettings) -> Mapping[str, tuple[str, ...]]:
    """Events go to the DSN's host. Session replay, which FlowFuse's frontend turns on, compresses in a blob worker."""
    return {"connect-src": (origin(settings.dsn, "telemetry.frontend.sentry.dsn"),), "worker-src": ("blob:",)}


def reported_release(page: bytes) -> tuple[bool, str | None]:
    """Whether a rendered page configures Sentry, and the release that it will report."""
    for place in places_in(page):
        if place.kind is Kind.OURS and _ASSIGNMENT in place.text:
            try:
                config, _ = json.JSONDecoder().raw_decode(place.text.partition(_ASSIGNMENT)[2])
                version = config.get("version")
            except (ValueError, RecursionError, AttributeError):  # another tool has rewritten it since
                continue
            return True, version if isinstance(version, str) else None
    return False, None
