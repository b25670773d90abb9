"""`ff-observe ping show|why|send|log`: what would be sent, whether it would be, sending one now, and what was sent."""

import argparse
import base64
import json
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ff_observe.cli import by_file
from ff_observe.cli.files import write_exactly
from ff_observe.cli.options import add_at, clock_at, settings_of
from ff_observe.cli.terminal import READING, legible, progress, say
from ff_observe.errors import DeliveryError, LedgerError, SourceError, UsageError
from ff_observe.system.clock import SystemClock

if TYPE_CHECKING:
    from ff_observe.outputs.ping.ledger_lines import Entry, Lines
    from ff_observe.transparency.notes import VerifierKey


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("ping", help="the core ping: show it, send one, list what was sent")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    show_parser = actions.add_parser(
        "show",
        help="print the exact body that would be sent",
        description="Prints the exact JSON body that would be sent, and nothing else, on standard output.",
    )
    add_at(show_parser)
    form = show_parser.add_mutually_exclusive_group()
    form.add_argument(
        "--explain", action="store_true", help="each field: its value, its origin and purpose, and who reviewed it"
    )
    form.add_argument(
        "--diff", action="store_true", help="field by field, what changed since the last ping that was delivered"
    )
    show_parser.set_defaults(run=show)

    why_parser = actions.add_parser("why", help="would it be sent, and which rule decided")
    why_parser.add_argument("--json", action="store_true", help="answer as one JSON object")
    why_parser.set_defaults(run=why)

    send_parser = actions.add_parser("send", help="send one now, under the same rules")
    by_file.add_to_send(send_parser)
    send_parser.set_defaults(run=send)
    by_file.add_parsers(actions)

    log_parser = actions.add_parser(
        "log",
        help="the ledger of what was sent",
        description="Lists every attempt to send a ping that the ledger holds, the oldest first.",
    )
    how = log_parser.add_mutually_exclusive_group()
    how.add_argument("--verify", action="store_true", help="check that no entry was changed, removed, added or moved")
    how.add_argument("--json", action="store_true", help="one JSON object per line, the body included")
    how.add_argument(
        "--prove",
        metavar="N",
        type=int,
        help="print the proof that entry N is in the ledger (C2SP tlog-proof; its line is in there as extra data)",
    )
    how.add_argument(
        "--checkpoint",
        action="store_true",
        help="print the newest receipt, or else the newest checkpoint, to be kept elsewhere for --against",
    )
    log_parser.add_argument(
        "--against",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="with --verify: check that the ledger continues this checkpoint or receipt too (may be repeated)",
    )
    log_parser.add_argument("--file", type=Path, help="a ledger elsewhere, such as a copy (default: as configured)")
    log_parser.add_argument(
        "--collector-key",
        metavar="KEY",
        help="the public key of the collector whose receipts are believed (default: as configured)",
    )
    log_parser.set_defaults(run=show_log)


def show(options: argparse.Namespace) -> int:
    from ff_observe.outputs.ping.sending import preview
    from ff_observe.platform.sources.installation import operating_system
    from ff_observe.running.wiring import open_platform

    settings = settings_of(options)
    logging.getLogger("ff_observe.platform.snapshots").setLevel(logging.ERROR)  # raised below
    with open_platform(settings, clock_at(options.at)) as platform:
        with progress(READING):
            snapshot = platform.snapshots.take()
        if not snapshot.up:
            raise SourceError(next(iter(snapshot.failures.values()), "the platform's database does not answer"))
        body = preview(snapshot, platform.settings, operating_system())
    if options.explain:
        _explain(body)
    elif options.diff:
        return _show_changes(body, platform.settings.ping.ledger)
    else:
        sys.stdout.buffer.write(body + (b"\n" if sys.stdout.isatty() else b""))
    return 0


def _explain(body: bytes) -> None:
    from ff_observe.catalogue.ping_contract import FIELDS
    from ff_observe.outputs.ping.explained import in_words, values

    sent = values(body)
    print("\n\n".join(in_words(field, sent.get(field.dotted)) for field in FIELDS))


def _show_changes(body: bytes, ledger: Path | None) -> int:
    from ff_observe.outputs.ping.explained import changes, last_delivered, values
    from ff_observe.outputs.ping.ledger import read_ledger
    from ff_observe.telemetry.log import escaped

    if ledger is None:
        raise LedgerError("there is nothing to compare with: telemetry.ledger is off, so that no ping is kept")
    lines = read_ledger(ledger)
    status = _warn(lines)
    last = last_delivered(lines.entries)
    if last is None:
        say(f"no ping was delivered yet, or not by a bridge that writes to {ledger}")
        return status
    time = escaped(last.time)
    try:
        found = changes(values(last.body.encode("utf-8", "surrogateescape")), values(body))
    except ValueError:
        raise LedgerError(f"{ledger}: the entry of {time} holds no ping: see ff-observe ping log --verify") from None
    print(f"Since the ping of {time}: " + ("nothing changed" if not found else f"{len(found)} changed"))
    for change in found:
        print(f"  {change}")
    return status


def why(options: argparse.Namespace) -> int:
    from ff_observe.outputs.ping.consent import decide, with_election
    from ff_observe.outputs.ping.participation import observe_election
    from ff_observe.running.wiring import locks_in, open_platform
    from ff_observe.telemetry.log import escaped

    with open_platform(settings_of(options)) as platform, progress(READING):
        snapshot = platform.snapshots.take()
        decision = decide(snapshot, platform.settings)
        instance_id = snapshot.installation.instance_id
        if decision.allowed and instance_id is not None:
            election = observe_election(platform.settings, instance_id, locks_in)
            decision = with_election(decision, election)
            if election.note and decision.allowed:
                say(escaped(election.note))
    if options.json:
        answer = {
            "allowed": decision.allowed,
            "rule": decision.rule.value,
            "explanation": decision.explanation,
            "opt_out_ignored": decision.opt_out_ignored,
        }
        print(json.dumps(answer, indent=2))
    else:
        print(f"The ping {'would' if decision.allowed else 'would not'} be sent: {escaped(decision.explanation)}")
        print(f"Rule: {decision.rule.value}")
    return 0


def send(options: argparse.Namespace) -> int:
    if by_file.is_meant(options):
        return by_file.send(options)
    from ff_observe.outputs.ping.outcome import Result
    from ff_observe.outputs.ping.sending import check_ledger, record_decision, send_once, sender_for
    from ff_observe.platform.sources.installation import operating_system
    from ff_observe.running.wiring import open_platform

    settings = settings_of(options)
    check_ledger(settings, SystemClock())
    with open_platform(settings) as platform, progress("reading the platform's database and sending the ping"):
        snapshot = platform.snapshots.take()
        sender = sender_for(platform.settings, platform.clock)
        sent = send_once(snapshot, platform.settings, operating_system(), sender)
        record_decision(sender, sent.decision)
    if sent.outcome is None:
        raise DeliveryError(f"not sent: {sent.decision.explanation}")
    if sent.outcome.result is not Result.DELIVERED:
        raise DeliveryError(f"{sent.outcome.result}: {sent.outcome.explanation}")
    print(sent.outcome.explanation)
    say("this ping takes no part in the election of a sender: a running bridge sends today's all the same")
    return 0


def show_log(options: argparse.Namespace) -> int:
    from ff_observe.outputs.ping.ledger import read_ledger
    from ff_observe.outputs.ping.ledger_proof import prove

    path, collector = _ledger_and_key(options)
    if options.against and not options.verify:
        raise UsageError("--against belongs to --verify")
    if options.verify:
        return _verify(path, collector, options.against)
    if options.prove is not None:
        write_exactly(legible(str(prove(path, options.prove, collector)), sys.stdout))
        return 0
    if options.checkpoint:
        return _print_checkpoint(path, collector)
    lines = read_ledger(path)
    if options.file is not None and not lines.is_begun:
        raise LedgerError(f"{path}: there is no such ledger")
    held = list(lines.entries)
    if options.json:
        for entry in held:
            print(json.dumps(entry.document()))
    elif held:
        _print_table(held)
    elif not lines.is_begun:
        say(f"nothing was sent yet, or not by a bridge that writes to {path}")
    return _warn(lines)


def _warn(lines: "Lines") -> int:
    """Say what is wrong with the lines of a ledger that was begun; the exit status."""
    if not lines.is_begun or not lines.findings:
        return 0
    for finding in lines.findings:
        say(f"{finding}; see `ping log --verify`")
    return 1


def _ledger_and_key(options: argparse.Namespace) -> "tuple[Path, VerifierKey | None]":
    """The ledger, and the key of the collector whose receipts are believed."""
    key = by_file.key_of("--collector-key", options.collector_key)
    if options.file is not None:
        return options.file, key
    ping = settings_of(options).ping
    if ping.ledger is None:
        raise LedgerError("no ledger is kept: telemetry.ledger is off")
    return ping.ledger, key or ping.receipts


def _verify(path: Path, collector: "VerifierKey | None", against: "Sequence[Path]") -> int:
    from ff_observe.outputs.ping.ledger_proof import examine
    from ff_observe.telemetry.log import escaped

    with progress("verifying the ledger"):
        verified = examine(path, collector, against)
    for finding in verified.findings:
        say(finding)
    if verified.findings:
        return 1
    held = list(verified.lines.entries)
    count = "1 entry" if len(held) == 1 else f"{len(held)} entries"
    tree = verified.lines.tree
    print(f"{count}, intact; the root of the {tree.size} lines is {base64.b64encode(tree.root()).decode()}")
    if collector is not None:
        receipt = verified.last_receipt
        print(f"no receipt of {collector.name} covers any" if receipt is None else f"covered by {receipt}")
    for entry in held:
        if entry.note:  # a chain that holds may be an attacker's own
            print(escaped(f"{entry.time}: {entry.note}"))
    return 0


def _print_checkpoint(path: Path, collector: "VerifierKey | None") -> int:
    from ff_observe.outputs.ping.ledger_proof import examine

    verified = examine(path, collector)
    if verified.findings:
        raise LedgerError(f"{verified.findings[0]}; ff-observe ping log --verify names every problem")
    witness = verified.last_receipt or next(iter(verified.witnesses), None)
    if witness is None:
        raise LedgerError(f"{path} has no checkpoint yet: the next entry makes one")
    write_exactly(legible(str(witness.note), sys.stdout))
    return 0


def _print_table(held: "Iterable[Entry]") -> None:
    from ff_observe.telemetry.log import escaped

    rows = [("N", "TIME", "OUTCOME", "STATUS", "RECEIVER", "BYTES", "SHA256")]
    for entry in held:
        index = str(entry.index)
        if entry.rule is not None:
            rows.append((index, entry.time, entry.outcome, "-", "-", "-", f"by the rule {entry.rule}"))
            continue
        status, receiver = "-" if entry.status is None else str(entry.status), entry.receiver or "-"
        rows.append((index, entry.time, entry.outcome, status, receiver, str(entry.bytes), entry.sha256))
    cells = [[escaped(cell) for cell in row] for row in rows]  # the file may have been tampered with
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
