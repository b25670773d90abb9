"""A recorded platform over OTLP into a real receiver of another maker (rotel): out comes what `/metrics` says."""

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ff_observe.catalogue import PLATFORM, PROCESS, SELF
from ff_observe.catalogue.bridge import OTLP_EXPORTS, OUTPUT_DELIVERED, PING_NEXT, SNAPSHOT_TIMESTAMP
from ff_observe.catalogue.names import otlp_name
from ff_observe.version import VERSION
from tests import recordings
from tests.end_to_end import otlp_bridge
from tests.real_parts.otlp import Receiver, points, receiver
from tests.real_parts.processes import wait_until

LICENSED = [case.name for case in recordings.cases() if "-dev" in case.name]
NAMESPACE = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")  # semantic conventions, service.instance.id
MOVING = {OTLP_EXPORTS.name, *(metric.name for metric in PROCESS)}
"""Never the same twice: memory, and the export that is under way itself."""


@pytest.fixture(scope="module")
def rotel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiver(Path(tmp_path_factory.mktemp("rotel"))) as started:
        yield started


@pytest.fixture(params=["http/protobuf", "grpc"])
def told(request: pytest.FixtureRequest, rotel: Receiver) -> dict[str, object]:
    """The keys under `telemetry.backend.otlp`."""
    rotel.sink.received.clear()
    protocol = str(request.param)
    endpoint = rotel.grpc_url if protocol == "grpc" else rotel.http_url
    return {"endpoint": endpoint, "protocol": protocol, "interval": 1, "compression": "gzip"}


@pytest.mark.parametrize("name", LICENSED)
def test_all_counts_arrive_with_the_values_units_and_names_of_the_endpoint(
    name: str, rotel: Receiver, told: dict[str, object], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    case = otlp_bridge.case(name)
    if case.is_postgresql:
        section = otlp_bridge.postgresql(request.getfixturevalue("postgres"), name)
    else:
        section = otlp_bridge.sqlite(name)
    settings = otlp_bridge.settings(tmp_path, section, told, more=otlp_bridge.licence(name))
    with otlp_bridge.running(settings) as bridge:
        # The first export may be ahead of the parts that start after it, and tells of no delivery yet.
        late = {otlp_name(PING_NEXT), otlp_name(OUTPUT_DELIVERED)}
        wait_until(lambda: late <= set(rotel.sink.metrics()), "an export of a bridge that has delivered one")

        def of_one_snapshot() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]] | None:
            arrived, resource, scraped = rotel.sink.metrics(), rotel.sink.resource(), otlp_bridge.scrape(bridge)
            names = {otlp_name(metric) for metric in (*PLATFORM, *SELF) if metric.name in scraped}
            if names != set(arrived):
                return None
            same = points(arrived[otlp_name(SNAPSHOT_TIMESTAMP)]) == scraped[SNAPSHOT_TIMESTAMP.name]
            return (arrived, resource, scraped) if same else None

        # On a busy machine dear counts are left to the next reading, and the audit log is still being counted; what
        # the bridge of the test before exported at its end arrives from rotel only now.
        arrived, resource, scraped = wait_until(of_one_snapshot, "an export that has what is scraped, and nothing else")

    expected = {metric.name: metric for metric in (*PLATFORM, *SELF) if metric.name in scraped}
    assert "flowfuse_license_limit" in scraped
    assert case.stats is not None
    assert list(scraped["flowfuse_users"].values()) == [case.stats["userCount"]]  # as that platform itself said
    for metric in expected.values():
        found = arrived[otlp_name(metric)]
        assert found.get("unit", "") == metric.unit
        assert found["description"] == metric.help
        if metric.name not in MOVING:
            assert points(found) == scraped[metric.name], metric.name

    assert resource["service.name"] == "ff-observe"
    assert resource["service.version"] == VERSION
    assert resource["deployment.environment.name"] == "staging"
    platform_id = otlp_bridge.instance_id(name)
    assert resource["service.instance.id"] == str(uuid.uuid5(NAMESPACE, platform_id))
    assert platform_id not in str(resource)


def test_a_snapshot_is_traced_down_to_its_statements_and_its_log_lines_belong_to_it(
    rotel: Receiver, told: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)  # as `ff-observe run` has it
    settings = otlp_bridge.settings(
        tmp_path, otlp_bridge.sqlite("v2.4.0-sqlite-ce"), {**told, "traces": "true", "logs": "true"}
    )
    with otlp_bridge.running(settings) as bridge:
        wait_until(lambda: bridge.snapshots.instance_id, "the first snapshot")
        otlp_bridge.scrape(bridge)
    spans = wait_until(rotel.sink.spans, "spans")
    logs = wait_until(rotel.sink.logs, "logs")

    by_id = {span["spanId"]: span for span in spans}
    counts = next(span for span in spans if span["name"] == "SELECT counts")
    attributes = {each["key"]: each["value"].get("stringValue") for each in counts["attributes"]}
    assert attributes == {
        "db.system.name": "sqlite",
        "db.operation.name": "SELECT",
        "db.query.summary": "SELECT counts",
    }
    assert counts["kind"] == "SPAN_KIND_CLIENT"
    assert int(counts["endTimeUnixNano"]) > int(counts["startTimeUnixNano"])
    snapshot = by_id[counts["parentSpanId"]]
    assert snapshot["name"] == "snapshot"
    assert by_id[snapshot["parentSpanId"]]["name"] in ("export metrics", "GET /metrics")
    assert any(span["name"] == "GET /metrics" for span in spans)
    lacking = [record for record in logs if "has no table" in record["body"]["stringValue"]]
    assert lacking
    assert {record["traceId"] for record in lacking} == {snapshot["traceId"]}
    assert rotel.sink.resource_of("/v1/traces")["service.instance.id"] == str(
        uuid.uuid5(NAMESPACE, otlp_bridge.instance_id("v2.4.0-sqlite-ce"))
    )
