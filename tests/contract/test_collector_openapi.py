"""The published description of the collector's HTTP interface: current, and true of what runs."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks

from ff_observe.catalogue.ping_contract import json_schema
from ff_observe.collector.openapi import document
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from tests.real_parts.collector import ask, collecting
from tests.recordings import ROOT, Case, cases

PUBLISHED = ROOT / "docs" / "openapi" / "collector.json"
SENT = [case for case in cases() if case.ping is not None]

load_all_checks()
schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with collecting(CollectorSettings(port=0, data_dir=tmp_path_factory.mktemp("collector"), public=True)) as running:
        running.count_fleet()
        for path in ("/-/ready", "/metrics"):
            ask(running.port, "GET", path)  # its threads run from here on, not from some test on
        yield running


def test_the_published_document_is_current() -> None:
    assert json.loads(PUBLISHED.read_text()) == document(), "run: make generate"


def test_the_running_collector_serves_it(collector: Collector) -> None:
    assert ask(collector.port, "GET", "/openapi.json").json == document()


@pytest.mark.parametrize("case", SENT, ids=lambda case: case.name)
def test_recorded_pings_are_valid_by_it(case: Case) -> None:
    jsonschema_rs.Draft202012Validator(json_schema()).validate(case.ping)


@pytest.mark.parametrize(
    "wrong", [{}, {"instanceId": ""}, {"instanceId": "a\n"}, {"instanceId": "a", "os": {"type": 3}}]
)
def test_what_is_refused_is_invalid_by_it(wrong: dict[str, object]) -> None:
    assert not jsonschema_rs.Draft202012Validator(json_schema()).is_valid(wrong)


@schema.parametrize()
@settings(
    max_examples=60, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck), deadline=None
)
def test_every_answer_is_as_described(collector: Collector, case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(base_url=f"http://127.0.0.1:{collector.port}")
