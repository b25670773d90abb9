"""Backend Sentry. Only `client` loads the SDK."""
