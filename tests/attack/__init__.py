"""Floods of hostile clients against the bridge, the collector and, beside them, node_exporter."""
