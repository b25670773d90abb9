"""What the operating system is asked for: the time, and files that others may own."""
