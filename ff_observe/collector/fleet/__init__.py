"""What the pings say of all platforms: the figures, which of them may be shown, and their past."""
