"""Every document that is derived and committed: where it stands, and what writes its text."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from ff_observe.generate import (
    collector_openapi,
    configuration_reference,
    dashboards,
    metrics_reference,
    ping_schema,
)

DOCUMENTS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "docs/configuration.md": configuration_reference.render,
        "docs/metrics.md": metrics_reference.render,
        "docs/openapi/collector.json": collector_openapi.render,
        "docs/telemetry-payload.schema.json": ping_schema.render,
        **(
            {f"grafana/dashboards/{uid}.json": partial(dashboards.render, uid) for uid in dashboards.MODULES}
            if dashboards.can_be_made()
            else {}
        ),
    }
)
"""Path below the root of the repository → its text. A new derived document is one line here."""


def outdated(root: Path) -> list[str]:
    """The paths of the documents below `root` that are missing or differ from what they are derived from."""
    return [path for path, render in DOCUMENTS.items() if _committed(root / path) != render()]


def write(root: Path) -> list[str]:
    """Write the documents that are outdated; returns their paths."""
    changed = outdated(root)
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(DOCUMENTS[path](), encoding="utf-8")
    return changed


def _committed(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
