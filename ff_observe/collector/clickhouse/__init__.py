"""ClickHouse beside the store: a copy of its days for questions that are too large for one database."""
