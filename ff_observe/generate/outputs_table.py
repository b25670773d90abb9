"""The table of outputs in PRIVACY.md."""

from ff_observe.generate.markdown import table
from ff_observe.outputs import OUTPUTS


def render() -> str:
    """One line for each output: what leaves, its receiver, the key that switches it, and how to stop it."""
    return table(
        ("output", "what leaves", "to whom", "switched by", "stopped by"),
        ((output.title, output.content, output.receiver, f"`{output.key}`", output.stop) for output in OUTPUTS),
    )
