"""What Cloudflare's pint and Grafana's dashboard-linter check of rules and dashboards, without a server.

pint, here: alerts/comparison, alerts/template, promql/fragile, promql/rate, promql/regexp, rule/duplicate.
Elsewhere in the tests: alerts/annotation, alerts/for, rule/label, rule/link, rule/name, promql/counter, promql/series
(against the catalogue) in test_dashboards_rules; promql/syntax and alerts/template's syntax by promtool;
promql/vector_matching and promql/impossible by the case in which each alert fires; alerts/absent: each has `for`.
Not: alerts/count, promql/range_query, query/cost, labels/conflict, rule/dependency, alerts/external_labels (they ask a
running Prometheus of the operator); rule/owner, rule/reject, promql/aggregate (they enforce a company's conventions).

dashboard-linter, here: panel-no-targets, template-on-time-change-reload. In test_dashboards: template-datasource,
template-job, template-instance, template-label-promql, panel-datasource, panel-title-description, panel-units,
target-promql, target-rate-interval, target-job, target-instance, uneditable-dashboard. Not: target-logql (there are no
logs), target-counter-agg (panels about bridges show each on purpose).
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest

from tests.dashboards import DASHBOARDS, alerts, dashboard, panels, rules
from tests.promql import parsed, walked

COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
SLOWEST_SCRAPE_SECONDS = 30


def no_comparison(expression: str) -> bool:
    """alerts/comparison: an expression that any value satisfies fires for as long as there are series."""
    ops = {str(node.op) for node in walked(parsed(expression)) if isinstance(node, promql_parser.BinaryExpr)}
    return not ops & (COMPARISONS | {"unless"})


def scalar(node: Any) -> bool:
    return isinstance(node, promql_parser.NumberLiteral) or (
        isinstance(node, promql_parser.Call) and node.func.name in ("time", "scalar", "pi")
    )


def labels_of(node: Any) -> set[str] | None:
    """The labels that the result can have; None where they are those of the series."""
    if isinstance(node, promql_parser.AggregateExpr):
        if node.modifier is None:
            return set()
        return set(node.modifier.labels) if node.modifier.type == promql_parser.AggModifierType.By else None
    if isinstance(node, promql_parser.BinaryExpr):
        left = labels_of(node.rhs if scalar(node.lhs) else node.lhs)
        if str(node.op) == "or":
            right = labels_of(node.rhs)
            return None if left is None or right is None else left | right
        extra = (
            set(node.modifier.group_labels or ()) if node.modifier and hasattr(node.modifier, "group_labels") else set()
        )
        return None if left is None else left | extra
    if isinstance(node, promql_parser.Call):
        vectors = [argument for argument in node.args if not isinstance(argument, promql_parser.StringLiteral)]
        inner = labels_of(vectors[0]) if vectors else set()
        named = {"label_replace", "label_join"} & {node.func.name}
        return inner if inner is None or not named else inner | {node.args[1].val}
    inner_node = getattr(node, "expr", None)
    return labels_of(inner_node) if inner_node is not None else None


def lost_labels(alert: dict[str, Any]) -> set[str]:
    """alerts/template: labels that the words name and the expression has aggregated away."""
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    there = labels_of(parsed(alert["expr"]))
    return set() if there is None else named - there


def short_ranges(expression: str) -> list[float]:
    """promql/rate: a range with fewer than two samples, one scrape having failed, shows nothing."""
    ranges = [node.range for node in walked(parsed(expression)) if isinstance(node, promql_parser.MatrixSelector)]
    return [each.total_seconds() for each in ranges if each.total_seconds() < 4 * SLOWEST_SCRAPE_SECONDS]


def needless_patterns(expression: str) -> Iterator[str]:
    """promql/regexp: a pattern without a special character is a slower `=`; anchors are implied."""
    for node in walked(parsed(expression)):
        if isinstance(node, promql_parser.VectorSelector):
            for matcher in node.matchers.matchers:
                if matcher.op in (promql_parser.MatchOp.Re, promql_parser.MatchOp.NotRe):
                    re.compile(matcher.value)
                    if not re.search(r"[.*+?|()\[\]{}\\]", matcher.value) or re.search(r"^\^|\$$", matcher.value):
                        yield matcher.value


def fragile(expression: str) -> list[str]:
    """promql/fragile: `topk` and its like alert on series that change places, `without` joins on labels to come."""
    aggregates = [node for node in walked(parsed(expression)) if isinstance(node, promql_parser.AggregateExpr)]
    return [
        str(node.op)
        for node in aggregates
        if str(node.op) in ("topk", "bottomk", "limitk", "limit_ratio")
        or (node.modifier is not None and node.modifier.type == promql_parser.AggModifierType.Without)
    ]


def test_the_rules_hold() -> None:
    for alert in alerts():
        assert not no_comparison(alert["expr"]), alert["alert"]
        assert lost_labels(alert) == set(), alert["alert"]
        assert fragile(alert["expr"]) == [], alert["alert"]
    for rule in rules():
        name = rule.get("alert") or rule["record"]
        assert short_ranges(rule["expr"]) == [], name
        assert list(needless_patterns(rule["expr"])) == [], name


def test_no_rule_stands_twice() -> None:
    """rule/duplicate"""
    seen = Counter((rule.get("alert") or rule["record"], str(rule.get("labels")), rule["expr"]) for rule in rules())
    assert [rule for rule, times in seen.items() if times > 1] == []


def test_what_breaks_a_rule_is_noticed() -> None:
    assert no_comparison("sum by (job) (up)")
    assert not no_comparison("a unless b")
    words = {"annotations": {"summary": "{{ $labels.job }} {{ $labels.pod }}"}}
    assert lost_labels({**words, "expr": "sum by (job) (up) > 0"}) == {"pod"}
    assert lost_labels({**words, "expr": "sum(up) == 0 or up"}) == set()
    assert lost_labels({**words, "expr": 'label_replace(sum by (job) (up), "pod", "x", "job", ".*") == 0'}) == set()
    assert short_ranges("rate(a_total[1m]) > 0") == [60.0]
    assert list(needless_patterns('up{a=~"b", c=~"^d.*", e=~"f|g", h="i"}')) == ["b", "^d.*"]
    assert lost_labels({**words, "expr": "time() - up > 0"}) == set()
    assert fragile("topk(3, up) > 0") == ["topk"]
    assert fragile("sum without (pod) (up) > 0") == ["sum"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_asks_anew_when_the_time_changes_and_each_panel_asks(path: Any) -> None:
    for variable in dashboard(path)["templating"]["list"]:
        if variable["type"] == "query":
            assert variable["refresh"] == 2, "template-on-time-change-reload"
    for panel in panels(path):
        assert panel["type"] == "text" or panel["targets"], "panel-no-targets"
