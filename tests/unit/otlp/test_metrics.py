"""Names, units and values over OTLP, with the SDK's own Prometheus exporter as the oracle."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import pytest
import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from ff_observe.catalogue import PLATFORM, SELF, process
from ff_observe.catalogue.model import Kind, Metric, Reading
from ff_observe.catalogue.names import otlp_name
from ff_observe.exposition.formats import Format
from ff_observe.generate import documents, semantic_conventions
from ff_observe.outputs.otlp.answers import TakenInPart
from ff_observe.outputs.otlp.exporters import Exporting
from ff_observe.outputs.otlp.metrics import MetricsExport, Readings
from ff_observe.outputs.prometheus import render
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import Installation
from ff_observe.version import VERSION
from tests import openmetrics_2

EVERY = (*PLATFORM, *SELF)
ODD_LABELS = ("Team  PRO", 'with "quotes", a \\ and a\nline break', "größer", "half of a pair: \ud800", "none")

Families = dict[str, tuple[str, str, dict[tuple[tuple[str, str], ...], float]]]
"""By name: type, help, and value by sorted labels."""


def a_reading(metric: Metric, number: int) -> Reading:
    """Values that occur but once."""
    if not metric.labels:
        return {(): number + 0.5 if number % 2 else number}
    return {(text,) * len(metric.labels): number + place / 10 for place, text in enumerate(ODD_LABELS, 1)}


READINGS: Readings = {metric.name: a_reading(metric, number) for number, metric in enumerate(EVERY, 1)}


class Kept(MetricExporter):
    """Keeps what it is to export."""

    def __init__(self, temporality: AggregationTemporality = AggregationTemporality.CUMULATIVE) -> None:
        super().__init__(preferred_temporality={ObservableCounter: temporality})
        self.last: MetricsData | None = None
        self.problem: str | None = None

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object) -> MetricExportResult:
        self.last = metrics_data
        return MetricExportResult.SUCCESS if self.problem is None else MetricExportResult.FAILURE

    def metrics(self) -> list[Any]:
        """Those of the last export."""
        assert self.last is not None
        [scope] = self.last.resource_metrics[0].scope_metrics
        return list(scope.metrics)

    def exporting(self) -> Exporting:
        return Exporting(self, lambda: None, lambda: self.problem)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        pass


def translated(*moments: Readings, platform_id: str | None = None) -> Families:
    """What OpenTelemetry's own translation to Prometheus makes of our last export."""
    exporter = Kept()
    export = MetricsExport(EVERY, Resource({}), exporter.exporting())
    for moment in moments:
        assert export.export(moment, platform_id)
    export.close()
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    assert exporter.last is not None
    last = exporter.last
    reader._collector._callback = lambda: reader._receive_metrics(last)  # type: ignore[assignment]  # as the SDK does
    found = families(generate_latest(registry).decode())
    reader.shutdown()
    return found


def families(text: str) -> Families:
    return {
        family.name: (
            family.type,
            family.documentation,
            {tuple(sorted(sample.labels.items())): sample.value for sample in family.samples},
        )
        for family in text_string_to_metric_families(text)
    }


def test_a_translation_to_prometheus_gives_the_exposition_of_our_endpoint() -> None:
    platform = {metric.name: READINGS[metric.name] for metric in PLATFORM}
    bridge = {metric.name: READINGS[metric.name] for metric in SELF}
    snapshot = Snapshot(datetime(2026, 11, 23, tzinfo=UTC), 0.01, True, Installation(), platform)
    ours = families(render(snapshot, bridge, Format.TEXT_0_0_4).decode())
    assert len(ours) == len(EVERY)
    assert translated(snapshot.readings_with(bridge)) == ours


def whole(metric: Metric) -> Reading:
    """What OpenMetrics can show too: an info is 1."""
    return dict.fromkeys(READINGS[metric.name], 1) if metric.kind is Kind.INFO else READINGS[metric.name]


@pytest.mark.parametrize("exposition_format", Format)
def test_a_snapshot_has_the_same_values_in_every_format_and_over_otlp(exposition_format: Format) -> None:
    platform, bridge = ({metric.name: whole(metric) for metric in of} for of in (PLATFORM, SELF))
    snapshot = Snapshot(datetime(2026, 11, 23, tzinfo=UTC), 0.01, True, Installation(), platform)
    text = render(snapshot, bridge, exposition_format).decode()
    parse = {Format.OPENMETRICS_1_0_0: parse_openmetrics, Format.OPENMETRICS_2_0_0: openmetrics_2.families}.get(
        exposition_format, text_string_to_metric_families
    )
    shown = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    exported = translated(snapshot.readings_with(bridge)).values()
    values = sorted(value for _, _, samples in exported for value in samples.values())
    assert sorted(shown.values()) == values
    assert len(shown) == sum(len(reading) for reading in (*platform.values(), *bridge.values()))


def test_a_label_value_and_a_metric_that_vanished_are_not_exported_again() -> None:
    [users, teams_by_type] = ["flowfuse_users", "flowfuse_teams_by_type"]
    found = translated(
        {users: {(): 9}, teams_by_type: {("starter",): 1, ("team",): 2}},
        {teams_by_type: {("team",): 3}},
    )
    assert {name: samples for name, (_, _, samples) in found.items()} == {
        teams_by_type: {(("team_type", "team"),): 3.0},
    }


FIRST_ENTRY, RESTORED = datetime(2024, 2, 3, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
PROCESS_BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


def counters_sent(
    temporality: AggregationTemporality, *logs: tuple[int, datetime]
) -> list[dict[str, tuple[int, float]]]:
    """For each reading of an audit log (entries, when it began): start in seconds, and value, of each counter."""
    exporter = Kept(temporality)
    counted: Readings = {"ff_observe_pings_total": {("delivered",): 3}}
    export = MetricsExport((*EVERY, process.START), Resource({}), exporter.exporting(), counted)
    sent = []
    for number, (entries, since) in enumerate(logs):
        platform: Readings = {"flowfuse_sign_ins_total": {("failure",): entries}}
        own: Readings = {"ff_observe_pings_total": {("delivered",): 4 + number}}
        began: Readings = {process.START.name: {(): PROCESS_BEGAN.timestamp()}}
        snapshot = Snapshot(since, 0.01, True, Installation(), platform, counted_since=since)
        readings = snapshot.readings_with({**own, **began})
        export.export(readings, None, snapshot.counters_began(readings))
        sent.append(
            {
                each.name: (each.data.data_points[0].start_time_unix_nano // 10**9, each.data.data_points[0].value)
                for each in exporter.metrics()
                if isinstance(each.data, Sum)
            }
        )
    export.close()
    return sent


def test_a_counter_begins_with_the_audit_log_or_the_process_whenever_its_export_began() -> None:
    [sent] = counters_sent(AggregationTemporality.CUMULATIVE, (70, FIRST_ENTRY))
    assert sent == {
        "flowfuse.sign_ins": (FIRST_ENTRY.timestamp(), 70),
        "ff_observe.pings": (PROCESS_BEGAN.timestamp(), 4),
    }


@pytest.mark.parametrize(
    ("first_entry", "is_told"),
    [
        (RESTORED, True),
        (datetime(1970, 1, 1, tzinfo=UTC), True),
        (datetime(1969, 12, 31, tzinfo=UTC), False),
        (datetime(2600, 1, 1, tzinfo=UTC), False),
        (datetime.max.replace(tzinfo=UTC), False),
    ],
)
def test_a_counter_has_no_beginning_that_otlp_cannot_carry(first_entry: datetime, is_told: bool) -> None:
    """A time there is unsigned, in nanoseconds."""
    snapshot = Snapshot(PROCESS_BEGAN, 0.01, True, Installation(), READINGS, counted_since=first_entry)
    exporter = Kept()
    export = MetricsExport(EVERY, Resource({}), exporter.exporting())
    began = snapshot.counters_began({})
    export.export(snapshot.readings, None, began)
    starts = [point.start_time_unix_nano for each in exporter.metrics() for point in each.data.data_points]
    export.close()
    assert [NumberDataPoint(start_time_unix_nano=start) for start in starts if start is not None]
    assert (began.get("flowfuse_sign_ins_total") == first_entry.timestamp()) is is_told


def test_as_a_difference_a_counter_does_not_show_what_happened_before_the_first_export() -> None:
    logs = (70, FIRST_ENTRY), (73, FIRST_ENTRY), (50, RESTORED), (51, RESTORED)
    sent = counters_sent(AggregationTemporality.DELTA, *logs)
    assert [each["flowfuse.sign_ins"][1] for each in sent] == [0, 3, 0, 1]
    assert [each["ff_observe.pings"][1] for each in sent] == [1, 1, 1, 1]


def differences_of_sign_ins(*moments: tuple[int, datetime | None], problem: str | None = None) -> list[float]:
    """What is sent for each reading (entries, when the audit log began); every export but the first has `problem`."""
    exporter = Kept(AggregationTemporality.DELTA)
    export = MetricsExport(EVERY, Resource({}), exporter.exporting())
    sent = []
    for entries, since in moments:
        began = {} if since is None else {"flowfuse_sign_ins_total": since.timestamp()}
        export.export({"flowfuse_sign_ins_total": {("failure",): entries}}, None, began)
        [sign_ins] = exporter.metrics()
        sent += [point.value for point in sign_ins.data.data_points]
        exporter.problem = problem
    export.close()
    return sent


def test_a_difference_is_whole_where_it_is_not_known_for_a_moment_when_its_counter_began() -> None:
    """As of the process, where no more files can be opened, of which one says it."""
    moments = (70, FIRST_ENTRY), (73, None), (78, FIRST_ENTRY), (50, RESTORED), (51, None)
    assert differences_of_sign_ins(*moments) == [0, 3, 5, 0, 1]


@pytest.mark.parametrize(("problem", "after_it"), [(None, [1, 3]), ("it did not answer in time", [1, 4])])
def test_a_counter_from_which_something_was_deleted_has_no_difference_below_0(
    problem: str | None, after_it: list[float]
) -> None:
    moments = [(entries, FIRST_ENTRY) for entries in (70, 60, 61, 64)]
    assert differences_of_sign_ins(*moments, problem=problem) == [0, 0, *after_it]


@pytest.mark.parametrize(
    ("entries", "problem", "differences"),
    [
        (None, None, [0, 8]),
        (73, "it did not answer in time", [0, 3, 8]),
        (73, TakenInPart("it rejected 1 of what was sent"), [0, 3, 5]),
    ],
)
def test_a_difference_begins_with_the_last_one_that_was_taken(
    entries: int | None, problem: str | None, differences: list[int]
) -> None:
    exporter = Kept(AggregationTemporality.DELTA)
    export = MetricsExport(EVERY, Resource({}), exporter.exporting())
    sent: list[tuple[int, int, float]] = []
    for counted, exporter.problem in ((70, None), (entries, problem), (78, None)):
        readings: dict[str, Reading] = {"flowfuse_users": {(): 1}}
        if counted is not None:
            readings["flowfuse_sign_ins_total"] = {("failure",): counted}
        delivered = export.export(readings, None, {"flowfuse_sign_ins_total": FIRST_ENTRY.timestamp()})
        assert delivered is (exporter.problem is None)
        sent += [
            (point.start_time_unix_nano, point.time_unix_nano, point.value)
            for each in exporter.metrics()
            for point in each.data.data_points
            if isinstance(each.data, Sum)
        ]
    export.close()
    assert [value for *_, value in sent] == differences
    last_taken = sent[-3 if type(problem) is str else -2]
    assert sent[-1][0] == last_taken[1]  # without a gap


def test_where_counters_are_differences_gauges_of_before_the_start_are_whole() -> None:
    exporter = Kept(AggregationTemporality.DELTA)
    readings: Readings = {"ff_observe_ping_leader": {(): 1}}
    export = MetricsExport(EVERY, Resource({}), exporter.exporting(), readings)
    assert export.export(readings)
    export.close()
    assert [each.data.data_points[0].value for each in exporter.metrics()] == [1]


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_an_otlp_name_is_dotted_and_legal(metric: Metric) -> None:
    name = otlp_name(metric)
    assert name.startswith(("flowfuse.", "ff_observe.", "process."))
    assert metric.kind in (Kind.GAUGE, Kind.COUNTER, Kind.INFO)  # as MetricsExport has it
    meter = MeterProvider(metric_readers=[InMemoryMetricReader()], shutdown_on_exit=False).get_meter("test")
    meter.create_observable_gauge(name, [lambda _: []], metric.unit)  # raises or warns for an illegal name or unit


def test_the_registry_of_semantic_conventions_describes_what_is_exported() -> None:
    groups = yaml.safe_load(semantic_conventions.registry())["groups"]
    described = {
        (group["metric_name"], group["unit"]): ({each["ref"] for each in group["attributes"]}, group["instrument"])
        for group in groups
        if group["type"] == "metric"
    }
    assert {ref for refs, _ in described.values() for ref in refs} == {each["id"] for each in groups[0]["attributes"]}
    exporter = Kept()
    export = MetricsExport(EVERY, Resource({}), exporter.exporting())
    assert export.export(READINGS, platform_id="a")
    export.close()
    assert exporter.last is not None
    exported = {}
    for resource in exporter.last.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = "counter" if isinstance(metric.data, Sum) else "gauge"
                keys = {key for point in metric.data.data_points for key in point.attributes or ()}
                exported[metric.name, metric.unit] = keys, kind
    assert described == exported


def of(properties: dict[str, object], optional: tuple[str, ...] = ()) -> dict[str, object]:
    """JSON Schema of an object with no other properties."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


TEXT, STABILITY = {"type": "string", "minLength": 1}, {"enum": ["stable", "development", "alpha", "beta"]}
GROUPS: dict[str, dict[str, object]] = {
    "attribute_group": {
        "attributes": {
            "type": "array",
            "items": of(
                {
                    "id": TEXT,
                    "type": {"const": "string"},
                    "stability": STABILITY,
                    "brief": TEXT,
                    "examples": {"type": "array", "items": TEXT, "minItems": 1},
                }
            ),
        }
    },
    "metric": {
        "metric_name": TEXT,
        "stability": STABILITY,
        "note": TEXT,
        "unit": {"type": "string"},
        "instrument": {"enum": ["counter", "gauge", "histogram", "updowncounter"]},
        "attributes": {
            "type": "array",
            "items": of({"ref": TEXT, "requirement_level": {"enum": ["required", "recommended", "opt_in"]}}),
        },
    },
}
"""What Weaver (schemas/semconv.schema.json and crates/weaver_semconv in its repository) asks of the groups we have."""


def test_the_registry_is_what_weaver_reads() -> None:
    groups = yaml.safe_load(semantic_conventions.registry())["groups"]
    for group in groups:
        schema = of({"id": TEXT, "type": TEXT, "brief": TEXT, **GROUPS[group["type"]]})
        jsonschema_rs.Draft202012Validator(schema).validate(group)
    assert len({group["id"] for group in groups}) == len(groups)


def test_weaver_identifies_the_registry_by_a_url_whose_path_ends_with_the_version() -> None:
    manifest = yaml.safe_load(semantic_conventions.manifest())
    assert set(manifest) <= {"schema_url", "description", "dependencies", "stability"}
    url = urlsplit(manifest["schema_url"])
    assert url.scheme in ("http", "https")
    assert url.port is None  # raises for a name with a colon, as an URN has
    assert url.path.rpartition("/")[2] == VERSION
    assert "docs/semantic-conventions/manifest.yaml" in documents.DOCUMENTS
