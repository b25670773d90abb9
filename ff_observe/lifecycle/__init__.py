"""What starts and stops, runs again and again, or shares threads."""
