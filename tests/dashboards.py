"""The committed dashboards and rules, as the tests look at them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ff_observe.catalogue import METRICS
from ff_observe.catalogue.model import Kind

ROOT = Path(__file__).resolve().parent.parent
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((ROOT / "grafana" / "rules").glob("*.yml"))
RULE_TESTS = sorted((ROOT / "grafana" / "rules" / "tests").glob("*.yml"))

OF_PROMETHEUS = {"up", "scrape_duration_seconds"}
"""What Prometheus itself tells of every target."""


@dataclass(frozen=True)
class Target:
    """One query of a panel."""

    uid: str
    title: str
    ref: str
    expression: str

    def __str__(self) -> str:
        return f"{self.uid}: {self.title} {self.ref}"


@cache
def dashboard(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels, rows left out."""
    return [panel for panel in dashboard(path)["panels"] if panel["type"] != "row"]


def targets() -> Iterator[Target]:
    """Every query of every panel."""
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel.get("targets", []):
                yield Target(path.stem, panel["title"], target["refId"], target["expr"])


def query(name: str) -> Target:
    """The query of that panel and letter."""
    return next(target for target in targets() if str(target) == name)


def variables(uid: str) -> list[tuple[str, str]]:
    """The series and the label whose values each variable of a dashboard offers, but for the data source."""
    [path] = (path for path in DASHBOARDS if path.stem == uid)
    queries = (variable["query"] for variable in dashboard(path)["templating"]["list"][1:])
    found = (re.fullmatch(r"label_values\((.+), (\w+)\)", each) for each in queries)
    return [(each[1], each[2]) for each in found if each]


def filled_in(expression: str, instance: str = ".+", rate_interval: str = "5s", job: str = ".+") -> str:
    """The expression with Grafana's variables filled in, so that everything is chosen."""
    intervals = {"$__rate_interval": rate_interval, "$__interval": "5s", "$__range": "30s"}
    for variable, value in {"$job": job, "$instance": instance, **intervals}.items():
        expression = expression.replace(variable, value)
    return expression


def quick_rules(directory: Path) -> list[str]:
    """Copies of all rules, their minutes shortened to seconds, and days left as they are."""
    for path in RULES:
        quick = re.sub(r"\b(\d+)m\b", r"\1s", path.read_text(encoding="utf-8"))
        (directory / path.name).write_text(quick, encoding="utf-8")
    return [str(directory / path.name) for path in RULES]


def rules() -> Iterator[dict[str, Any]]:
    """Every rule of every file."""
    for path in RULES:
        for group in _groups(path):
            yield from group["rules"]


@cache
def _groups(path: Path) -> list[dict[str, Any]]:
    """Not to be changed."""
    groups: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return groups


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def known_names() -> set[str]:
    """The names of all series that the catalogue declares."""
    names = set()
    for metric in METRICS:
        if metric.kind is Kind.HISTOGRAM:
            names |= {f"{metric.name}{part}" for part in ("_bucket", "_sum", "_count")}
        else:
            names.add(metric.name)
    return names


def misread_counters(expression: str) -> list[str]:
    """Counters that the expression asks for as they are, which tells no more than when the process started."""
    counters = {metric.name for metric in METRICS if metric.kind in (Kind.COUNTER, Kind.HISTOGRAM)}
    asked = re.finditer(r"(?P<function>\w+\()?(?P<name>[a-z_]+)[{\[]", expression)
    return [
        found["name"]
        for found in asked
        if re.sub("_(bucket|sum|count)$", "", found["name"]) in counters
        and found["function"] not in ("rate(", "increase(", "resets(")
    ]
