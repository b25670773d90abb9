"""`ff-observe check`: is the file valid, which outputs are on, and why."""

import argparse
import json
from typing import TYPE_CHECKING

from ff_observe.cli.options import settings_of
from ff_observe.errors import ConfigurationError

if TYPE_CHECKING:
    from ff_observe.config.settings import Settings


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "check",
        help="is flowforge.yml valid, which outputs are on and why",
        description="Reads flowforge.yml and tells every problem in it, or which outputs are on and why. "
        "Unknown keys inside `telemetry` are errors here. Contacts neither the database nor anybody else.",
    )
    parser.add_argument("--json", action="store_true", help="answer as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    try:
        settings = _strict(options)
    except ConfigurationError as error:
        if not options.json:
            raise
        problems = [
            {
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "key": problem.key,
                "message": problem.message,
            }
            for problem in error.problems
        ]
        print(json.dumps({"valid": False, "problems": problems}, indent=2))
        return error.exit_status

    from ff_observe.config.explain import explain_outputs
    from ff_observe.wiring import installed_versions

    outputs = explain_outputs(settings)
    refusal = installed_versions(settings).node_refusal()
    notes = [*map(str, settings.notes), *([] if refusal is None else [f"{settings.file}: {refusal}"])]
    if options.json:
        listed = [{"name": output.name, "on": output.on, "reason": output.reason} for output in outputs]
        answer = {"valid": True, "file": str(settings.file), "outputs": listed, "notes": notes}
        print(json.dumps(answer, indent=2))
        return 0
    print(f"{settings.file} is valid.\n")
    width = max(len(output.title) for output in outputs)
    for output in outputs:
        print(f"  {output.title:<{width}}  {'on ' if output.on else 'off'}  {output.reason}")
    for note in notes:
        print(f"\nnote: {note}")
    return 0


def _strict(options: argparse.Namespace) -> "Settings":
    """The settings; what `run` only warns of is an error here."""
    from ff_observe.wiring import check_otlp, check_web_security

    settings = settings_of(options)
    problems = settings.warnings
    for check in (check_web_security, check_otlp):
        try:
            check(settings)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return settings
