"""The public page, an answer of the fleet as a page, and their curves."""
