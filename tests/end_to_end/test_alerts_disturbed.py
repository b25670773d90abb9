"""Every case of the rule tests once more, disturbed just before each look at the alerts: by one failed scrape, by a
restart of the target. Neither may raise an alert or end one. And where nothing was ever exposed, none fires."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ff_observe.catalogue.audit import AUDIT
from tests.alert_rules import Case, promtool_on, told_by_promtool
from tests.dashboards import RULE_TESTS, RULES
from tests.real_parts import prometheus

FINEST_SECONDS = 300
"""Cases over days are told by the hour; a scrape fails for minutes at most."""

Values = list[float | str]
"""A number, or `_` (no sample) or `stale`."""

Disturbance = Callable[[str, Values, int], Values]
"""From the selector of a series, its values, and the index of the look."""

pytestmark = prometheus.needed
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_REPEATED = re.compile(r"(?P<start>-?[\d.]+)?(?P<step>[+-][\d.]+)?(?P<gap>_)?x(?P<times>\d+)")


@dataclass(frozen=True)
class Look:
    """At one alert, at one moment: how many of it fire."""

    at_seconds: int
    alert: str
    firing: int


def seconds(duration: str) -> int:
    return sum(int(number) * _UNIT_SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


def expanded(notation: str) -> Values:
    """promtool's short notation, such as `1+2x3 _ stale`, written out."""
    values: Values = []
    for token in notation.split():
        repeated = _REPEATED.fullmatch(token)
        if repeated is None:
            values.append(token if token in ("_", "stale") else float(token))
        elif repeated["gap"]:
            values.extend(["_"] * int(repeated["times"]))
        else:
            start, step = float(repeated["start"]), float(repeated["step"] or 0)
            values.extend(start + step * index for index in range(int(repeated["times"]) + 1))
    return values


def lost(selector: str) -> float | str:
    """What Prometheus keeps of a failed scrape."""
    return 0.0 if selector.startswith("up{") else "stale"


def failed_scrape(selector: str, values: Values, look: int) -> Values:
    return [lost(selector) if index == look and value != "_" else value for index, value in enumerate(values)]


def restart(selector: str, values: Values, look: int) -> Values:
    """Two scrapes fail; counters begin anew, but for those of FlowFuse's audit log."""
    last = values[look - 1] if 0 < look <= len(values) else "_"
    name = selector.partition("{")[0]
    begins_anew = name.endswith("_total") and name not in {metric.name for metric in AUDIT}
    begun = last if isinstance(last, float) and begins_anew else 0.0
    after = list(values)
    for index, value in enumerate(values):
        if value != "_" and index in (look - 2, look - 1):
            after[index] = lost(selector)
        elif isinstance(value, float) and index >= look:
            after[index] = value - begun
    return after


def disturbed(disturb: Disturbance) -> Callable[[Case], Iterator[Case]]:
    """Makes a case of its own of each moment; over days, moments are too far apart to disturb one another."""

    def changed(case: Case) -> Iterator[Case]:
        interval = seconds(case["interval"])
        looks = [
            Look(seconds(check["eval_time"]), check["alertname"], len(check["exp_alerts"]))
            for check in case["alert_rule_test"]
        ]
        finer = max(1, interval // FINEST_SECONDS)
        moments = sorted({look.at_seconds for look in looks})
        for disturbed_at in [moments] if finer > 1 else [[moment] for moment in moments]:
            series = []
            for each in case["input_series"]:
                values = [value for value in expanded(str(each["values"])) for _ in range(finer)]
                for at_seconds in disturbed_at:
                    values = disturb(each["series"], values, at_seconds * finer // interval)
                series.append({"series": each["series"], "values": " ".join(map(str, values))})
            yield {
                "name": f"{case['name']} at {disturbed_at[0]} s",
                "interval": f"{interval // finer}s",
                "input_series": series,
                "promql_expr_test": [
                    _firing(look.alert, look.at_seconds, look.firing)
                    for look in looks
                    if look.at_seconds in disturbed_at
                ],
            }

    return changed


def _firing(alert: str, at_seconds: int, number: int) -> dict[str, Any]:
    expression = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)'
    return {"expr": expression, "eval_time": f"{at_seconds}s", "exp_samples": [{"labels": "{}", "value": number}]}


@pytest.mark.parametrize("disturb", [failed_scrape, restart], ids=["failed scrape", "restart"])
@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_no_disturbance_raises_or_ends_an_alert(path: Path, disturb: Disturbance, tmp_path: Path) -> None:
    assert told_by_promtool(path, tmp_path, disturbed(disturb)) == ""


def test_nothing_fires_where_nothing_was_exposed(tmp_path: Path) -> None:
    """A target that is up, and is none of ours."""
    case = {
        "interval": "1h",
        "input_series": [{"series": 'up{job="flowfuse", instance="bridge:10464"}', "values": "1x240"}],
        "promql_expr_test": [
            {"expr": "count(ALERTS) or vector(0)", "eval_time": at, "exp_samples": [{"labels": "{}", "value": 0}]}
            for at in ("1h", "10d")
        ],
    }
    test = {"rule_files": [str(path) for path in RULES], "evaluation_interval": "1h", "tests": [case]}
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(test), encoding="utf-8")
    assert promtool_on(str(file)) == ""


def test_a_disturbance_that_matters_is_noticed(tmp_path: Path) -> None:
    """Else the tests above would prove nothing."""

    def gone(selector: str, values: Values, look: int) -> Values:
        return ["_" if index > look - 200 else value for index, value in enumerate(values)]

    (path,) = (path for path in RULE_TESTS if path.stem == "flowfuse-platform")
    assert "got" in told_by_promtool(path, tmp_path, disturbed(gone))


def test_notation_is_written_out_as_promtool_does() -> None:
    assert expanded("1x2 _ 0+2x2 stale _x2 7") == [1, 1, 1, "_", 0, 2, 4, "stale", "_", "_", 7]
