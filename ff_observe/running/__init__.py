"""A bridge at work: its parts, built from the settings, and the platforms that it serves."""
