"""Where the counts come from: FlowFuse's database, its licence, and what is installed beside it."""
