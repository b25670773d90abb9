"""Sentry in the page: `window.sentryConfig` as FlowFuse's frontend reads it, and the hosts its SDK talks to."""

from collections.abc import Mapping

from ff_observe.config.settings import FrontendSentrySettings
from ff_observe.frontend.origins import origin
from ff_observe.frontend.scripts import javascript


def snippet(settings: FrontendSentrySettings, environment_name: str, release: str | None) -> str:
    """Keys and their order are those of FlowFuse (forge/routes/ui/index.js); `version` is absent when not known."""
    config = {
        "dsn": settings.dsn,
        "production_mode": settings.production_mode,
        **({} if release is None else {"version": release}),
        "environment": environment_name,
    }
    return f"window.sentryConfig = {javascript(config)};"


def sources(settings: FrontendSentrySettings) -> Mapping[str, tuple[str, ...]]:
    """Events go to the DSN's host. Session replay, which FlowFuse's frontend turns on, compresses in a blob worker."""
    return {"connect-src": (origin(settings.dsn, "telemetry.frontend.sentry.dsn"),), "worker-src": ("blob:",)}
