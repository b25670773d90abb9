"""Grafana dashboards, from the catalogue: `render(uid)` gives the JSON of one, `render_v2(uid)` the same in schema v2.

What needs `grafana-foundation-sdk` (a tool of those who develop ff-observe) is imported only there.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType

from ff_observe.generate.dashboards import schema_v2

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "flowfuse-platforms": "Platforms",
        "flowfuse-platform": "Platform",
        "flowfuse-health": "Health",
        "flowfuse-activity": "Activity",
        "flowfuse-rollout": "Roll-out and upgrade",
        "flowfuse-growth": "Cost and growth",
        "flowfuse-licence": "Licence",
        "flowfuse-telemetry": "Telemetry & privacy",
        "flowfuse-bridge": "Bridge health",
        "flowfuse-fleet": "Fleet",
        "flowfuse-fleet-history": "Fleet history",
    }
)
"""uid → title. The uid is the name of the file, too, and names the module here whose `dashboard()` makes it."""

OF_COLLECTORS = ("flowfuse-fleet", "flowfuse-fleet-history")
"""Dashboards of collectors. The others are of bridges; a choice of targets holds within one kind only."""

LIBRARY = "grafana-foundation-sdk"


def can_be_made() -> bool:
    """Whether the library that makes dashboards is installed."""
    return find_spec(LIBRARY.replace("-", "_")) is not None


@cache
def render(uid: str) -> str:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    module = uid.removeprefix("flowfuse-").replace("-", "_")
    built = import_module(f"{__name__}.{module}").dashboard().build()
    return json.dumps(built, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def render_v2(uid: str) -> str:
    """The text of the same dashboard's manifest in schema v2."""
    return json.dumps(schema_v2.converted(json.loads(render(uid))), indent=2, ensure_ascii=False) + "\n"
