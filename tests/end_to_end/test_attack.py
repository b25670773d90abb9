"""Floods of hostile clients in short: the server answers, stays small, and stops. `make attack` is the whole of it."""

from pathlib import Path

import pytest

from tests.attack.measure import ATTACKS, Attack, measure
from tests.attack.victims import NODE_EXPORTER

MOST_MEMORY_BYTES = 2 * 27 * 2**20
"""Twice what node_exporter takes under the same flood, where it takes the least (`make attack`)."""
MOST_OF_HANDSHAKES_BYTES = 2 * 60 * 2**20
"""The same of the flood of TLS handshakes, each of which takes memory in any server."""
CASES = [(attack, name) for attack in ATTACKS for name in attack.victims() if name != "node_exporter"]


@pytest.mark.parametrize(("attack", "victim"), CASES, ids=lambda value: getattr(value, "name", value))
def test_a_flood_leaves_scrapes_probes_memory_and_the_stop_as_they_should_be(
    attack: Attack, victim: str, tmp_path: Path
) -> None:
    outcome = measure(attack, victim, tmp_path)
    assert (outcome.scrapes, outcome.probes) == (5, 5), outcome
    most = MOST_OF_HANDSHAKES_BYTES if attack.flood == "half_handshake" else MOST_MEMORY_BYTES
    assert outcome.memory_bytes <= most, outcome
    assert outcome.stop_seconds is not None, outcome


@pytest.mark.skipif(NODE_EXPORTER is None, reason="needs prometheus-node-exporter: apt-get install it")
def test_node_exporter_can_be_measured_beside_it(tmp_path: Path) -> None:
    outcome = measure(Attack("idle", 100), "node_exporter", tmp_path, asked=1)
    assert (outcome.scrapes, outcome.probes) == (1, 1)
