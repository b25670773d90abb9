"""`ff-observe check`: is the file valid, does the platform's database answer, which outputs are on, and why."""

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ff_observe.cli.options import add_platforms, platforms_of, quiet, settings_of
from ff_observe.cli.terminal import READING, mapped, painted, progress
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.telemetry.platform_context import working_for

if TYPE_CHECKING:
    from ff_observe.config.platforms import ListedPlatform
    from ff_observe.config.settings import Settings
    from ff_observe.lifecycle.workers import Workers
    from ff_observe.platform.snapshot import Snapshot

_Checked = tuple[dict[str, Any], bool]

ASK_SECONDS = 5.0
"""Time limit for the platform. Connecting to PostgreSQL alone may take 3."""

AT_A_TIME: Final = 8
"""How many of several platforms are asked at a time, besides those that are slow to answer: more would be slow
themselves on a machine with one core."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "check",
        help="is flowforge.yml valid, does the database answer, which outputs are on and why",
        description="Reads flowforge.yml, asks the platform's database once, and prints every problem, and which "
        "outputs are on and why. Unknown keys inside `telemetry` are errors here. With --platforms, the same of each.",
        epilog="exit status: 0 the database answers, 1 it does not, 78 the configuration is wrong",
    )
    add_platforms(parser, "check")
    parser.add_argument("--offline", action="store_true", help="check the file alone: contact no database")
    parser.add_argument("--effective", action="store_true", help="list every value in use and where it came from")
    parser.add_argument("--json", action="store_true", help="answer as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ff_observe.cli.run import leave

    several = options.platforms is not None
    try:
        with quiet("ff_observe.platform"), contextlib.nullcontext() if options.offline else progress(READING):
            answer, hangs = _of_several(options) if several else _of_platform(_strict(options), options)
    except ConfigurationError as error:
        if not options.json:
            raise
        answer, hangs = _invalid(error.problems), False
    if options.json:
        print(json.dumps(answer, indent=2), flush=True)
    else:
        print("\n".join(_lines_of_several(answer) if several else _lines(answer)), flush=True)
    status = max(_status(each) for each in (answer, *answer.get("platforms", ())))
    return leave(status) if hangs else status


def _status(answer: dict[str, Any]) -> int:
    if not answer["valid"]:
        return ConfigurationError.exit_status
    return 0 if answer.get("platform", {"answers": True})["answers"] else 1


def _strict(options: argparse.Namespace) -> "Settings":
    """The settings; warnings of `run` are errors here."""
    settings = settings_of(options)
    problems = settings.warnings + problems_besides(settings)
    if problems:
        raise ConfigurationError(problems)
    return settings


def _of_several(options: argparse.Namespace) -> _Checked:
    """The answers for all that `--platforms` names, in its order, and whether a thread still hangs."""
    from ff_observe.lifecycle.workers import Workers
    from ff_observe.running.wiring import web_security

    listed = platforms_of(options)
    problems = listed.warnings + _problems_of(lambda: web_security(listed.web))
    workers = Workers(AT_A_TIME)
    begun = [_begun(workers, partial(_of_listed, platform, options)) for platform in listed.platforms]
    checked = [each.result() for each in begun]
    answers, hang = [answer for answer, _ in checked], any(hangs for _, hangs in checked)
    valid = not problems and all(answer["valid"] for answer in answers)
    return {"valid": valid, "problems": list(map(asdict, problems)), "platforms": answers}, hang


def _begun(workers: "Workers", check: Callable[[], _Checked]) -> "Future[_Checked]":
    """The check in a thread of its own, or done at once if the system has none to give."""
    future: Future[_Checked] = Future()

    def run() -> None:
        try:
            future.set_result(check())
        except BaseException as error:
            future.set_exception(error)

    if not workers.submit("check", run):
        run()
    return future


def _of_listed(platform: "ListedPlatform", options: argparse.Namespace) -> _Checked:
    from ff_observe.outputs.otlp.output import check as check_otlp

    with working_for(platform.name):
        settings, problems, hangs = platform.settings, platform.problems, False
        if settings is not None:
            problems = settings.warnings + _problems_of(lambda: check_otlp(settings))
        if settings is None or problems:
            answer = mapped(_invalid(problems), options.redactor.text)
        else:
            answer, hangs = _of_platform(settings, options)
        return {"name": platform.name, **answer}, hangs


def _of_platform(settings: "Settings", options: argparse.Namespace) -> _Checked:
    snapshot, hangs = (None, False) if options.offline else _ask(settings)
    return mapped(_answer(settings, snapshot, every_value=options.effective), options.redactor.text), hangs


def _invalid(problems: tuple[Problem, ...]) -> dict[str, Any]:
    return {"valid": False, "problems": list(map(asdict, problems))}


def problems_besides(settings: "Settings") -> tuple[Problem, ...]:
    """What is wrong with the web configuration, and with the variables that complete OTLP's settings."""
    from ff_observe.outputs.otlp.output import check as check_otlp
    from ff_observe.running.wiring import web_security

    return _problems_of(lambda: web_security(settings.prometheus), lambda: check_otlp(settings))


def _problems_of(*checks: Callable[[], object]) -> tuple[Problem, ...]:
    problems: tuple[Problem, ...] = ()
    for check in checks:
        try:
            check()
        except ConfigurationError as error:
            problems += error.problems
    return problems


def _ask(settings: "Settings") -> "tuple[Snapshot, bool]":
    """One snapshot, taken within `ASK_SECONDS`, and whether its thread still hangs. It is not `up` if the platform does
    not answer."""
    from ff_observe.running.wiring import open_platform

    try:
        with open_platform(settings, asks_flowfuse=True) as platform:
            snapshot = platform.snapshots.current(ASK_SECONDS)
    except TimeoutError:
        return snapshot, True
    return snapshot, False


def _answer(settings: "Settings", snapshot: "Snapshot | None", *, every_value: bool) -> dict[str, Any]:
    from ff_observe.config.settings import PostgreSQLDatabase
    from ff_observe.outputs import statuses
    from ff_observe.platform.sources.installation import installed_versions
    from ff_observe.problems import find_problems

    answer: dict[str, Any] = {"valid": True, "file": str(settings.file)}
    answer["values"] = [
        {"key": value.key, "value": value.shown, "origin": value.origin or "default"}
        for value in settings.effective
        if every_value or value.lies_over
    ]
    if isinstance(settings.database, PostgreSQLDatabase):
        answer["postgresql_tls"] = settings.database.tls_mode
    if snapshot is not None:
        answer["platform"] = _platform(settings, snapshot)
        answer["problems"] = [asdict(problem) for problem in find_problems(settings, snapshot)]
    answer["outputs"] = [
        {"name": output.name, "title": output.title, "on": status.on, "reason": status.reason}
        for output, status in statuses(settings, snapshot)
    ]
    refusal = installed_versions(settings).node_refusal()
    answer["notes"] = [*map(str, settings.notes), *([] if refusal is None else [f"{settings.file}: {refusal}"])]
    return answer


def _platform(settings: "Settings", snapshot: "Snapshot") -> dict[str, Any]:
    installation = snapshot.installation
    licence = installation.licence
    expires = None if licence is None or licence.expires_at is None else f"{licence.expires_at:%Y-%m-%d}"
    return {
        "answers": snapshot.up,
        "milliseconds": round(snapshot.duration_seconds * 1000),
        "flowfuse_version": installation.flowfuse_version,
        "initialised": installation.initialised,
        "licence": None if licence is None else {"type": licence.type, "tier": licence.tier, "expires": expires},
        "counts": {
            name: int(snapshot.readings[f"flowfuse_{name}"][()])
            for name in ("users", "teams", "instances", "devices")
            if f"flowfuse_{name}" in snapshot.readings
        },
    }


def _lines_of_several(answer: dict[str, Any]) -> Iterator[str]:
    yield from map(_line, answer["problems"])
    for platform in answer["platforms"]:
        lines = _lines(platform) if platform["valid"] else map(_line, platform["problems"])
        yield f"{platform['name']}:"
        yield from (f"  {line}".rstrip() for line in lines)
        yield ""
    states = [_status(platform) for platform in answer["platforms"]]
    words = {ConfigurationError.exit_status: "not valid", 1: "without an answer of the database"}
    counted = [f"{states.count(status)} {said}" for status, said in words.items() if status in states]
    yield f"{len(states)} platforms: {', '.join(counted) or 'nothing is wrong with their files'}."


def _line(problem: dict[str, Any]) -> str:
    from ff_observe.telemetry.log import escaped

    return f"{painted('problem:', 'red', sys.stdout)} {Problem(**mapped(problem, escaped))}"


def _lines(answer: dict[str, Any]) -> "list[str]":
    from ff_observe.telemetry.log import escaped

    answer = mapped(answer, escaped)
    lines = [f"{answer['file']} is valid.", *_values(answer["values"])]
    if "postgresql_tls" in answer:
        lines.append(f"Connection to PostgreSQL: {answer['postgresql_tls']}.")
    if "platform" in answer:
        lines.append(_platform_line(answer["platform"]))
    for problem in answer.get("problems", ()):
        colour = "red" if problem["severity"] == "error" else "yellow"
        lines += [
            "",
            f"{painted('problem:', colour, sys.stdout)} {problem['title']}",
            f"  {problem['detail']}",
            f"  {problem['fix']}",
        ]
    lines.append("")
    width = max(len(output["title"]) for output in answer["outputs"])
    states = {True: painted("on ", "green", sys.stdout), False: "off", None: "?  "}
    for output in answer["outputs"]:
        lines.append(f"  {output['title']:<{width}}  {states[output['on']]}  {output['reason']}")
    for note in answer["notes"]:
        lines += ["", f"note: {note}"]
    return lines


def _values(values: list[dict[str, str]]) -> list[str]:
    """A table of the values in use; without `--effective` only those set outside flowforge.yml."""
    if not values:
        return []
    keys, shown = (max(len(value[column]) for value in values) for column in ("key", "value"))
    rows = (f"  {value['key']:<{keys}}  {value['value']:<{shown}}  {value['origin']}" for value in values)
    return ["", "Values and where they came from:", *rows, ""]


def _platform_line(platform: dict[str, Any]) -> str:
    if not platform["answers"]:
        return "The platform's database does not answer."
    licence = platform["licence"]
    facts = [
        f"FlowFuse {platform['flowfuse_version'] or 'of unknown version'}",
        "no licence" if licence is None else " ".join(filter(None, ("licence", licence["type"], licence["tier"]))),
        *(f"{count} {name if count != 1 else name[:-1]}" for name, count in platform["counts"].items()),
    ]
    return f"The platform's database answers in {platform['milliseconds']} ms: {', '.join(facts)}."
