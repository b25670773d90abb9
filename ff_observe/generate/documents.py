"""Every committed document that is derived, with its path and the function that writes it."""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ff_observe.cli import completion, manual
from ff_observe.collector import openapi
from ff_observe.collector.settings import COLLECTOR
from ff_observe.generate import (
    configuration_reference,
    dashboards,
    metrics_reference,
    ping_schema,
    semantic_conventions,
    status_schema,
    tables,
)
from ff_observe.generate.markdown import GENERATED, keys
from ff_observe.web.web_config import WEB_CONFIG


def _json(made: Callable[[], object]) -> str:
    return json.dumps(made(), indent=2, ensure_ascii=False) + "\n"


DOCUMENTS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "docs/completion/_ff-observe": partial(completion.render, "zsh"),
        "docs/completion/ff-observe.bash": partial(completion.render, "bash"),
        "docs/completion/ff-observe.fish": partial(completion.render, "fish"),
        "docs/configuration.md": configuration_reference.render,
        "docs/man/ff-observe.1": manual.render,
        "docs/metrics.md": metrics_reference.render,
        "docs/openapi/collector.json": partial(_json, openapi.document),
        "docs/semantic-conventions/manifest.yaml": semantic_conventions.manifest,
        "docs/semantic-conventions/metrics.yaml": semantic_conventions.registry,
        "docs/status.schema.json": partial(_json, status_schema.schema),
        "docs/telemetry-payload.schema.json": partial(_json, ping_schema.schema),
        **(
            {f"grafana/dashboards/{uid}.json": partial(dashboards.render, uid) for uid in dashboards.TITLES}
            | {f"grafana/dashboards-v2/{uid}.json": partial(dashboards.render_v2, uid) for uid in dashboards.TITLES}
            if dashboards.can_be_made()
            else {}
        ),
    }
)
"""Path below the root of the repository → its text. A new derived document is one line here."""


class Section(NamedTuple):
    """A derived section of a document, identified by its source."""

    source: str
    render: Callable[[], str]


SECTIONS: Mapping[str, tuple[Section, ...]] = MappingProxyType(
    {
        "PRIVACY.md": (
            Section("ff_observe/outputs", tables.outputs),
            Section("ff_observe/catalogue/ping_contract.py", tables.ping_fields),
            Section("ff_observe/catalogue", tables.disclosed),
        ),
        "docs/collector.md": (
            Section("ff_observe/collector/settings.py", partial(keys, COLLECTOR.keys)),
            Section("ff_observe/catalogue/quality.py", tables.quality),
        ),
        "docs/egress.md": (Section("ff_observe/egress/flowfuse_server.py and flowfuse_clients.py", tables.egress),),
        "docs/securing-metrics.md": (Section("ff_observe/web/web_config.py", partial(keys, WEB_CONFIG.keys)),),
    }
)
"""Path of a hand-written document → its derived sections."""

_END = "<!-- End of the table. -->"


def outdated(root: Path) -> list[str]:
    """The paths of the documents below `root` that are missing or out of date."""
    return list(_renewed(root))


def write(root: Path) -> list[str]:
    """Write the documents that are outdated; returns their paths."""
    renewed = _renewed(root)
    for path, text in renewed.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return list(renewed)


def _renewed(root: Path) -> dict[str, str]:
    made = {path: _made(root, path) for path in (*DOCUMENTS, *SECTIONS)}
    return {path: text for path, text in made.items() if text != _committed(root / path)}


def _made(root: Path, path: str) -> str:
    """The text as it should be. A document without the marks of a section gets that section at its end."""
    if path in DOCUMENTS:
        return DOCUMENTS[path]()
    text = _committed(root / path) or ""
    for source, render in SECTIONS[path]:
        begin = GENERATED.format(source=source)
        section = f"{begin}\n\n{render()}\n\n{_END}"
        marks = re.compile(f"{re.escape(begin)}.*?{re.escape(_END)}", re.DOTALL)
        text, found = marks.subn(section.replace("\\", r"\\"), text)
        if not found:
            text += section + "\n"
    return text


def _committed(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
