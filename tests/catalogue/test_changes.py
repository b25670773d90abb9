"""Since the last release, no metric changed under those who read it without a word in the changelog."""

import copy
import subprocess
from collections.abc import Iterable
from typing import Any

import yaml

from ff_observe.catalogue import METRICS, Metric
from ff_observe.generate import semantic_conventions
from tests.catalogue.changes import Change, changes, unannounced
from tests.recordings import ROOT

REGISTRY = "docs/semantic-conventions/metrics.yaml"
NOW: dict[str, Any] = yaml.load(semantic_conventions.registry(), yaml.CSafeLoader)


def released() -> dict[str, Any]:
    """The registry of the last release; today's, where there was none yet or git does not know it."""
    text = _git("show", f"{tag}:{REGISTRY}") if (tag := last_release()) else ""
    return yaml.load(text, yaml.CSafeLoader) if text else NOW


def last_release() -> str:
    """The newest tag `v…`."""
    return _git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*").strip()


def dated_back(metrics: Iterable[Metric], reference: str, release: str) -> list[str]:
    """Those that are not in the reference of a release although they name it, or an earlier one, as their first."""

    def numbers(version: str) -> list[int]:
        return [int(number) for number in version.removeprefix("v").split(".")]

    late = (metric for metric in metrics if f"`{metric.name}`" not in reference)
    return [metric.name for metric in late if numbers(metric.since) <= numbers(release)]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout


def test_a_breaking_change_since_the_last_release_is_in_the_changelog() -> None:
    assert unannounced(released(), NOW, (ROOT / "CHANGELOG.md").read_text()) == []


def test_a_metric_that_the_last_release_lacks_names_a_later_one_as_its_first() -> None:
    release = last_release()
    assert not release or dated_back(METRICS, _git("show", f"{release}:docs/metrics.md"), release) == []
    users, teams, devices = (Metric(name, "", "", since=f"0.{place}.0") for place, name in enumerate("utd", start=9))
    assert dated_back([users, teams, devices], "| `u` |", "v0.10.0") == ["t"]


def test_each_kind_of_change_is_classified() -> None:
    after = copy.deepcopy(NOW)
    groups = {group.get("metric_name"): group for group in after["groups"]}
    assert list(changes(NOW, after)) == []
    groups["flowfuse.users"]["unit"] = "{person}"
    groups["flowfuse.teams"]["brief"] = "Groups of people"
    groups["flowfuse.teams_by_type"]["attributes"].append({"ref": "region"})
    del groups["flowfuse.instances_by_state"]["attributes"][0]
    after["groups"].remove(groups["flowfuse.devices"])
    after["groups"].append({**groups["flowfuse.users"], "metric_name": "flowfuse.guests"})
    assert set(changes(NOW, after)) == {
        Change("flowfuse.users", "has another unit: '{person}' in place of '{user}'", breaking=True),
        Change("flowfuse.teams", "is described in other words", breaking=False),
        Change("flowfuse.teams_by_type", "has got the label region", breaking=True),
        Change("flowfuse.instances_by_state", "has lost the label state", breaking=True),
        Change("flowfuse.devices", "is gone", breaking=True),
        Change("flowfuse.guests", "is new", breaking=False),
    }
    said = "# Changelog\n\n## [Unreleased]\n- `flowfuse.users` counts persons.\n\n## [0.1.0]\n- `flowfuse.devices`\n"
    left = [name.partition(" ")[0] for name in unannounced(NOW, after, said)]
    assert left == ["flowfuse.devices", "flowfuse.instances_by_state", "flowfuse.teams_by_type"]
