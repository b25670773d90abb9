"""A walk over every declaration of the catalogue: legal by the rules of Prometheus and OpenTelemetry, and reachable."""

import re
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from ff_observe.catalogue import BRIDGE, COUNTS, PLATFORM
from ff_observe.catalogue.model import (
    Count,
    Kind,
    Metric,
    Rows,
    RowsBy,
    RowsByAge,
    RowsByName,
    RowsWhere,
    ping_fields,
)
from ff_observe.catalogue.names import otlp_name
from ff_observe.ping_contract import COUNT_FIELDS, FIELDS
from tests import recordings

ALL = (*PLATFORM, *BRIDGE)

# Prometheus, "Metric and label naming" and "Writing exporters"; OpenMetrics 1.0, "Suffixes".
RESERVED_SUFFIXES = ("_total", "_count", "_sum", "_bucket", "_created", "_gcount", "_gsum")
TAKEN_LABELS = {"le", "quantile", "job", "instance", "type", "environment"}
OTHER_THAN_BASE_UNITS = re.compile(
    r"_(milliseconds|ms|minutes|hours|days|weeks|kilobytes|kb|megabytes|mb|percent|percentage)(_|$)"
)

each_metric = pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
each_count = pytest.mark.parametrize("count", COUNTS, ids=lambda count: count.name)


def test_names_are_unique_on_every_output() -> None:
    assert len({metric.name for metric in ALL}) == len(ALL)
    assert len({otlp_name(metric) for metric in ALL}) == len(ALL)


@pytest.mark.parametrize("metric", PLATFORM, ids=lambda metric: metric.name)
def test_what_is_true_of_the_platform_is_called_flowfuse(metric: Metric) -> None:
    assert re.fullmatch(r"flowfuse(_[a-z]+)+", metric.name)


@pytest.mark.parametrize("metric", BRIDGE, ids=lambda metric: metric.name)
def test_what_is_true_of_the_bridge_is_called_ff_observe(metric: Metric) -> None:
    assert re.fullmatch(r"ff_observe(_[a-z]+)+", metric.name)


@each_metric
def test_suffix_and_type_belong_together(metric: Metric) -> None:
    if metric.kind is Kind.COUNTER:
        assert metric.name.endswith("_total")
    else:
        assert not metric.name.endswith(RESERVED_SUFFIXES)


@each_metric
def test_units_are_base_units_and_stand_in_the_name(metric: Metric) -> None:
    assert not OTHER_THAN_BASE_UNITS.search(metric.name)
    name = metric.name.removesuffix("_total")
    assert (metric.unit == "s") == name.endswith("_seconds")
    assert (metric.unit == "By") == name.endswith("_bytes")
    assert metric.unit in ("", "s", "By") or re.fullmatch(r"\{[a-z]+\}", metric.unit)


@each_metric
def test_labels_are_legal_and_clash_with_nothing_that_prometheus_adds(metric: Metric) -> None:
    assert len(set(metric.labels)) == len(metric.labels)
    for label in metric.labels:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", label)
        assert label not in TAKEN_LABELS


@each_metric
def test_help_is_a_sentence_in_one_line(metric: Metric) -> None:
    assert metric.help.endswith(".")
    assert metric.help == " ".join(metric.help.split())


@each_metric
def test_values_known_from_the_start_belong_to_one_label(metric: Metric) -> None:
    assert not metric.label_values or len(metric.labels) == 1
    assert len(set(metric.label_values)) == len(metric.label_values)
    if metric.kind is Kind.COUNTER and metric.labels:
        assert metric.label_values, "a counter exists at 0 from the start"


@each_count
def test_a_count_has_as_many_labels_as_its_question_gives(count: Count) -> None:
    match count.of:
        case Rows(table) | RowsWhere(table, _):
            assert (table != "", count.labels) == (True, ())
        case RowsBy(table) | RowsByName(table) | RowsByAge(table):
            assert (table != "", len(count.labels)) == (True, 1)


@each_count
def test_buckets_of_age_follow_each_other(count: Count) -> None:
    if isinstance(count.of, RowsByAge):
        limits = [bucket.under_seconds for bucket in count.of.buckets]
        assert limits == sorted(set(limits))
        names = [count.of.never, *(bucket.name for bucket in count.of.buckets), count.of.older]
        assert len(set(names)) == len(names)


@each_count
def test_a_part_of_a_count_in_the_ping_is_a_value_it_has(count: Count) -> None:
    for field in count.ping:
        match count.of:
            case RowsBy(expected=expected):
                assert field.label_value in expected
            case RowsByAge(never=never, older=older, buckets=buckets):
                assert field.label_value in {never, older, *(bucket.name for bucket in buckets)}
            case _:
                assert field.label_value is None


def test_every_ping_path_is_in_the_contract_once() -> None:
    paths = [("platform", "counts", *field.path) for _, field in ping_fields(COUNTS)]
    assert paths == [field.path for field in COUNT_FIELDS]
    assert len({field.path for field in FIELDS}) == len(FIELDS)
    for path in paths:
        assert not [longer for longer in paths if longer != path and longer[: len(path)] == path]


def leaves(value: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all values that are not objects, in order."""
    return [
        leaf
        for key, inner in value.items()
        for leaf in (leaves(inner, (*path, key)) if isinstance(inner, dict) else [(*path, key)])
    ]


@pytest.mark.parametrize("case", [case for case in recordings.cases() if case.ping], ids=lambda case: case.name)
def test_the_contract_has_the_fields_of_real_pings_in_their_order(case: recordings.Case) -> None:
    assert case.ping is not None
    sent = leaves(case.ping)
    assert [field.path for field in FIELDS if field.path in sent] == sent


def test_the_way_over_opentelemetry_ends_at_the_same_prometheus_names() -> None:
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, registry=registry)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    meter = provider.get_meter("names")
    for metric in ALL:

        def one(_: CallbackOptions, labels: tuple[str, ...] = metric.labels) -> list[Observation]:
            return [Observation(1, dict.fromkeys(labels, "x"))]

        make = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
        make(otlp_name(metric), [one], metric.unit, metric.help)
    translated = {sample.name for family in registry.collect() for sample in family.samples}
    provider.shutdown()
    assert translated == {metric.name for metric in ALL}


@each_metric
def test_no_gauge_becomes_a_ratio(metric: Metric) -> None:
    """The Collector's translation follows the specification to the letter; the Python exporter above does not."""
    assert metric.unit != "1"
