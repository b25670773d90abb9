"""A walk over every declaration of the catalogue: legal by the rules of Prometheus and OpenTelemetry, and reachable."""

import re
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from ff_observe.catalogue import BRIDGE, COLLECTOR, COUNTS, FLEET, METRICS, PLATFORM, SELF
from ff_observe.catalogue.audit import AUDIT_EVENTS
from ff_observe.catalogue.counts import REPORTED
from ff_observe.catalogue.model import LABELS, Count, Kind, Metric, Sensitivity, in_text, ping_fields
from ff_observe.catalogue.names import otlp_name
from ff_observe.catalogue.ping_contract import COUNT_FIELDS, FIELDS
from ff_observe.catalogue.ping_field import Bound
from ff_observe.catalogue.questions import MostFrequent, Rows, RowsBy, RowsByAge, RowsByCase, RowsWhere
from ff_observe.platform.sources.conditions import needed_columns
from ff_observe.platform.sources.own_statements import is_own
from ff_observe.platform.sources.schema import TABLES
from ff_observe.version import VERSION
from tests import recordings

OVER_OTLP = (*PLATFORM, *SELF)

# Prometheus, "Metric and label naming" and "Writing exporters"; OpenMetrics 1.0, "Suffixes".
RESERVED_SUFFIXES = ("_total", "_count", "_sum", "_bucket", "_created", "_gcount", "_gsum")
TAKEN_LABELS = {"le", "quantile", "job", "instance", "type", "environment", "platform", "platform_id", "target"}
OTHER_THAN_BASE_UNITS = re.compile(
    r"_(milliseconds|ms|minutes|hours|days|weeks|kilobytes|kb|megabytes|mb|percent|percentage)(_|$)"
)

LEFT_OUT = "in its entry in ff_observe/catalogue/, name, title, help and unit follow in this order; is one left out?"

each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
each_count = pytest.mark.parametrize("count", COUNTS, ids=lambda count: count.name)


def test_names_are_unique_on_every_output() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert len({otlp_name(metric) for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize(
    ("metrics", "begin"),
    [
        (PLATFORM, "flowfuse"),
        (BRIDGE, "ff_observe"),
        (COLLECTOR, "ff_observe_collector"),
        (FLEET, "flowfuse_fleet"),
    ],
)
def test_a_name_begins_with_what_the_metric_is_true_of(metrics: tuple[Metric, ...], begin: str) -> None:
    assert [metric.name for metric in metrics if not re.fullmatch(rf"{begin}(_[a-z]+)+", metric.name)] == []


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
    assert metric.unit in ("", "s", "By") or re.fullmatch(r"\{[a-z]+\}", metric.unit), f"{metric.name}: {LEFT_OUT}"
    assert metric.unit or not isinstance(metric, Count), f"{metric.name}: {LEFT_OUT}"


@each_metric
def test_labels_are_legal_and_clash_with_nothing_that_prometheus_adds(metric: Metric) -> None:
    assert len(set(metric.labels)) == len(metric.labels)
    for label in metric.labels:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", label)
        assert label not in TAKEN_LABELS


@each_metric
def test_help_is_a_sentence_in_one_line(metric: Metric) -> None:
    assert metric.help.endswith("."), f"{metric.name}: {LEFT_OUT}"
    assert metric.help == " ".join(metric.help.split())


def test_titles_are_short_and_unique() -> None:
    titles = [metric.title for metric in METRICS]
    assert len({title.casefold() for title in titles}) == len(titles)
    for title in (*titles, *(title for metric in METRICS for title in metric.value_titles.values())):
        assert re.fullmatch(r"[A-Z][A-Za-z0-9' -]{2,29}", title), f"{title}: {LEFT_OUT}"


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Users", "users"),
        ("Set-up", "set-up"),
        ("Platform's database", "platform's database"),
        ("MQTT brokers", "MQTT brokers"),
        ("FlowFuse versions", "FlowFuse versions"),
        ("OTLP exports", "OTLP exports"),
    ],
)
def test_a_title_within_a_sentence_is_in_lower_case_but_for_names(title: str, words: str) -> None:
    assert in_text(title) == words


@each_metric
def test_a_metric_is_not_newer_than_this_version(metric: Metric) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", metric.since)
    assert tuple(map(int, metric.since.split("."))) <= tuple(map(int, VERSION.split(".")))


@pytest.mark.parametrize(
    ("labels", "sensitivity"),
    [
        (("version", "driver"), Sensitivity.VERSION),
        (("version", "license_id"), Sensitivity.IDENTIFIER),
        (("resource", "rank"), Sensitivity.COUNT),
        (("state",), Sensitivity.OPERATIONAL),
        ((), Sensitivity.OPERATIONAL),
    ],
)
def test_the_most_telling_label_decides_how_sensitive_a_metric_is(
    labels: tuple[str, ...], sensitivity: Sensitivity
) -> None:
    assert Metric("flowfuse_things", "Things", "Things.", labels=labels).sensitivity is sensitivity


@pytest.mark.parametrize(
    ("name", "unit", "kind", "sensitivity"),
    [
        ("flowfuse_things", "{thing}", Kind.GAUGE, Sensitivity.COUNT),
        ("ff_observe_things", "{thing}", Kind.GAUGE, Sensitivity.OPERATIONAL),
        ("flowfuse_things_total", "{thing}", Kind.COUNTER, Sensitivity.OPERATIONAL),
        ("flowfuse_things_bytes", "By", Kind.GAUGE, Sensitivity.OPERATIONAL),
    ],
)
def test_without_such_a_label_only_numbers_of_the_platforms_things_are_counts(
    name: str, unit: str, kind: Kind, sensitivity: Sensitivity
) -> None:
    assert Metric(name, "Things", "Things.", unit, kind=kind).sensitivity is sensitivity


def test_what_each_label_discloses_is_declared() -> None:
    labels = {label for metric in METRICS for label in metric.labels}
    assert labels - LABELS.keys() == set(), "ff_observe/catalogue/model.py: say in LABELS what its values disclose"
    assert LABELS.keys() - labels == set(), "ff_observe/catalogue/model.py: LABELS has it, and no metric"


@each_metric
def test_titles_of_values_are_of_values_that_exist(metric: Metric) -> None:
    if metric.value_titles and metric.label_values:
        assert set(metric.value_titles) == set(metric.label_values)
    if isinstance(metric, Count) and isinstance(metric.of, RowsByAge):
        buckets = (*(bucket.name for bucket in metric.of.buckets), metric.of.older, metric.of.never)
        assert tuple(metric.value_titles) == buckets


@each_metric
def test_values_known_from_the_start_belong_to_one_label(metric: Metric) -> None:
    assert not metric.label_values or len(metric.labels) == 1
    assert len(set(metric.label_values)) == len(metric.label_values)
    if metric.kind is Kind.COUNTER and metric.labels and metric is not AUDIT_EVENTS:  # two hundred at 0 say nothing
        assert metric.label_values, "a counter exists at 0 from the start"


@each_count
def test_a_count_has_as_many_labels_as_its_question_gives(count: Count) -> None:
    match count.of:
        case Rows(table) | RowsWhere(table, _):
            assert (table != "", count.labels) == (True, ())
        case RowsBy(table) | RowsByAge(table) | RowsByCase(table):
            assert (table != "", len(count.labels)) == (True, 1)
        case MostFrequent(table, cases=cases):
            assert (table != "", len(count.labels)) == (True, 1 if cases is None else 2)


@each_count
def test_the_tables_and_columns_of_a_count_are_in_the_schema(count: Count) -> None:
    where = "ff_observe/platform/sources/schema.py: add it, with FlowFuse's name, to TABLES"
    try:
        needed = [] if is_own(count.of) else [TABLES[count.of.table], *needed_columns(count.of)]
    except KeyError as error:
        pytest.fail(f"{count.name} needs {error}: {where}")
    assert needed or is_own(count.of)


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
        assert (field.title == "") == (field.label_value is None), "a part of a count has a title of its own"
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


def test_the_contract_has_nothing_that_no_real_ping_has() -> None:
    """Whatever else is counted never enters the ping."""
    sent = {path for case in recordings.cases() if case.ping for path in leaves(case.ping)}
    assert [field.path for field in FIELDS if field.path not in sent] == []
    assert [count.name for count in COUNTS if count.ping and count not in REPORTED] == []


def test_the_way_over_opentelemetry_ends_at_the_same_prometheus_names() -> None:
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, registry=registry)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    meter = provider.get_meter("names")
    for metric in OVER_OTLP:

        def one(_: CallbackOptions, labels: tuple[str, ...] = metric.labels) -> list[Observation]:
            return [Observation(1, dict.fromkeys(labels, "x"))]

        make = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
        make(otlp_name(metric), [one], metric.unit, metric.help)
    translated = {sample.name for family in registry.collect() for sample in family.samples}
    provider.shutdown()
    assert translated == {metric.name for metric in OVER_OTLP}


@each_metric
def test_no_gauge_becomes_a_ratio(metric: Metric) -> None:
    """The Collector's translation follows the specification to the letter; the Python exporter above does not."""
    assert metric.unit != "1"


def test_each_field_of_the_ping_has_a_bound_in_public_sums_and_its_source() -> None:
    bounds = [ping_field.bound for _, ping_field in ping_fields(COUNTS)]
    assert all(isinstance(bound, Bound) and bound.source for bound in bounds)
    assert {str(bound.most).rstrip("0") for bound in bounds if bound} <= {"1", "2", "5"}, (
        "a group of sizes begins there"
    )
