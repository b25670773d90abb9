"""The answer to `/metrics`, for the bridge and the collector: formats, negotiation, compression."""
