"""The committed tests of alerting rules as promtool runs them, each with the alerts that it looks at and no others.

promtool evaluates every rule of a file at every step of every case: with all of them, most of its time would go into
alerts that the case does not look at.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.real_parts import prometheus


def concerning(path: Path, directory: Path) -> dict[str, Any]:
    """A file of tests; its rules, in copies in `directory`, are those it looks at and those that record."""
    test: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    looked_at = {check["alertname"] for case in test["tests"] for check in case["alert_rule_test"]}
    copies, found = [], set()
    for name in test["rule_files"]:
        rules = yaml.safe_load((path.parent / name).read_text(encoding="utf-8"))
        for group in rules["groups"]:
            group["rules"] = [rule for rule in group["rules"] if "record" in rule or rule["alert"] in looked_at]
            found |= {rule["alert"] for rule in group["rules"] if "alert" in rule}
        copy = directory / Path(name).name
        copy.write_text(json.dumps(rules), encoding="utf-8")
        copies.append(str(copy))
    assert found == looked_at, "no rule has this name"
    return {**test, "rule_files": copies}


def told_by_promtool(test: dict[str, Any], directory: Path) -> str:
    """What promtool says of it: nothing, if all is well."""
    file = directory / "test.yml"
    file.write_text(json.dumps(test), encoding="utf-8")  # JSON is YAML
    tested = subprocess.run([str(prometheus.PROMTOOL), "test", "rules", file], capture_output=True, text=True)
    return "" if tested.returncode == 0 else tested.stdout + tested.stderr
