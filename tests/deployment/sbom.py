"""The software bill of materials that the wheel carries (PEP 770), and the notices of others' licences.

`python -m tests.deployment.sbom` writes both (`make pins`): of what the image installs, in a virtual environment of its
own. CycloneDX's own tool describes it; references to the outside are left out.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ff_observe.version import VERSION
from tests.deployment import locks
from tests.plain_machine import TOP

SBOM: Final = TOP / "deploy" / "sbom.cdx.json"
NOTICES: Final = TOP / "THIRD-PARTY.md"
UNDECLARED: Final = {"protobuf": "BSD-3-Clause"}
"""Licences that a distribution has, and does not declare as such."""


def normalised(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def licence(component: Mapping[str, Any]) -> str:
    """What a component is licensed under, by SPDX where it says so."""
    declared = [each.get("expression") or each["license"].get("id") for each in component.get("licenses", ())]
    named = [each["license"]["name"] for each in component.get("licenses", ()) if "name" in each.get("license", {})]
    (first, *_) = [found for found in (*declared, *named, UNDECLARED.get(component["name"])) if found]
    return str(first)


def described(environment: Path) -> dict[str, Any]:
    """What is installed in a virtual environment."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", str(environment), "--pyproject", "pyproject.toml"]
    options = ("--output-reproducible", "--of", "JSON", "--sv", "1.6")
    made = subprocess.run([*command, *options], check=True, cwd=TOP, capture_output=True, text=True)
    document: dict[str, Any] = json.loads(made.stdout)
    document["metadata"]["component"]["version"] = VERSION
    document["metadata"].pop("tools")
    document["components"] = [each for each in document["components"] if each["name"] not in {"pip", "setuptools"}]
    for component in document["components"]:
        component.pop("externalReferences", None)
        component["licenses"] = (
            [{"expression": licence(component)}]
            if " " in licence(component)
            else [{"license": {"id": licence(component)}}]
        )
    present = {each["bom-ref"] for each in document["components"]} | {document["metadata"]["component"]["bom-ref"]}
    document["dependencies"] = [each for each in document["dependencies"] if each["ref"] in present]
    return document


def notices(document: Mapping[str, Any]) -> str:
    """The table of what ff-observe is installed with. The wheel itself holds nothing of others."""
    lines = [
        "# Third-party software",
        "",
        "ff-observe contains no code of others. It is installed with these distributions, here in the versions of its",
        "image; each brings the text of its licence. Made by `make pins`.",
        "",
        "| distribution | version | licence |",
        "|---|---|---|",
    ]
    rows = sorted((normalised(each["name"]), each["version"], licence(each)) for each in document["components"])
    return "\n".join([*lines, *(f"| {name} | {version} | {terms} |" for name, version, terms in rows)]) + "\n"


def write() -> None:
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([sys.executable, "-m", "venv", name], check=True)
        pip = [f"{name}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--require-hashes", "-r", str(locks.RUN)], check=True)
        document = described(Path(name))
    SBOM.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    NOTICES.write_text(notices(document))


if __name__ == "__main__":
    write()
