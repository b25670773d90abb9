"""The sources of the counts: FlowFuse's database, its licence, and the software installed beside it."""
