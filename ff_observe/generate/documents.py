"""Every document that is derived and committed: where it stands, and what writes its text."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ff_observe.collector.settings import COLLECTOR
from ff_observe.generate import (
    collector_openapi,
    configuration_reference,
    dashboards,
    keys_table,
    metrics_reference,
    outputs_table,
    ping_schema,
)
from ff_observe.generate.markdown import GENERATED
from ff_observe.web.web_config import WEB_CONFIG

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


class Section(NamedTuple):
    """The one part of a document that is derived, and what from."""

    source: str
    render: Callable[[], str]


SECTIONS: Mapping[str, Section] = MappingProxyType(
    {
        "PRIVACY.md": Section("ff_observe/outputs", outputs_table.render),
        "docs/collector.md": Section("ff_observe/collector/settings.py", partial(keys_table.render, COLLECTOR.keys)),
        "docs/securing-metrics.md": Section(
            "ff_observe/web/web_config.py", partial(keys_table.render, WEB_CONFIG.keys)
        ),
    }
)
"""Path of a document that people write → the section in it that is derived."""

_SECTION = re.compile(r"(<!-- Made by `make generate`[^\n]* -->\n\n).*?(\n\n<!-- End of the table\. -->)", re.DOTALL)


def outdated(root: Path) -> list[str]:
    """The paths of the documents below `root` that are missing or differ from what they are derived from."""
    return [path for path in (*DOCUMENTS, *SECTIONS) if _committed(root / path) != _made(root, path)]


def write(root: Path) -> list[str]:
    """Write the documents that are outdated; returns their paths."""
    changed = outdated(root)
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(_made(root, path), encoding="utf-8")
    return changed


def _made(root: Path, path: str) -> str:
    """The text as it should be. A document without the marks of its section gets the section at its end."""
    if path in DOCUMENTS:
        return DOCUMENTS[path]()
    source, render = SECTIONS[path]
    section = render()
    text, found = _SECTION.subn(lambda marks: marks[1] + section + marks[2], _committed(root / path) or "")
    if found:
        return text
    return f"{text}{GENERATED.format(source=source)}\n\n{section}\n\n<!-- End of the table. -->\n"


def _committed(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
