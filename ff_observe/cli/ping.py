"""`ff-observe ping show|why|send`: what would be sent, whether it would be, and sending one now."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from ff_observe.cli.options import add_at, clock_at, settings_of
from ff_observe.errors import DeliveryError, SourceError

if TYPE_CHECKING:
    from ff_observe.snapshots import Snapshot


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("ping", help="the core ping: show it, tell whether it is sent, send one")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    show_parser = actions.add_parser(
        "show",
        help="print the exact body that would be sent",
        description="Prints the exact JSON body that would be sent, and nothing else, on standard output.",
    )
    add_at(show_parser)
    show_parser.set_defaults(run=show)

    why_parser = actions.add_parser("why", help="would it be sent, and which rule decided")
    why_parser.add_argument("--json", action="store_true", help="answer as one JSON object")
    why_parser.set_defaults(run=why)

    send_parser = actions.add_parser("send", help="send one now, under the same rules")
    send_parser.set_defaults(run=send)


def show(options: argparse.Namespace) -> int:
    from ff_observe.outputs.ping.sending import preview
    from ff_observe.sources.installation import operating_system
    from ff_observe.wiring import open_platform

    with open_platform(settings_of(options), clock_at(options.at)) as platform:
        snapshot = reachable(platform.snapshots.take())
        body = preview(snapshot, platform.settings, operating_system())
    sys.stdout.buffer.write(body)
    if sys.stdout.isatty():
        sys.stdout.buffer.write(b"\n")
    return 0


def why(options: argparse.Namespace) -> int:
    from ff_observe.outputs.ping.consent import decide
    from ff_observe.wiring import open_platform

    with open_platform(settings_of(options)) as platform:
        decision = decide(platform.snapshots.take(), platform.settings)
    if options.json:
        answer = {
            "allowed": decision.allowed,
            "rule": decision.rule.value,
            "explanation": decision.explanation,
            "opt_out_ignored": decision.opt_out_ignored,
        }
        print(json.dumps(answer, indent=2))
    else:
        print(f"The ping {'would' if decision.allowed else 'would not'} be sent: {decision.explanation}")
        print(f"Rule: {decision.rule.value}")
    return 0


def send(options: argparse.Namespace) -> int:
    from ff_observe.outputs.ping.delivery import Delivery
    from ff_observe.outputs.ping.outcome import Result
    from ff_observe.outputs.ping.sending import send_once
    from ff_observe.sources.installation import operating_system
    from ff_observe.wiring import open_platform

    with open_platform(settings_of(options)) as platform:
        snapshot = platform.snapshots.take()
        delivery = Delivery(platform.settings.ping.url, platform.clock)
        sent = send_once(snapshot, platform.settings, operating_system(), delivery)
    if sent.outcome is None:
        raise DeliveryError(f"not sent: {sent.decision.explanation}")
    if sent.outcome.result is not Result.DELIVERED:
        raise DeliveryError(f"{sent.outcome.result}: {sent.outcome.explanation}")
    print(sent.outcome.explanation)
    return 0


def reachable(snapshot: "Snapshot") -> "Snapshot":
    """The snapshot, unless the database did not answer. Raises `SourceError` with the reason."""
    if not snapshot.up:
        raise SourceError(next(iter(snapshot.failures.values()), "the platform's database does not answer"))
    return snapshot
