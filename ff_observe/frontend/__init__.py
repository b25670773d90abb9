"""Frontend telemetry: PostHog, Sentry and Plausible as snippets for a page, and the CSP they need. Pure functions."""
