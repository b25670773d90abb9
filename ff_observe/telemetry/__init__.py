"""What the bridge says of itself (log lines, spans, metrics), and the secrets kept out of it."""
