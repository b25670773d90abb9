"""Corrects the counts of templates and stacks, which FlowFuse's own pings swap.

FlowFuse counts `ProjectStacks` as `projectTemplates` and vice versa (forge/monitor/metrics, 2.0 to 2.33). Its ping can
be recognised only by the `User-Agent` of its HTTP client, axios; ff-observe's is `ff-observe` and swaps nothing.
"""

from collections.abc import Sequence

from ff_observe.ping_contract import FIELDS, Values

_TEMPLATES, _STACKS = (
    next(index for index, field in enumerate(FIELDS) if field.path[-1] == name)
    for name in ("projectTemplates", "projectStacks")
)


def put_right(values: Values, headers: Sequence[tuple[bytes, bytes]]) -> Values:
    """The values with the two counts under their own names; without the two if the sender is neither program."""
    templates, stacks = values[_TEMPLATES], values[_STACKS]
    if templates is None and stacks is None:
        return values
    product = next((value for name, value in headers if name == b"user-agent"), b"").partition(b"/")[0]
    if product == b"ff-observe":
        return values
    if product != b"axios":
        templates = stacks = None
    changed = list(values)
    changed[_TEMPLATES], changed[_STACKS] = stacks, templates
    return tuple(changed)
