"""The table of FlowFuse's own calls in docs/egress.md."""

from ff_observe.egress.flowfuse import CALLS
from ff_observe.generate.markdown import table


def render() -> str:
    """One line for each call: who makes it, to whom, with which data, and how to stop it."""
    return table(
        ("by", "host", "why", "data", "stopped by", "since", "where FlowFuse does it"),
        (
            (
                call.by,
                " or ".join(filter(None, (call.host, f"that of `{call.named_by}`" if call.named_by else ""))),
                *(call.why, call.data, call.stop, call.since, f"`{call.source}`"),
            )
            for call in CALLS
        ),
    )
