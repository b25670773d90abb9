"""Every committed document that is derived, with its path and the function that writes it."""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ff_observe.catalogue import PLATFORM, SELF
from ff_observe.catalogue.model import Sensitivity
from ff_observe.catalogue.ping_contract import FIELDS, Field
from ff_observe.catalogue.quality import RULES
from ff_observe.cli import completion, manual
from ff_observe.collector import openapi
from ff_observe.collector.settings import COLLECTOR
from ff_observe.egress.flowfuse import CALLS
from ff_observe.generate import (
    configuration_reference,
    dashboards,
    metrics_reference,
    ping_schema,
    semantic_conventions,
    status_schema,
)
from ff_observe.generate.markdown import GENERATED, keys, name_and_labels, table
from ff_observe.outputs import OUTPUTS
from ff_observe.outputs.ping.explained import origin
from ff_observe.web.web_config import WEB_CONFIG


def outputs() -> str:
    """One line for each output: what leaves, its receiver, the key that switches it, and how to stop it."""
    return table(
        ("output", "what leaves", "to whom", "switched by", "stopped by"),
        ((output.title, output.content, output.receiver, f"`{output.key}`", output.stop) for output in OUTPUTS),
    )


def ping_fields() -> str:
    """One line for each field: what it is and for what, where it comes from, what it discloses, what is kept of it."""
    return table(
        ("field", "what it is", "where it comes from", "sensitivity", "purpose", "reviewed", "rolled up", "since"),
        map(_of_field, FIELDS),
    )


def disclosed() -> str:
    """One line for each sensitivity, with the metrics of platform and bridge that have it and their labels."""
    return table(
        ("sensitivity", "what the samples disclose", "metrics"),
        (
            (
                one.value,
                one.meaning,
                ", ".join(name_and_labels(each) for each in (*PLATFORM, *SELF) if each.sensitivity is one),
            )
            for one in Sensitivity
        ),
    )


def quality() -> str:
    """One line for each rule of data quality: what a finding means, and what to do about it."""
    return table(("rule", "a finding means", "what to do"), ((f"`{r.name}`", r.meaning, r.remedy) for r in RULES))


def egress() -> str:
    """One line for each of FlowFuse's own calls: who makes it, to whom, with which data, and how to stop it."""
    return table(
        ("by", "host", "why", "data", "stopped by", "since", "where FlowFuse does it"),
        (
            (
                call.by,
                " or ".join(filter(None, (call.host, f"that of `{call.names_host}`" if call.names_host else ""))),
                *(call.why, call.data, call.stop, call.since, f"`{call.source}`"),
            )
            for call in CALLS
        ),
    )


def _of_field(field: Field) -> tuple[str, ...]:
    review = field.review
    purpose, when = (
        ("", "no: neither sent nor stored")
        if review is None
        else (review.purpose, f"{review.on}" + ("" if review.expires is None else f", until {review.expires}"))
    )
    return (
        f"`{field.dotted}`",
        field.help,
        origin(field),
        field.sensitivity,
        purpose,
        when,
        field.rolled_up,
        field.since,
    )


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
            Section("ff_observe/outputs", outputs),
            Section("ff_observe/catalogue/ping_contract.py", ping_fields),
            Section("ff_observe/catalogue", disclosed),
        ),
        "docs/collector.md": (
            Section("ff_observe/collector/settings.py", partial(keys, COLLECTOR.keys)),
            Section("ff_observe/catalogue/quality.py", quality),
        ),
        "docs/egress.md": (Section("ff_observe/egress/flowfuse_server.py and flowfuse_clients.py", egress),),
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
