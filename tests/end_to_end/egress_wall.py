"""Puts the NetworkPolicy that `ff-observe egress` prints into force, and tries who gets through.

`python -m tests.end_to_end.egress_wall HOME [--resolve]` runs in a namespace of its own, as `egress_recorder` does. The
policy becomes rules of nftables; behind each port that is tried stands a listener that accepts everybody.
"""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from tests.end_to_end.egress_recorder import ROOT, enter, environment, prepare
from tests.real_parts.install import SEARCH_PATH

ANSWER_SECONDS = 60.0


def through(home: str, tries: Sequence[tuple[str, int]], *, resolve: bool) -> set[tuple[str, int]]:
    """Which of these hosts and ports can be reached with the policy of `home` in force."""
    arguments = ["tests.end_to_end.egress_wall", home, *(["--resolve"] if resolve else [])]
    done = subprocess.run(
        enter(arguments), input=json.dumps(tries), env=environment(), capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return {(host, port) for host, port in json.loads(done.stdout)}


def rules(policy: dict[str, Any]) -> str:
    """A NetworkPolicy's egress as rules of nftables. Connections that were let in are answered."""
    lines = ["ct state established,related accept"]
    for rule in policy["spec"]["egress"]:
        blocks = [each["ipBlock"]["cidr"] for each in rule.get("to", ())] or [""]
        for block in blocks:
            family = "ip6" if ":" in block else "ip"
            target = f"{family} daddr {block} " if block else ""
            lines += [f"{target}{each['protocol'].lower()} dport {each['port']} accept" for each in rule["ports"]]
    lines.append("meta l4proto tcp reject with tcp reset")
    body = "\n".join(lines)
    return f"table inet walls {{ chain out {{ type filter hook output priority 0; policy drop;\n{body}\n}}\n}}\n"


def _policy(home: str, *options: str) -> dict[str, Any]:
    from ff_observe.cli import main

    printed = io.BytesIO()
    output = io.TextIOWrapper(printed, encoding="utf-8")
    with contextlib.redirect_stdout(output):
        assert main(["--home", home, "egress", "--network-policy", "kubernetes", *options]) == 0
    policy: dict[str, Any] = yaml.safe_load(printed.getvalue())
    return policy


def _reached(tries: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    for host, port in tries:
        with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
            socket.create_connection((host, port), ANSWER_SECONDS).close()
            yield host, port


def _main(home: str, *options: str) -> None:
    tries = [(host, port) for host, port in json.load(sys.stdin)]
    prepare()
    policy = _policy(home, *options)
    listening = [socket.create_server(("0.0.0.0", port), backlog=64) for port in sorted({port for _, port in tries})]
    assert set(_reached(tries)) == set(tries), "without the policy everybody is let through"
    found = {**os.environ, "PATH": SEARCH_PATH}
    subprocess.run(["nft", "-f", "-"], input=rules(policy), text=True, check=True, env=found)
    print(json.dumps(list(_reached(tries))))
    for each in listening:
        each.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)
