"""Every expression of every dashboard and rule on a real Prometheus that scrapes the demo platform's bridge and a
collector; licence figures and FlowFuse's own names against what recorded platforms told of themselves."""

import contextlib
import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store.sqlite import open_sqlite
from ff_observe.config.load import load_settings
from ff_observe.config.settings import PlatformSettings
from ff_observe.demo.platform import DemoPlatform
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.system.clock import FrozenClock, SystemClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests import recordings
from tests.dashboards import RULES, filled_in, query, rules, targets
from tests.pictures.openmetrics import Sample, backfill
from tests.pictures.platform_history import platform_samples
from tests.real_parts import collector, prometheus
from tests.real_parts.bridge import running_bridge
from tests.real_parts.processes import free_port, wait_until
from tests.recordings import Case
from tests.reduced import licences
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import body, instance, ping

pytestmark = prometheus.needed

PLATFORMS_OF_FLEET = 60

EMPTY_ON_A_FRESH_DEMO = {
    "flowfuse-platform: Subscriptions of teams": "the demo does not bill",
    "flowfuse-platform: FlowFuse A": "there is no FlowFuse behind the demo's database",
    "flowfuse-platform: Time FlowFuse takes to answer": "there is no FlowFuse behind the demo's database",
    "flowfuse-platform: Counts, and their growth B": "nobody knows yesterday yet",
    "flowfuse-platform: Counts, and their growth C": "nobody knows last week yet",
    "flowfuse-licence: Limit reached A": "without history there is no growth",
    "flowfuse-licence: Head room E": "without history there is no growth",
    "flowfuse-licence: Head room F": "without history there is no growth",
    "flowfuse-licence: Head room G": "without history there is no growth",
    "flowfuse-platform: Audit events A": "a rate needs entries that are newer than the bridge",
    "flowfuse-activity: Audit events A": "a rate needs entries that are newer than the bridge",
    "flowfuse-activity: Changes by source A": "a rate needs entries that are newer than the bridge",
    "flowfuse-health: FlowFuse A": "there is no FlowFuse behind the demo's database",
    "flowfuse-bridge: What fails now A": "nothing fails",
    "flowfuse-platforms: Platforms of the process": "the demo's bridge observes one platform",
    "flowfuse-bridge: Label values not shown": "all label values are shown",
    "flowfuse-fleet: Requests refused A": "nothing was refused",
    "flowfuse-fleet: Resources of the fleet E": "of fewer than 500 platforms, it would tell of a single one",
    "flowfuse-fleet: Oddities": "nothing odd happened",
    "flowfuse-fleet: Doubtful yesterday A": "nothing was doubtful",
    "flowfuse-fleet: Collectors E": "nothing is copied to ClickHouse",
    "flowfuse-fleet: Collectors I": "its releases have no noise",
    "flowfuse-fleet: Collectors J": "its releases have no noise",
    "flowfuse-fleet-history: Churn": "nobody knows the month before yet",
    "flowfuse-fleet-history: Joined": "nobody knows the month before yet",
    "flowfuse-fleet-history: Node.js of the last day C": "nobody knows three months before yet",
    "flowfuse-fleet-history: Versions of the last day C": "no day ended in the last half minute",
    "flowfuse-fleet-history: Versions of the last day D": "no day ended in the last half minute",
}
"""Queries (or whole panels) that find nothing, with the reason, which the panel's `noValue` gives too."""


@pytest.fixture(scope="module")
def scraping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[prometheus.Prometheus]:
    """A Prometheus that scrapes `ff-observe run` on the demo platform, and a collector with a small, varied fleet."""
    directory = tmp_path_factory.mktemp("scraped")
    with contextlib.ExitStack() as stack:
        had_pings_before(directory / "collector" / "data")
        fleet = stack.enter_context(collector.process(directory / "collector", fleet={"interval_seconds": 1}))
        home = directory / "home"
        DemoPlatform(
            home,
            SystemClock(),
            random.Random(3),
            ping_url=f"http://127.0.0.1:{fleet.port}/ping",
            metrics_port=free_port(),
        ).create()
        bridge = stack.enter_context(running_bridge(home, directory))
        jobs = {"flowfuse": bridge.url.removeprefix("http://"), "collector": f"127.0.0.1:{fleet.port}"}
        config = json.loads(prometheus.scrape(jobs, "1s"))
        config["global"]["evaluation_interval"] = "2s"
        config["rule_files"] = [str(path) for path in RULES]
        asked = stack.enter_context(prometheus.prometheus(directory / "prometheus", json.dumps(config)))
        asked.wait_for('up{job="collector"}', 1)
        send_pings(fleet.port, range(PLATFORMS_OF_FLEET))
        asked.wait_for('flowfuse_fleet_reporting_platforms{resource="users"}', PLATFORMS_OF_FLEET)
        # The first ping of the bridge itself is due 30 s after its start.
        wait_until(lambda: asked.value("ff_observe_ping_last_success_timestamp_seconds"), "the bridge's ping", 60)
        send_pings(fleet.port, range(PLATFORMS_OF_FLEET, PLATFORMS_OF_FLEET + 5))
        asked.wait_for("rate(ff_observe_collector_commit_pings_count[5s]) > bool 0", 1)
        yield asked


def had_pings_before(data_dir: Path) -> None:
    """The fleet's platforms pinged 40 days ago, and most of them yesterday."""
    settings = CollectorSettings(data_dir=data_dir)
    assert settings.database_file is not None
    with BlockingWriter(open_sqlite(settings.database_file, timedelta(hours=1), "collector")) as writer:
        for days, platforms in ((40, PLATFORMS_OF_FLEET), (1, PLATFORMS_OF_FLEET - 5)):
            at = datetime.now(UTC) - timedelta(days=days)
            writer.write([ping(instance(f"platform-{number}"), at) for number in range(platforms)])


def send_pings(port: int, numbers: range) -> None:
    """Pings of as many different platforms; three of each four have something in common with others."""
    for number in numbers:
        ping = body(
            f"platform-{number}",
            env__flowforge=("2.33.2", "2.33.1", "2.30.1")[number % 3],
            platform__config__driver=("kubernetes", "docker")[number % 2],
            platform__license__type=("EE", "CE")[number % 2],
            platform__config__broker__enabled=number % 3 > 0,
            platform__config__fileStore__enabled=number % 2 > 0,
            platform__config__email__enabled=True,
            platform__counts__users=5 + number,
            platform__counts__teams=1 + number % 7,
            platform__counts__projects=3 * number,
            platform__counts__devices=5 * number,
        )
        assert collector.send(port, ping).status == 200


def test_every_query_finds_something_or_its_panel_says_why_not(scraping: prometheus.Prometheus) -> None:
    unanswered = {
        str(target): filled_in(target.expression)
        for target in targets()
        if not any(str(target).startswith(reason) for reason in EMPTY_ON_A_FRESH_DEMO)
    }

    def all_answered() -> bool:
        """A rate over seconds needs two scrapes within them, of which a busy machine misses some."""
        for target, expression in list(unanswered.items()):
            if scraping.query(expression):
                del unanswered[target]
        return not unanswered

    with contextlib.suppress(AssertionError):
        wait_until(all_answered, "every query to find something")
    assert unanswered == {}


def test_every_rule_is_evaluated_without_error(scraping: prometheus.Prometheus) -> None:
    wait_until(lambda: all(rule["health"] != "unknown" for rule in scraping.rules()), "the rules to be evaluated", 90)
    assert [rule["lastError"] for rule in scraping.rules() if rule["health"] != "ok"] == []
    assert len(scraping.rules()) == len(list(rules()))


def test_a_healthy_demo_raises_no_alert(scraping: prometheus.Prometheus) -> None:
    raised = {dict(labels)["alertname"] for labels in scraping.query("ALERTS")}
    # A roll-out is under way there, which is late after a day only.
    assert raised - {"FlowFuseDeviceGroupBehind"} == set()
    assert scraping.query('ALERTS{alertstate="firing"}') == {}


OLD_LICENCES = [case for case in recordings.probes() if case.name == "lic-old-claims"]
"""Licences from before FlowFuse 2.2, with limits of hosted instances and devices apart."""

STATED = [case for case in recordings.cases() if case.stats is not None and not case.is_postgresql] + OLD_LICENCES


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[prometheus.Prometheus]:
    """A Prometheus that knows every recorded platform as it was when FlowFuse told its statistics, as an instance."""
    directory = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as monkeypatch:
        licences.accept(monkeypatch)
        samples = [sample for case in STATED for sample in snapshot_of(case, directory / case.id)]
    backfill(samples, directory / "prometheus")
    with prometheus.prometheus(directory / "prometheus", "{}") as asked:
        yield asked


def stated_at(case: Case) -> datetime:
    return datetime.fromisoformat(case.meta.get("stats_at") or case.meta["captured_at"])


def snapshot_of(case: Case, home: Path) -> Iterator[Sample]:
    if case in OLD_LICENCES:
        recordings.home_of(case, home)
    else:
        shutil.copytree(case.home, home)
    at = stated_at(case)
    settings = load_settings(home=home, variables={})
    platform: PlatformSettings = settings.platform
    source = SQLiteSource(home / "var" / "forge.db")
    snapshots = Snapshots(source, platform, FrozenClock(at), SelfMetrics(), InstalledVersions(home, platform))
    target = {"job": "flowfuse", "instance": case.id}
    yield from platform_samples(at, snapshots.take(at).readings, target)
    source.close()


def of_instance(asked: prometheus.Prometheus, expression: str, case: Case) -> dict[str, float]:
    """Value by `resource` (or "") of what `expression` gives for the recorded platform. `$instance` chooses it."""
    found = asked.query(expression.replace("$instance", case.id), stated_at(case), keep_target=True)
    return {
        dict(labels).get("resource", ""): value
        for labels, value in found.items()
        if dict(labels).get("instance", case.id) == case.id
    }


@pytest.mark.parametrize("case", STATED, ids=lambda case: case.id)
def test_the_names_of_flowfuse_have_the_values_that_flowfuse_told(told: prometheus.Prometheus, case: Case) -> None:
    """But for team types and states that a FlowFuse does not have out of the box, and empty ones, which are absent."""
    source, *others = [rule for rule in rules() if "record" in rule]
    recorded = {rule["record"]: rule["expr"].replace(source["record"], f"({source['expr']})") for rule in others}
    lines = (case.home / "admin-stats.openmetrics.txt").read_text(encoding="utf-8").splitlines()
    stated = {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}
    of_own_types = {name for name in stated if name.startswith("flowforge_teams_by_type_") and name not in recorded}
    assert {name.rpartition("type_")[2].strip("_") for name in of_own_types}.isdisjoint(
        {"starter", "team", "enterprise"}
    )
    assert set(stated) - of_own_types - OF_NO_FLOWFUSE <= set(recorded)
    for name, expression in recorded.items():
        found = of_instance(told, expression, case)
        if name in stated:
            assert found == {"": stated[name]}, name
        else:
            assert found in ({}, {"": 0.0}) or name in TOLD_BY_NEWER, name


OF_NO_FLOWFUSE = {"flowforge_instances_by_state_hibernating", "flowforge_devices_by_mode_fleet_mode"}
"""Put into a recorded database to see what FlowFuse makes of it."""

TOLD_BY_NEWER = {
    "flowforge_max_mqtt_clients",
    "flowforge_mqtt_client_count",
    *(
        f"flowforge_teams_by_type_{name}"
        for name in ("starter", "team", "enterprise", "_starter", "_team", "_enterprise")
    ),
}
"""FlowFuse before 2.32.1 spells team types otherwise than after. 2.4.0 has no broker, and without a licence no FlowFuse
tells of them."""


@pytest.mark.parametrize("case", STATED, ids=lambda case: case.id)
def test_the_licence_dashboard_shows_what_the_platform_really_allows(told: prometheus.Prometheus, case: Case) -> None:
    """Without a licence and with those of today, the limit of `instances` covers devices, as FlowFuse enforces; older
    licences limit both apart."""
    stats = case.stats
    assert stats is not None
    in_use, allowed, left = (
        of_instance(told, filled_in(query(f"flowfuse-licence: Head room {ref}").expression, "$instance"), case)
        for ref in "ABC"
    )
    assert (in_use["users"], allowed["users"]) == (stats["userCount"], stats["maxUsers"])
    assert (in_use["teams"], allowed["teams"]) == (stats["teamCount"], stats["maxTeams"])
    assert allowed["instances"] == float(stats["maxInstances"])
    assert left == {resource: allowed[resource] - in_use[resource] for resource in in_use}
    assert ("devices" in allowed) is ("maxDevices" in stats) is (case in OLD_LICENCES)
    if case in OLD_LICENCES:
        assert in_use["instances"] == stats["instanceCount"]
        assert (in_use["devices"], allowed["devices"]) == (stats["deviceCount"], stats["maxDevices"])
    else:
        assert in_use["instances"] == stats["instanceCount"] + stats["deviceCount"]
