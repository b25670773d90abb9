"""The platform's counts and the bridge's own metrics, traces and logs over OTLP.

`choice`, `exporters`, `output` and `reports` load nothing but the bridge's own modules. The others load OpenTelemetry,
protobuf, gRPC or requests: import them only when the output is on.
"""
