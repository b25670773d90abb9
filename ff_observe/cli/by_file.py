"""`ff-observe ping export`, `ping send --from` and `ping receipt`: pings of machines without a network."""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from ff_observe.cli.files import fresh
from ff_observe.cli.options import settings_of
from ff_observe.cli.terminal import READING, progress, say
from ff_observe.errors import DeliveryError, LedgerError, UsageError
from ff_observe.system.clock import SystemClock

if TYPE_CHECKING:
    from ff_observe.transparency.notes import VerifierKey

T = TypeVar("T")


def add_parsers(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    export_parser = actions.add_parser(
        "export",
        help="write a ping into a file, for another machine to send",
        description="Writes what `ping send` would send into a new file, under the same rules. The ledger records it.",
    )
    export_parser.add_argument("file", metavar="FILE", type=Path, help="a new file")
    export_parser.set_defaults(run=export)

    receipt_parser = actions.add_parser("receipt", help="take in the receipt of an exported ping")
    receipt_parser.add_argument("file", metavar="FILE", type=Path, help="what `ping send --from` wrote")
    receipt_parser.set_defaults(run=receipt)


def add_to_send(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="source", metavar="FILE", type=Path, help="send a ping that another machine exported"
    )
    parser.add_argument(
        "--receipt",
        metavar="FILE",
        type=Path,
        help="with --from: where to write the receipt for that machine (default: FILE.receipt); what it names is not "
        "sent again",
    )
    parser.add_argument(
        "--ledger-key", metavar="KEY", help="with --from: the public key that `ping export` printed on that machine"
    )


def key_of(option: str, text: str | None) -> "VerifierKey | None":
    """The public key that an option names. Raises `UsageError`."""
    from ff_observe.transparency.notes import NoteError, VerifierKey

    try:
        return None if text is None else VerifierKey.parse(text)
    except NoteError as error:
        raise UsageError(f"{option}: {error}") from None


def is_meant(options: argparse.Namespace) -> bool:
    """Whether an option of `ping send` concerns a ping of another machine."""
    return (options.source, options.receipt, options.ledger_key) != (None, None, None)


def export(options: argparse.Namespace) -> int:
    from ff_observe.outputs.ping import by_file
    from ff_observe.outputs.ping.sending import ledger_of
    from ff_observe.platform.sources.installation import operating_system
    from ff_observe.running.wiring import open_platform

    settings = settings_of(options)
    ledger = ledger_of(settings, SystemClock())
    if os.path.lexists(options.file):
        raise UsageError(f"{options.file} is there already: name a new file")
    with _new_file(options.file) as written:
        with open_platform(settings) as platform, progress(READING):
            snapshot = platform.snapshots.take()
            try:
                exported = by_file.export(snapshot, platform.settings, operating_system(), ledger)
            except OSError as error:
                raise LedgerError(f"{ledger.path} cannot be written: {error.strerror or error}") from None
        written.write(exported.written())
    print(f"wrote {options.file}; the public key of the ledger is {exported.key}")
    return 0


def send(options: argparse.Namespace) -> int:
    from ff_observe.outputs.ping import by_file
    from ff_observe.outputs.ping.delivery import Delivery

    if options.source is None:
        raise UsageError(f"{'--ledger-key' if options.receipt is None else '--receipt'} belongs to --from")
    settings, clock = settings_of(options), SystemClock()
    if settings.environment.ff_telemetry_disabled:
        raise DeliveryError("not sent: FF_TELEMETRY_DISABLED is set in the environment of ff-observe")
    expected = key_of("--ledger-key", options.ledger_key)
    exported = _read(options.source, lambda content: by_file.Export.parse(content, expected))
    file = options.receipt or options.source.with_name(f"{options.source.name}.receipt")
    if file.exists():
        receipt = _read(file, by_file.Receipt.parse)
        if not receipt.is_of(exported):
            raise UsageError(f"{file} is the receipt of another ping: name a new file with --receipt")
        print(f"was delivered at {receipt.time} to {receipt.receiver}; not sent again")
        return 0
    with _new_file(file) as written:  # opened before anything leaves: what cannot be noted is not sent
        with progress("sending the ping"):
            receipt = by_file.deliver(
                *(exported, Delivery(settings.ping.url, clock)),
                lambda: f"{clock.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            )
        written.write(receipt.written())
    print(f"delivered to {receipt.receiver}; take {file} back, for `ff-observe ping receipt`")
    if exported.collector is not None and receipt.note is None:
        say(f"it is refused there: {exported.collector.name} did not sign it")
    return 0


def receipt(options: argparse.Namespace) -> int:
    from ff_observe.outputs.ping import by_file
    from ff_observe.outputs.ping.sending import ledger_of

    settings = settings_of(options)
    ledger = ledger_of(settings, SystemClock())
    taken = _read(options.file, by_file.Receipt.parse)
    try:
        is_new = by_file.take_receipt(taken, ledger, settings.ping.receipts)
    except OSError as error:
        raise LedgerError(f"{ledger.path} cannot be written: {error.strerror or error}") from None
    print(f"delivered at {taken.time} to {taken.receiver}{'' if is_new else '; it was recorded before'}")
    return 0


def _read(file: Path, parse: Callable[[bytes], T]) -> T:
    """What a file holds. Raises `DeliveryError`, which names the file."""
    from ff_observe.outputs.ping.by_file import LARGEST

    try:
        with file.open("rb") as opened:
            return parse(opened.read(LARGEST + 1))
    except DeliveryError as error:
        raise DeliveryError(f"{file}: {error}") from None
    except OSError as error:
        raise DeliveryError(f"{file} cannot be read: {error.strerror or error}") from None


@contextlib.contextmanager
def _new_file(file: Path) -> Iterator[BinaryIO]:
    """See `fresh`. Raises `DeliveryError` if the file cannot be made or written."""
    try:
        with fresh(file, 0o600) as opened:
            yield opened
    except OSError as error:
        raise DeliveryError(f"{file} cannot be written: {error.strerror or error}") from None
