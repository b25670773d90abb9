"""PromQL taken apart by a parser of another maker (`promql-parser`): the selectors of an expression."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser

_INTERVALS = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}
_NESTED = ("lhs", "rhs", "expr", "param", "vector_selector")


@dataclass(frozen=True)
class Selector:
    """The names a selector chooses from, and its other matchers as `label` → `value`."""

    names: tuple[str, ...]
    matchers: dict[str, str]


def with_intervals(expression: str) -> str:
    """The expression with Grafana's variables of time replaced by durations."""
    for variable, duration in _INTERVALS.items():
        expression = expression.replace(variable, duration)
    return expression


def parsed(expression: str) -> Any:
    """The expression as a tree. Raises `ValueError` where it is not PromQL."""
    return promql_parser.parse(with_intervals(expression))


def walked(node: Any) -> Iterator[Any]:
    """Every node of a tree, the outermost first."""
    yield node
    for attribute in _NESTED:
        inner = getattr(node, attribute, None)
        if inner is not None and not isinstance(inner, str | int | float):
            yield from walked(inner)
    if isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from walked(argument)


def selectors(expression: str) -> list[Selector]:
    """Every selector. Raises `ValueError` where the expression is not PromQL."""
    found = []
    for node in walked(parsed(expression)):
        if isinstance(node, promql_parser.VectorSelector):
            matchers = {matcher.name: matcher.value for matcher in node.matchers.matchers}
            name = node.name or matchers.pop("__name__")
            found.append(Selector(tuple(re.split(r"\|", name)), matchers))
    return found
