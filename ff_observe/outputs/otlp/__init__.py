"""The platform's counts and the bridge's own metrics, traces and logs over OTLP.

Everything but `choice` imports the OpenTelemetry SDK; import it only when the output is on.
"""
