"""Two real bridges of one platform in a real Prometheus: every figure counts the platform once, every alert is one."""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from ff_observe.catalogue.audit import SIGN_INS
from ff_observe.generate.dashboards.queries import total
from tests.alert_rules import promtool_on
from tests.dashboards import RULES, query, quick_rules, targets
from tests.dashboards import filled_in as filled_in_as
from tests.pictures.openmetrics import Sample, backfill
from tests.platforms import case_named
from tests.promql import selectors
from tests.real_parts import prometheus
from tests.real_parts.bridge import home_with, running_bridge
from tests.real_parts.processes import free_port

PLATFORM = case_named("v2.4.0-sqlite-dev")
NAMED = "paint shop"
filled_in = partial(filled_in_as, rate_interval="30s")
pytestmark = prometheus.needed

OF_EACH_BRIDGE = {"flowfuse-bridge: Platform's database A", "flowfuse-platform: Time FlowFuse takes to answer A"}
"""What the bridges rightly tell apart."""

PER_PLATFORM = [
    target
    for target in targets()
    if all(name.startswith("flowfuse_") for chosen in selectors(target.expression) for name in chosen.names)
    and not target.uid.startswith("flowfuse-fleet")
    and str(target) not in OF_EACH_BRIDGE
]


@dataclass(frozen=True)
class Replicas:
    """Two bridges of one platform, their databases, and what scrapes them: in two jobs, for a job tells nothing."""

    asked: prometheus.Prometheus
    databases: tuple[Path, ...]
    targets: tuple[str, ...]
    address: str

    def figures(self, expression: str, at: datetime, instance: str = ".+") -> dict[tuple[tuple[str, str], ...], float]:
        return self.asked.query(filled_in(expression, instance), at)


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    directory = tmp_path_factory.mktemp("replicas")
    address = f"http://127.0.0.1:{free_port()}"
    with contextlib.ExitStack() as stack:
        scraped, databases = [], []
        for name in ("one", "two"):
            home = home_with(
                directory / name / "home",
                f"  type: sqlite\nbase_url: {address.replace('//', '//user:planted@')}\n",
                "  enabled: false\n  backend:\n    prometheus:\n      bridge_enabled: true\n      port: 0\n",
            )
            databases.append(Path(shutil.copy(PLATFORM.home / "var" / "forge.db", home / "var" / "forge.db")))
            bridge = stack.enter_context(running_bridge(home, directory / name))
            scraped.append(bridge.url.removeprefix("http://"))
        config = json.loads(prometheus.scrape({f"job {number}": each for number, each in enumerate(scraped)}, "1s"))
        config["global"]["evaluation_interval"] = "1s"
        config["rule_files"] = quick_rules(directory)
        asked = stack.enter_context(prometheus.prometheus(directory / "prometheus", json.dumps(config)))
        asked.wait_for("count(flowfuse_users)", 2)
        asked.wait_for("count(flowforge_user_count) > bool 0", 1)
        # an increase is known from the second sample on, and the two bridges were not scraped at the same moments
        asked.wait_for(f"count(count by (instance) (count_over_time({SIGN_INS.name}[1m]) > 1))", 2)
        yield Replicas(asked, tuple(databases), tuple(scraped), address)


def test_every_figure_of_a_platform_is_what_one_bridge_says_though_two_say_it(replicas: Replicas) -> None:
    assert PLATFORM.stats is not None
    users = PLATFORM.stats["userCount"]
    assert replicas.asked.value("sum(flowfuse_users)") == 2 * users
    assert replicas.asked.value(filled_in(total("flowfuse_users"))) == users
    assert replicas.asked.value("sum(flowforge_user_count)") == users
    assert len(PER_PLATFORM) > 30
    at = datetime.now(UTC)
    known = 0
    for target in PER_PLATFORM:
        if "flowfuse_database_disk_free_bytes" in target.expression:
            continue  # others write to the disk meanwhile, and the two bridges look at different moments
        alone = replicas.figures(target.expression, at, re.escape(replicas.targets[0]).replace("\\", "\\\\"))
        assert replicas.figures(target.expression, at) == alone, str(target)
        known += len(alone)
    assert known > 60


def test_a_platform_is_a_row_under_its_address_without_the_password(replicas: Replicas) -> None:
    rows = replicas.figures(query("flowfuse-platform: Platforms A").expression, datetime.now(UTC))
    assert [dict(labels)["name"] for labels in rows] == [replicas.address]


def test_a_database_and_a_flowfuse_that_are_gone_raise_one_alert_each_which_names_the_platform(
    replicas: Replicas,
) -> None:
    asked = replicas.asked
    (labels,) = asked.query("flowfuse_users{job='job 0'}", keep_target=True)
    platform_id = dict(labels)["platform_id"]
    for database in replicas.databases:
        database.rename(database.with_suffix(".away"))
    for name in ("FlowFuseDatabaseUnreachable", "FlowFuseNotAnswering"):
        firing = f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'
        asked.wait_for(f"{firing} > bool 0", 1)
        (alert,) = asked.alerts(name)
        assert alert["labels"] == {"alertname": name, "severity": "critical", "platform_id": platform_id}
        assert replicas.address in alert["annotations"]["description"]
    assert asked.value("count(flowfuse_up == 0)") == 2


START = datetime(2026, 11, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
UPGRADE = START + 30 * HOUR
END = START + 40 * HOUR


def history() -> Iterator[Sample]:
    """Two platforms, 100 and 8 users, as bridges without `platform_id` told of them; at the upgrade the first gets five
    users, a second bridge, and the id, and the second stays as it is."""
    for hour in range(41):
        at = START + hour * HOUR
        yield Sample(at, "flowfuse_users", 8, {"job": "flowfuse", "instance": "old:10464"})
        if at < UPGRADE:
            yield Sample(at, "flowfuse_users", 100, {"job": "flowfuse", "instance": "one:10464"})
        else:
            for instance in ("one:10464", "two:10464"):
                labels = {"job": "flowfuse", "instance": instance, "platform_id": "0f1e2d3c4b5a6978"}
                yield Sample(at, "flowfuse_users", 105, labels)


def test_panels_go_on_over_an_upgrade_of_the_bridges(tmp_path: Path) -> None:
    backfill(history(), tmp_path / "prometheus")
    with prometheus.prometheus(tmp_path / "prometheus", "{}") as asked:
        users = filled_in(total("flowfuse_users"))
        assert asked.value(users, UPGRADE - HOUR) == 108
        assert asked.value(users, UPGRADE) == asked.value(users, END) == 113
        growth = filled_in(query("flowfuse-platform: Counts, and their growth B").expression)
        assert asked.query(growth, UPGRADE) == {(("what", "users"),): 5.0}


def test_the_name_that_an_operator_gives_wins_and_tells_copies_apart(tmp_path: Path) -> None:
    named = {"job": "flowfuse", "platform_id": "0f1e2d3c4b5a6978"}
    samples = [
        Sample(START, name, value, {**named, "instance": place, "platform": place, **more})
        for place in (NAMED, "rehearsal")
        for name, value, more in (
            ("flowfuse_users", 7, {}),
            ("flowfuse_up", 1, {}),
            ("flowfuse_info", 1, {"base_url": "https://forge.example.com"}),
            ("flowfuse_platform_info", 1, {"version": "2.33.2"}),
        )
    ]
    backfill(samples, tmp_path / "prometheus")
    with prometheus.prometheus(tmp_path / "prometheus", "{}") as asked:
        assert asked.value(filled_in(total("flowfuse_users")), START) == 14
        rows = asked.query(filled_in(query("flowfuse-platform: Platforms A").expression), START)
        assert {dict(labels)["name"] for labels in rows} == {NAMED, "rehearsal"}


def test_usage_stands_beside_the_limit_of_the_same_platforms(tmp_path: Path) -> None:
    samples = [
        Sample(START, f"flowfuse_license_{name}", value, {"job": "flowfuse", "instance": place, "resource": "users"})
        for place, figures in {"large": (29, 100), "full": (24, 5), "unlimited": (7, None)}.items()
        for name, value in zip(("usage", "limit"), figures, strict=True)
        if value is not None
    ]
    backfill(samples, tmp_path / "prometheus")
    with prometheus.prometheus(tmp_path / "prometheus", "{}") as asked:
        of_panel = (query(f"flowfuse-licence: Users against the limit {ref}").expression for ref in "AB")
        assert [asked.value(filled_in(expression), START) for expression in of_panel] == [53, 105]


PODS = [
    {"job": "flowfuse", "instance": "flowfuse.forge", "platform_id": "0f1e2d3c4b5a6978", "pod": pod} for pod in "ab"
]
"""As the Helm chart has them scraped."""


def selector(name: str, labels: dict[str, str]) -> str:
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def test_pods_that_share_an_instance_count_once(tmp_path: Path) -> None:
    samples = [Sample(START, "ff_observe_reading_success", 0, {**pod, "reading": "devices"}) for pod in PODS]
    backfill(samples, tmp_path / "prometheus")
    with prometheus.prometheus(tmp_path / "prometheus", "{}") as asked:
        both = [target for target in targets() if str(target) == "flowfuse-bridge: Failing readings A"]
        assert [asked.value(filled_in(target.expression), START) for target in both] == [1, 1]


def test_of_pods_that_share_an_instance_one_is_recorded(tmp_path: Path) -> None:
    (rules,) = (path for path in RULES if path.stem == "flowfuse-admin-stats")
    limit = {"resource": "users"}
    series: dict[str, dict[str, str]] = {"flowfuse_up": {}, "flowfuse_users": {}, "flowfuse_license_limit": limit}
    case = {
        "input_series": [
            {"series": selector(name, {**pod, **more}), "values": "7x5"}
            for pod in PODS
            for name, more in series.items()
        ],
        "promql_expr_test": [
            {"expr": f"sum({name})", "eval_time": "2m", "exp_samples": [{"labels": "{}", "value": 7}]}
            for name in ("flowforge_user_count", "flowforge_max_users")
        ],
    }
    test = tmp_path / "test.yml"
    test.write_text(json.dumps({"rule_files": [str(rules)], "tests": [{"interval": "1m", **case}]}), encoding="utf-8")
    assert promtool_on(str(test)) == ""
