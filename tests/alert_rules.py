"""The committed tests of alerting rules as promtool runs them, each case with the alerts it looks at and no others.

promtool evaluates every rule of a file at every step of every case: with all of them, most of its time would go into
alerts that the case does not look at.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.real_parts import prometheus

Case = dict[str, Any]


@cache
def tests_in(path: Path) -> dict[str, Any]:
    """A file of tests; not to be changed."""
    test: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return test


def told_by_promtool(
    path: Path,
    directory: Path,
    changed: Callable[[Case], Iterator[Case]] = lambda case: iter((case,)),
    of_rules: Callable[[str], str] = lambda rules: rules,
) -> str:
    """What promtool says of a file of tests: nothing, if all is well. Each case runs as the cases that `changed` makes
    of it, against the rules it looks at (as JSON) as `of_rules` changes them."""
    test = tests_in(path)
    files = []
    for number, case in enumerate(test["tests"]):
        looked_at = {check["alertname"] for check in case["alert_rule_test"]}
        rules = directory / f"rules-{number}.yml"
        rules.write_text(of_rules(json.dumps(_rules(path, looked_at))), encoding="utf-8")
        file = directory / f"test-{number}.yml"
        whole = {**test, "rule_files": [str(rules)], "tests": list(changed(case))}
        file.write_text(json.dumps(whole), encoding="utf-8")  # JSON is YAML
        files.append(str(file))
    return promtool_on(*files)


def promtool_on(*files: str) -> str:
    """What `promtool test rules` says: nothing, if all is well."""
    command = [str(prometheus.PROMTOOL), "test", "rules", *files]
    lavish = {**os.environ, "GOGC": "400"}  # it would spend a quarter of its time on collecting garbage
    tested = subprocess.run(command, env=lavish, capture_output=True, text=True)
    return "" if tested.returncode == 0 else tested.stdout + tested.stderr


def _rules(path: Path, looked_at: set[str]) -> dict[str, Any]:
    """The groups of the rules that `path` tests, with those alerts only."""
    groups = [
        {**group, "rules": [rule for rule in group["rules"] if rule.get("alert") in looked_at]}
        for name in tests_in(path)["rule_files"]
        for group in tests_in((path.parent / name).resolve())["groups"]
    ]
    assert {rule["alert"] for group in groups for rule in group["rules"]} == looked_at, "no rule has this name"
    return {"groups": [group for group in groups if group["rules"]]}
