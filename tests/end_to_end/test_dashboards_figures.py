"""What panels show of given samples, by a real Prometheus."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.dashboards import filled_in, query
from tests.pictures.openmetrics import Sample, backfill
from tests.real_parts import prometheus

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
TAKEN, DECIDED = "ff_observe_snapshot_timestamp_seconds", "ff_observe_ping_enabled"
SECONDS_AGO = {"shared": 4, "own": -0.25}
"""An own snapshot is taken after the scrape began, and a scrape has the time at which it began."""

AGENTS = "flowfuse_devices_by_agent_version"
AGENTS_AT = {"north": {"3.7.0": 30, "3.5.0": 10}, "south": {"3.7.0": 40, "none": 20}}

LICENCE, CERTIFICATE = "flowfuse_license_expiry_timestamp_seconds", "flowfuse_sso_certificate_expiry_timestamp_seconds"
ENDS = {
    "renews": {LICENCE: 3, CERTIFICATE: -700},
    "expired": {LICENCE: -2, CERTIFICATE: 90},
    "free": {CERTIFICATE: -700},
    "calm": {LICENCE: 200, CERTIFICATE: 90},
}
"""In how many days what ends."""

RULES = ("file", "licensed", "no_objection", "not_initialised")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[prometheus.Prometheus]:
    if prometheus.PROMETHEUS is None or prometheus.PROMTOOL is None:
        pytest.skip(prometheus.MISSING)
    directory = tmp_path_factory.mktemp("figures") / "prometheus"
    target = {"job": "flowfuse"}
    backfill(
        [
            *(
                Sample(
                    AT,
                    TAKEN,
                    (AT - timedelta(seconds=ago)).timestamp(),
                    {**target, "instance": name},
                )
                for name, ago in SECONDS_AGO.items()
            ),
            *(
                Sample(AT, AGENTS, devices, {**target, "instance": place, "platform_id": place, "version": version})
                for place, versions in AGENTS_AT.items()
                for version, devices in versions.items()
            ),
            *(
                Sample(AT, name, (AT + timedelta(days=days)).timestamp(), {**target, "instance": place})
                for place, ends in ENDS.items()
                for name, days in ends.items()
            ),
            *(Sample(AT, DECIDED, 0, {**target, "instance": rule, "rule": rule}) for rule in RULES),
        ],
        directory,
    )
    with prometheus.prometheus(directory, "{}") as started:
        yield started


def test_no_snapshot_is_younger_than_its_scrape(asked: prometheus.Prometheus) -> None:
    expression = query("flowfuse-bridge: Age of the snapshot when scraped A").expression
    ages = {name: list(asked.query(filled_in(expression, name), AT).values()) for name in SECONDS_AGO}
    assert ages == {"shared": [4], "own": [0]}


@pytest.mark.parametrize(
    ("rules", "shown"), [(RULES[:1], RULES[:1]), (RULES[:3], RULES[:3]), (RULES, ("several",)), (["none"], ())]
)
def test_so_many_rules_as_the_panel_has_room_for_are_shown(
    asked: prometheus.Prometheus, rules: Sequence[str], shown: Sequence[str]
) -> None:
    expression = filled_in(query("flowfuse-telemetry: Deciding rule A").expression, "|".join(rules))
    assert sorted(dict(labels)["rule"] for labels in asked.query(expression, AT)) == sorted(shown)


def test_agents_of_several_platforms_with_one_version_count_together(asked: prometheus.Prometheus) -> None:
    share = filled_in(query("flowfuse-rollout: Agents on one version A").expression)
    assert asked.value(share, AT) == 0.7


@pytest.mark.parametrize(("place", "days"), [("renews", 3), ("expired", -2), ("free", -700), ("calm", 90)])
def test_a_certificate_that_expired_long_ago_hides_no_end_that_is_to_come(
    asked: prometheus.Prometheus, place: str, days: int
) -> None:
    assert asked.value(filled_in(query("flowfuse-health: Next end A").expression, place), AT) == days
