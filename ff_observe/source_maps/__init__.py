"""Build-time Sentry: source maps checked and uploaded, so that errors in the browser show the original code."""
