"""Which documents come with this version, and which of them says more about a finding or an output."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from ff_observe.outputs import OUTPUTS
from ff_observe.system.installed_files import installed_directory

PATH: Final = "/docs"
"""Where the bridge serves them."""

_RUNBOOKS: Final = {
    "flowfuse-unreachable": "FlowFuseNotAnswering",
    "reload-rejected": "FlowFuseConfigurationRejected",
    "readings-failing": "FlowFuseReadingFailing",
    "role-lacks-privileges": "FlowFuseReadingFailing",
    "licence-expired": "FlowFuseLicenceExpired",
    "licence-expires": "FlowFuseLicenceExpiring",
    "licence-limit": "FlowFuseLicenceOverage",
    "opt-out-ignored": "FlowFuseOptOutIgnored",
    "ping-failing": "FlowFusePingFailing",
    "otlp-failing": "FlowFuseOtlpExportsFailing",
    "target-down": "FlowFuseBridgeDown",
}
"""Of findings that an alert is raised for too; those of the database have one."""


@cache
def documents() -> Mapping[str, Path]:
    """The documents by name; none in a package that was copied without its data."""
    found = installed_directory("docs", "docs")
    return {} if found is None else {path.stem: path for path in sorted(found.glob("*.md"))}


@cache
def drawings() -> Mapping[str, Path]:
    """The drawings in the documents, by the names they have there."""
    found = installed_directory("docs", "docs")
    return {} if found is None else {f"drawings/{path.name}": path for path in found.glob("drawings/*.svg")}


def runbook(finding: str) -> tuple[str, str] | None:
    """The alert of a finding, and where its runbook is among the documents."""
    database = "FlowFuseDatabaseUnreachable" if finding.startswith("database-") else None
    alert = _RUNBOOKS.get(finding, database)
    return None if alert is None else (alert, f"runbooks#{alert.lower()}")


def document_of(name: str) -> str | None:
    """The document about an output, if there is one."""
    return next((output.document for output in OUTPUTS if output.name == name and output.document), None)
