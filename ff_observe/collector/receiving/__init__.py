"""From a request to a stored ping: what is taken, what is refused and why, and the answer."""
