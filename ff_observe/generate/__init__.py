"""What is derived from the catalogue and the settings and committed: reference documents, JSON Schema, dashboards."""
