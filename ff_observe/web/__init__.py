"""The HTTP edge of the bridge: status page, `/metrics` and probes as one ASGI application."""
