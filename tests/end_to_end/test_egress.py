"""What `ff-observe egress` lists is what a running bridge reaches, and its NetworkPolicy lets through just that."""

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ff_observe.config import load_settings
from ff_observe.egress.listing import contacts, of_bridge
from tests.end_to_end import egress_recorder, egress_wall
from tests.end_to_end.egress_configurations import configurations, home_with
from tests.end_to_end.egress_recorder import Configuration, Run
from tests.pace import in_full
from tests.real_parts.install import SEARCH_PATH

_PROCESSES = 2
_EVERYTHING = {
    "base_url": "https://forge.example.com",
    "telemetry.backend.sentry.dsn": "https://key@sentry.example.com:9000/1",
    "telemetry.backend.otlp.endpoint": "http://otlp.example.com:4317",
    "telemetry.backend.otlp.protocol": "grpc",
}

pytestmark = pytest.mark.skipif(not egress_recorder.allowed(), reason=egress_recorder.HOW_TO_ALLOW)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Real bridges, each with one configuration; outside of `make nightly` a part of them, drawn anew each time."""
    every = list(configurations(tmp_path_factory.mktemp("homes")))
    first = len(every) - 72  # the others are combinations
    chosen = [*every[:first], *random.Random().sample(every[first:], in_full(72, 6))]  # seed unneeded: ids are shown
    parts = [chosen[start::_PROCESSES] for start in range(_PROCESSES)]
    with ThreadPoolExecutor(_PROCESSES) as pool:
        return [run for part in pool.map(egress_recorder.record, parts) for run in part]


def test_a_bridge_reaches_what_is_listed_and_nothing_else(runs: list[Run]) -> None:
    assert len(runs) >= 20
    wrong = [run for run in runs if not set(run.listed) <= set(run.reached) <= set(run.possible)]
    assert wrong == []


def test_it_asks_for_no_name_that_is_not_listed(runs: list[Run]) -> None:
    for run in runs:
        listed = {place.rpartition(":")[0].lower() for place in run.possible}
        assert set(run.asked) <= listed, run.name


def test_what_is_only_possible_is_what_happens_elsewhere(runs: list[Run]) -> None:
    """A list of everything would pass the comparison: what is not certain is a redirect, or what Node.js would say."""
    for run in runs:
        not_reached = set(run.possible) - set(run.reached)
        assert {place.rpartition(":")[2] for place in not_reached} <= {"443"}, run.name


def test_the_recorder_sees_libraries_in_c_too(tmp_path: Path) -> None:
    """Expected places written by hand: of a database (libpq), of gRPC, and of what runs in Python."""
    database = {"db.type": "postgres", "db.host": "db.example.com", "db.port": 6432, "db.user": "forge"}
    variables = {"https_proxy": "http://proxy.example.com:3128", "no_proxy": "otlp.example.com"}
    [everything, through_libpq] = egress_recorder.record(
        [
            Configuration("everything", home_with(tmp_path / "1", _EVERYTHING), variables),
            Configuration("PostgreSQL", home_with(tmp_path / "2", database)),
        ]
    )
    assert everything.reached == everything.listed
    assert everything.reached == ["forge.example.com:443", "otlp.example.com:4317", "proxy.example.com:3128"]
    assert through_libpq.reached == ["db.example.com:6432"]


@pytest.mark.skipif(shutil.which("nft", path=SEARCH_PATH) is None, reason="needs nft: apt-get install nftables")
def test_the_network_policy_lets_through_exactly_what_is_listed(tmp_path: Path) -> None:
    home = home_with(tmp_path / "home", _EVERYTHING)
    listed = {(each.host, each.port) for each in of_bridge(contacts(load_settings(home, variables={})))}
    assert len(listed) == 4
    hosts = sorted({host for host, _ in listed} | {"elsewhere.example.com", "10.0.0.1.example.com"})
    ports = sorted({port for _, port in listed} | {80, 25, 8443})
    tries = [(host, port) for host in hosts for port in ports]
    assert egress_wall.through(home, tries, resolve=True) == listed
    open_ports = {port for _, port in listed}
    assert egress_wall.through(home, tries, resolve=False) == {
        (host, port) for host, port in tries if port in open_ports
    }
