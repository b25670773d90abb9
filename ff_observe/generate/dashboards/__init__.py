"""Grafana dashboards, from the catalogue: `render(uid)` gives the JSON of one, `render_v2(uid)` the same in schema v2.

What needs `grafana-foundation-sdk` (a tool of those who develop ff-observe) is imported only there.
"""

import json
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType

from ff_observe.generate.dashboards import schema_v2

MODULES = MappingProxyType(
    {
        "flowfuse-platforms": "platforms",
        "flowfuse-platform": "platform",
        "flowfuse-health": "health",
        "flowfuse-activity": "activity",
        "flowfuse-rollout": "rollout",
        "flowfuse-growth": "growth",
        "flowfuse-licence": "licence",
        "flowfuse-telemetry": "telemetry",
        "flowfuse-fleet": "fleet",
        "flowfuse-fleet-history": "fleet_history",
        "flowfuse-bridge": "bridge",
    }
)
"""uid → the module here whose `dashboard()` makes it. The uid is the name of the file, too."""

LIBRARY = "grafana-foundation-sdk"


def can_be_made() -> bool:
    """Whether the library that makes dashboards is installed."""
    return find_spec(LIBRARY.replace("-", "_")) is not None


def render(uid: str) -> str:
    """The text of the dashboard's file."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    built = import_module(f"{__name__}.{MODULES[uid]}").dashboard().build()
    return json.dumps(built, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def render_v2(uid: str) -> str:
    """The text of the same dashboard's manifest in schema v2."""
    return json.dumps(schema_v2.converted(json.loads(render(uid))), indent=2, ensure_ascii=False) + "\n"
