"""`ff-observe collector run|export|forget|key|verify`: the receiving end of the ping."""

import argparse
import logging
import os
import signal
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ff_observe.cli.files import write_exactly
from ff_observe.cli.options import hide_secrets, start_logging
from ff_observe.cli.run import STOP_SECONDS, leave, stop
from ff_observe.cli.signals import Signals
from ff_observe.cli.systemd import next_signal, notify
from ff_observe.cli.terminal import progress, say
from ff_observe.config.environment import read_environment
from ff_observe.config.secret import Secret
from ff_observe.errors import FFObserveError, UsageError

if TYPE_CHECKING:
    from ff_observe.collector.settings import CollectorSettings
    from ff_observe.collector.settings_file import NamedDatabase
    from ff_observe.lifecycle.service import Component
    from ff_observe.system.clock import Clock

COLLECTOR_DATABASE: Final = "FF_OBSERVE_COLLECTOR_DATABASE"
COLLECTOR_DATABASE_FILE: Final = "FF_OBSERVE_COLLECTOR_DATABASE_FILE"

log = logging.getLogger("ff_observe")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("collector", help="the receiving end of the ping")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    run_parser = actions.add_parser(
        "run",
        help="receive pings",
        description="Receives pings and stores what their contract names, with a keyed hash of the sender's address "
        "and never the address. SQLite in the data directory, or PostgreSQL. SIGTERM and Ctrl-C stop it.",
    )
    add_settings(run_parser)
    run_parser.add_argument("--listen", metavar="HOST:PORT", help="where to listen (default: 127.0.0.1:10465)")
    run_parser.set_defaults(run=run, usual_log_level="info")

    _add_export(actions)

    forget_parser = actions.add_parser("forget", help="delete everything stored about an instance")
    add_settings(forget_parser)
    forget_parser.add_argument("instance_id", metavar="INSTANCE_ID", help="the instance id, as in its pings")
    forget_parser.set_defaults(run=forget)

    key_parser = actions.add_parser(
        "key",
        help="print the public key of the receipts, or of the releases; or rotate what wraps the keys",
        description="Prints the public key that signs receipts, to be set as telemetry.ping.receipts on platforms; or "
        "that of the public releases, for ff-observe collector verify. With --rewrap it prints no key, and wraps those "
        "that PostgreSQL keeps by another key or command.",
    )
    add_settings(key_parser)
    key_parser.add_argument(
        "--make", action="store_true", help="make the key if there is none, as before the collector's first start"
    )
    key_parser.add_argument("--releases", action="store_true", help="print the key of the public releases")
    key_parser.add_argument(
        "--rewrap",
        action="store_true",
        help="wrap every key in PostgreSQL by what collector.yml names in keys, instead of what it names there as "
        "previous; may be repeated",
    )
    key_parser.set_defaults(run=print_key)

    verify_parser = actions.add_parser(
        "verify",
        help="verify downloaded releases of a fleet",
        description="Verifies releases that were downloaded from a collector: that each is what was signed, on the day "
        "that it names, and that together they continue one log, none changed and none missing between them. Needs no "
        "network.",
    )
    verify_parser.add_argument(
        "--key", metavar="KEY", required=True, action="append", help="the collector's key (may be repeated)"
    )
    verify_parser.add_argument(
        "files", metavar="FILE", nargs="+", type=Path, help="DAY.json, with DAY.proof in the same directory"
    )
    verify_parser.set_defaults(run=verify)


def _add_export(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "export",
        help="print all pings stored of an instance, or write days of pings as Parquet",
        description="Prints all pings stored of an instance, one line of JSON each; or writes the pings of all "
        "instances as Parquet, a file for each day (UTC) that is over. Repeated, it writes what is missing or changed.",
    )
    add_settings(parser)
    parser.add_argument("instance_id", metavar="INSTANCE_ID", nargs="?", help="the instance id, as in its pings")
    parser.add_argument("--format", choices=("json", "parquet"), default="json", help="parquet: all instances")
    parser.add_argument("--to", metavar="DIR", type=Path, help="with parquet: the directory, created if missing")
    parser.add_argument("--since", metavar="DAY", type=calendar_day, help="with parquet: the first day (default: all)")
    parser.add_argument(
        "--sender-hashes", action="store_true", help="with parquet: the keyed hash of each sender's address, too"
    )
    parser.set_defaults(run=export)


def calendar_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it as 2026-03-01") from None


def add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", metavar="FILE", type=Path, help="a collector.yml; the other options win over it")
    database = parser.add_mutually_exclusive_group()
    database.add_argument(
        "--database",
        metavar="URL",
        type=Secret,
        help="sqlite:PATH, or postgresql://… without a password, which `ps` would show "
        f"(default: ${COLLECTOR_DATABASE}, else what collector.yml says, else SQLite in the data directory)",
    )
    database.add_argument(
        "--database-file",
        metavar="FILE",
        type=Path,
        help=f"a file that holds the URL, with its password (default: ${COLLECTOR_DATABASE_FILE})",
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", type=Path, help="where data and key are kept (default: ./ff-observe-collector)"
    )


def named_settings(options: argparse.Namespace) -> "CollectorSettings":
    """Raises `ConfigurationError` or `UsageError`."""
    from ff_observe.collector.settings_file import collector_settings

    of_variable = Secret(os.environ.get(COLLECTOR_DATABASE, ""))
    urls = [url for url in (of_variable, options.database) if url and _may_hold_a_password(url)]
    hide_secrets(options, (read_environment(os.environ), urls))
    settings = collector_settings(
        options.settings,
        listen=getattr(options, "listen", None),
        database=_named_database(options),
        data_dir=options.data_dir,
    )
    hide_secrets(options, settings)
    return settings


def _may_hold_a_password(url: Secret) -> bool:
    """Not `sqlite:PATH`, nor a mere word: masked as secrets, these would be missing in our own advice."""
    return any(mark in url.reveal() for mark in ("://", "@", "="))


def _named_database(options: argparse.Namespace) -> "NamedDatabase | None":
    """What an option names, else what the environment does. Raises `UsageError` for two at once."""
    from ff_observe.collector.settings_file import NamedDatabase

    if options.database is not None:
        return NamedDatabase("--database", url=options.database, seen=True)
    if options.database_file is not None:
        return NamedDatabase("--database-file", file=options.database_file)
    url, file = os.environ.get(COLLECTOR_DATABASE), os.environ.get(COLLECTOR_DATABASE_FILE)
    if url and file:
        raise UsageError(f"set either {COLLECTOR_DATABASE} or {COLLECTOR_DATABASE_FILE}, not both")
    if url:
        return NamedDatabase(COLLECTOR_DATABASE, url=Secret(url))
    return NamedDatabase(COLLECTOR_DATABASE_FILE, file=Path(file)) if file else None


def run(options: argparse.Namespace) -> int:
    from ff_observe.collector.commands import prepare_process
    from ff_observe.collector.service import Collector
    from ff_observe.lifecycle.service import Service
    from ff_observe.system.clock import SystemClock

    start_logging(options)
    clock = SystemClock()
    settings = named_settings(options)
    collector = Collector(settings, clock)
    service = Service([*_traced(settings, clock), collector], clock, STOP_SECONDS)
    prepare_process()
    signals = Signals()
    service.start()
    notify("READY=1")
    while next_signal(signals.wait, collector.responds) == signal.SIGHUP:
        log.warning("SIGHUP: the collector reads its settings at the start only; restart it to change them")
    notify("STOPPING=1")
    log.info("stopping")
    return leave(stop(service.stop))


def _traced(settings: "CollectorSettings", clock: "Clock") -> "list[Component]":
    """The export of its own metrics over OTLP. The wiring imports the whole bridge, so it is loaded only if needed."""
    if not read_environment(os.environ).otlp_endpoint_named:
        return []
    from ff_observe.running.wiring import collector_signals

    return collector_signals(settings, clock)


def export(options: argparse.Namespace) -> int:
    from ff_observe.collector import commands

    start_logging(options)
    if options.format == "parquet":
        return _export_days(options)
    if options.instance_id is None or options.to or options.since or options.sender_hashes:
        raise UsageError("name an INSTANCE_ID alone, or write --format parquet --to DIR for the pings of all instances")
    line = None
    for line in commands.export(named_settings(options), options.instance_id):
        write_exactly(f"{line}\n")
    if line is None:
        raise _nothing_stored(options)
    return 0


def _export_days(options: argparse.Namespace) -> int:
    from ff_observe.collector import commands
    from ff_observe.system.clock import SystemClock

    if options.to is None or options.instance_id is not None:
        raise UsageError("Parquet holds the pings of all instances: name the directory with --to, and no INSTANCE_ID")
    settings, today = named_settings(options), SystemClock().now().date()
    for file in commands.export_days(settings, options.to, options.since, today, sender_hashes=options.sender_hashes):
        print(f"deleted {file.file}" if file.pings is None else f"wrote {file.file} ({_pings(file.pings)})", flush=True)
    return 0


def forget(options: argparse.Namespace) -> int:
    from ff_observe.collector import commands

    start_logging(options)
    with progress("deleting what is stored"):
        forgotten = commands.forget(named_settings(options), options.instance_id)
    is_found = forgotten.pings or forgotten.stale or forgotten.old
    if is_found:
        print(f"deleted {_pings(forgotten.pings)}")
    for files, what in (
        (
            forgotten.stale,
            "these exported files are out of date, and may hold deleted pings; the same export again replaces them",
        ),
        (forgotten.old, "these exported files hold its pings, of days deleted here; delete it from them"),
        (forgotten.unread, "files of days deleted here, which could not be read; look for it in these directories"),
    ):
        if files:
            print(f"{what}:", *files, sep="\n  ")
    if not is_found:
        raise _nothing_stored(options)
    return 0


def _pings(number: int) -> str:
    return f"{number:,} {'ping' if number == 1 else 'pings'}"


def print_key(options: argparse.Namespace) -> int:
    from ff_observe.collector import commands

    if options.rewrap:
        return _rewrap(options)
    start_logging(options)
    print(commands.public_key(named_settings(options), make=options.make, of_releases=options.releases))
    return 0


def _rewrap(options: argparse.Namespace) -> int:
    from ff_observe.collector import commands

    if options.make or options.releases:
        raise UsageError("--rewrap prints no key: write it without --make and --releases")
    options.usual_log_level = "info"  # says which copies of replaced rows are left in the database's files
    start_logging(options)
    for key in commands.rewrap(named_settings(options)):
        print(f"{key.name}: {'already ' if key.was_before else ''}wrapped by {key.setting}", flush=True)
    return 0


def verify(options: argparse.Namespace) -> int:
    from ff_observe.collector import commands

    start_logging(options)
    findings = commands.verify(options.key, options.files)
    for finding in findings:
        say(finding)
    if not findings:
        count = len(options.files)
        print(f"{count} {'release' if count == 1 else 'releases'}, intact")
    return 1 if findings else 0


def _nothing_stored(options: argparse.Namespace) -> FFObserveError:
    return FFObserveError(f"nothing is stored about an instance {options.instance_id!r}; is the id complete?")
