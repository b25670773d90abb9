"""Where the counts go: Prometheus, OTLP and the ping; and backend Sentry, which carries no counts."""
