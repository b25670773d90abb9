"""`ff-observe doctor`: checks everything and prints one line for each, with the remedy."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from ff_observe.cli.check import problems_besides
from ff_observe.cli.options import quiet, redactor_of, server_url, settings_of
from ff_observe.cli.terminal import mapped, painted, progress
from ff_observe.errors import ConfigurationError
from ff_observe.system.clock import SystemClock

if TYPE_CHECKING:
    from ff_observe.config.settings import Settings
    from ff_observe.errors import Problem
    from ff_observe.problems import Finding

ASK_SECONDS: Final = 10.0
_COLOURS: Final = {"error": "red", "warning": "yellow", "note": "cyan", "ok": "green"}


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "doctor",
        help="check everything, and say how to fix what fails",
        description="Tries the settings, the files, the database and its role, the address to listen on, certificates "
        "and the clock, one line each, with what to do. It contacts the platform alone, unless --network or "
        "--prometheus is given.",
        epilog="exit status: 0 no errors (warnings do not count), 1 errors, 78 the configuration is wrong",
    )
    parser.add_argument("--json", action="store_true", help="answer as one JSON object")
    parser.add_argument(
        "--network", action="store_true", help="look up and connect to every receiver of an output that is on"
    )
    parser.add_argument(
        "--prometheus", type=server_url, metavar="URL", help="ask this Prometheus whether it scrapes the bridge"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ff_observe.cli.run import leave
    from ff_observe.problems import Severity, worst_first
    from ff_observe.telemetry.log import escaped

    status, found = 0, []
    with progress("examining the platform"):
        try:
            settings = settings_of(options)
            found = list(_examined(settings, options))
        except ConfigurationError as error:
            status, found = error.exit_status, [_wrong(problem) for problem in error.problems]
    found = worst_first(found)
    if any(finding.severity is Severity.ERROR for finding in found):
        status = status or 1
    findings = mapped([asdict(finding) for finding in found], redactor_of(options).text)
    if options.json:
        print(json.dumps({"worst": found[0].severity, "findings": findings}, indent=2), flush=True)
    else:
        print("\n".join(map(_line, mapped(findings, escaped))), flush=True)
    return leave(status)


def _examined(settings: "Settings", options: argparse.Namespace) -> "Iterator[Finding]":
    from ff_observe.doctor.machine import MACHINE
    from ff_observe.doctor.model import Subject, run_checks
    from ff_observe.doctor.network import examine_network
    from ff_observe.doctor.platform import PLATFORM
    from ff_observe.doctor.serving import PORT, examine_scrapes
    from ff_observe.problems import Finding, Severity, find_problems
    from ff_observe.running.wiring import open_platform

    yield Finding("configuration", Severity.OK, f"{settings.file} is valid", "")
    yield from map(_wrong, problems_besides(settings))
    with quiet("ff_observe.platform"), open_platform(settings, asks_flowfuse=True) as platform:
        snapshot = platform.snapshots.current(ASK_SECONDS)
        if snapshot.up:
            milliseconds = snapshot.duration_seconds * 1000
            yield Finding("database", Severity.OK, f"The platform's database answers in {milliseconds:.0f} ms", "")
        yield from find_problems(settings, snapshot)
        subject = Subject(settings, SystemClock(), platform.versions, snapshot)
        yield from run_checks((*MACHINE, *PLATFORM, PORT), subject)
        if options.network:
            yield from examine_network(subject)
        if options.prometheus:
            yield from examine_scrapes(subject, options.prometheus) or [
                Finding("prometheus", Severity.OK, "Prometheus scrapes the bridge", "")
            ]


def _wrong(problem: "Problem") -> "Finding":
    from ff_observe.problems import Finding, Severity

    title = f"{problem.key or 'The configuration'} is wrong"
    fix = "Correct it there; docs/configuration.md describes every key."
    return Finding("configuration", Severity.ERROR, title, f"{problem}.", fix)


def _line(finding: dict[str, str]) -> str:
    severity, title, detail = (finding[name] for name in ("severity", "title", "detail"))
    words = (f"{title}." if detail else title, detail, finding["fix"])
    return f"{painted(f'{severity:<7}', _COLOURS[severity], sys.stdout)}  {' '.join(filter(None, words))}"
