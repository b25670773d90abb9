"""What `/metrics` answers, for the bridge and the collector: formats, negotiation, compression."""
