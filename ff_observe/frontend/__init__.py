"""Frontend telemetry: PostHog, Sentry and Plausible, inserted safely into a page, and the Content Security Policy they
need.

Pure functions from settings to text, and an ASGI middleware. Nothing here contacts anyone: browsers do.
"""

from ff_observe.config.sentry_names import environment_name, release_name
from ff_observe.frontend.csp import format_policy, merge_csp
from ff_observe.frontend.middleware import FrontendTelemetryMiddleware
from ff_observe.frontend.page import render_page
from ff_observe.frontend.scripts import Script
from ff_observe.frontend.sentry import reported_release
from ff_observe.frontend.services import csp_sources, deprecations, snippets

__all__ = [
    "FrontendTelemetryMiddleware",
    "Script",
    "csp_sources",
    "deprecations",
    "environment_name",
    "format_policy",
    "merge_csp",
    "release_name",
    "render_page",
    "reported_release",
    "snippets",
]
