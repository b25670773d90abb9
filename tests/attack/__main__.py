"""`python -m tests.attack [FLOOD ...]`: every flood against every server, as a table.

Exit status 1 if a goal is missed: all scrapes and probes answered, at most twice node_exporter's memory, and stopped
within five seconds."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.attack.measure import ATTACKS, Attack, Outcome, measure
from tests.attack.victims import NODE_EXPORTER

STOP_SECONDS = 5.0
TIMES_NODE_EXPORTER = 2.0


def missed(outcome: Outcome, peer: Outcome | None) -> list[str]:
    """The goals that are missed. `peer` is node_exporter under the same flood."""
    found = []
    if outcome.scrapes < outcome.asked or outcome.probes < outcome.asked:
        found.append("answers")
    if peer is not None and outcome.memory_bytes > TIMES_NODE_EXPORTER * peer.memory_bytes:
        found.append("memory")
    if outcome.stop_seconds is None or outcome.stop_seconds > STOP_SECONDS:
        found.append("stop")
    return found


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("floods", nargs="*", metavar="FLOOD")
    wanted = parser.parse_args().floods
    if NODE_EXPORTER is None:
        print("prometheus-node-exporter is not installed and left out")
    print(f"{'flood':<28}{'server':<15}{'scrapes':>8}{'probes':>8}{'slowest':>9}{'memory':>9}{'stopped':>9}  missed")
    failed = False
    for attack in ATTACKS:
        if not wanted or attack.flood in wanted:
            failed |= _report(attack)
    return 1 if failed else 0


def _report(attack: Attack) -> bool:
    failed = False
    peer = None
    for name in reversed(attack.victims()):
        if name == "node_exporter" and NODE_EXPORTER is None:
            continue
        with tempfile.TemporaryDirectory() as directory:
            outcome = measure(attack, name, Path(directory))
        if name == "node_exporter":
            peer = outcome
        goals = missed(outcome, peer) if name != "node_exporter" else []
        failed |= bool(goals)
        stopped = "never" if outcome.stop_seconds is None else f"{outcome.stop_seconds:.1f} s"
        answers = f"{outcome.scrapes:>6}/{outcome.asked}{outcome.probes:>6}/{outcome.asked}"
        figures = f"{outcome.slowest_seconds:>7.2f} s{outcome.memory_bytes / 2**20:>6.0f} MB{stopped:>9}"
        print(f"{attack.name:<28}{name:<15}{answers}{figures}  {', '.join(goals)}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
