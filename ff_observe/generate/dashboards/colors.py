"""Colours of what has more values than the few that `panels.py` names."""

from ff_observe.catalogue import collector
from ff_observe.generate.dashboards import panels as p

STATES = {
    "running": p.GOOD,
    "starting": "blue",
    "loading": "super-light-blue",
    "installing": "light-purple",
    "importing": "purple",
    "rollback": "dark-purple",
    "restarting": "light-blue",
    "suspended": p.QUIET,
    "suspending": "#a8a8a8",
    "stopped": "#c4c4c4",
    "stopping": "#d8d8d8",
    "safe": p.MILD,
    "error": p.WORST,
    "crashed": "dark-red",
}
"""Colours of the states of instances: green runs, blue is on its way, grey is off on purpose, red needs attention."""

_CALM = (
    *("semi-dark-blue", "semi-dark-purple", "#2aa198", "#c2639f", "#9c6644"),
    *("light-blue", "light-purple", "#7fd1c7", "#eba4d4", "#cfa27e"),
)
"""Ten colours to tell things apart; none of them means good or bad. The last five are lighter ones of the first."""

VERSIONS = {
    f"/^[0-9]+\\.[0-9]*[{minor}{minor + 5}]\\.[0-9]*[{patches}]$/": _CALM[minor + lighter]
    for minor in range(5)
    for patches, lighter in (("02468", 0), ("13579", 5))
}
"""A version keeps its colour, whichever others there are: its minor version gives the hue, its patch the lightness."""

RELEASES = {f"/^[0-9]+\\.[0-9]*{minor}$/": _CALM[minor] for minor in range(10)}
"""The same of a minor version, as 2.33."""

NODEJS = {f"/^Node [0-9]*{major}$/": _CALM[major // 2 + 5 * (major % 2)] for major in range(10)}
"""Major versions of Node.js; those with long-term support are even, and of five hues."""

REASONS = {
    **{reason: _CALM[index % len(_CALM)] for index, reason in enumerate(collector.PINGS_REFUSED.label_values)},
    "internal": p.WORST,
    "store_unavailable": "dark-red",
    "overloaded": p.BAD,
}
"""Why requests are refused: the collector's own reasons in colours of trouble, the senders' in calm ones."""
