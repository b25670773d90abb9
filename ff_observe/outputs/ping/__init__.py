"""The core ping: what is in it, whether it may be sent, when, and how it is delivered."""

NAME = "ping"
"""Of the output, in metrics."""
