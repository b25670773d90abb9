"""How everything that leaves is delivered: connections, proxies, trust, time limits, and the words for errors."""
