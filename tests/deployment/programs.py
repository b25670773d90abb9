"""Stand-ins for programs that no test machine has running (container engine, cluster, service manager): they check
what they are asked with the real Helm, compose and systemd files of the repository, and do nothing.

In a document's scene each is a program of its name: `python -m tests.deployment.programs NAME ARGUMENTS`.
"""

import argparse
import os
import re
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import yaml

from ff_observe.cli import build_parser
from tests import kubernetes
from tests.deployment import chart, compose
from tests.deployment.dockerfile import stages
from tests.plain_machine import TOP

Arguments = Sequence[str]


def docker(arguments: Arguments) -> None:
    if arguments[0] == "compose":
        return _compose(arguments[1:])
    parser = argparse.ArgumentParser(prog="docker")
    actions = parser.add_subparsers(dest="action", required=True)
    build = actions.add_parser("build")
    build.add_argument("--tag", required=True)
    build.add_argument("context", type=Path)
    actions.add_parser("push").add_argument("image")
    options = parser.parse_args(arguments)
    if options.action == "build":
        stages(options.context / "Dockerfile")
    return None


def _compose(arguments: Arguments) -> None:
    parser = argparse.ArgumentParser(prog="docker compose")
    parser.add_argument("-f", action="append", required=True)
    parser.add_argument("--profile", action="append", default=[])
    actions = parser.add_subparsers(dest="action", required=True)
    up = actions.add_parser("up")
    up.add_argument("-d", action="store_true", required=True)
    up.add_argument("--build", action="store_true")
    actions.add_parser("ps")
    actions.add_parser("logs").add_argument("service")
    execute = actions.add_parser("exec")
    execute.add_argument("service")
    execute.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    assert [Path(file).resolve() for file in options.f] == [Path("docker-compose.yml").resolve(), compose.OVERLAY]
    variables = dict(line.split("=", 1) for line in Path(".env").read_text().splitlines())
    project = compose.merged(Path.cwd(), Path("docker-compose.yml"), *options.profile, **variables)
    assert variables[project["secrets"]["ff_observe_db_password"]["environment"]]
    if options.action in ("logs", "exec"):
        assert options.service in project["services"], options.service
    if options.action == "exec":
        _bridge(options.command)


def helm(arguments: Arguments) -> None:
    parser = argparse.ArgumentParser(prog="helm")
    actions = parser.add_subparsers(dest="action", required=True)
    for name in ("install", "upgrade"):
        action = actions.add_parser(name)
        action.add_argument("release")
        action.add_argument("chart")
        action.add_argument("--namespace", required=True)
        action.add_argument("--set", action="append", default=[], type=lambda text: text.split("=", 1))
        action.add_argument("--values", type=Path)
        action.add_argument("--reuse-values", action="store_true")
    options = parser.parse_args(arguments)
    values = yaml.safe_load(options.values.read_text()) if options.values else {}
    if options.chart == "flowfuse/flowfuse":  # FlowFuse's own: it takes a list of whole objects
        assert [each["kind"] for each in values["extraObjects"]]
        return
    assert Path(options.chart).resolve() == chart.CHART
    for path, value in options.set:
        *sections, name = path.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    assert chart.render(values, options.release)


def kubectl(arguments: Arguments) -> None:
    parser = argparse.ArgumentParser(prog="kubectl")
    parser.add_argument("--namespace", "-n", required=True)
    parser.add_argument("action", nargs="+")
    parser.add_argument("-f", type=Path)
    own, _, command = " ".join(arguments).partition(" -- ")
    words = [word for word in own.split() if not word.startswith("--from-literal=")]
    options = parser.parse_args(words)
    objects = {f"{each['kind'].lower()}/{each['metadata']['name']}": each for each in chart.render()}
    match options.action:
        case ["apply"]:
            for each in yaml.safe_load_all(options.f.read_text()):
                kubernetes.takes(each)
        case ["rollout", "status" | "restart", target] | ["exec", target]:
            assert target in objects, target
        case ["port-forward", target, ports]:
            assert ports.split(":")[1] == str(objects[target]["spec"]["ports"][0]["port"])
        case ["set", "env", "deployment/flowforge", variable]:
            assert variable == "FF_TELEMETRY_DISABLED=1"
        case ["create", "secret", "generic", _]:
            assert "--from-literal=password=" in own
        case other:
            raise SystemExit(f"kubectl {other} is not known here")
    if command:
        _bridge(command.split())


def systemctl(arguments: Arguments) -> None:
    action, *units = [argument for argument in arguments if argument != "--now"]
    assert action in ("daemon-reload", "enable", "status", "restart", "reload"), action
    for unit in units:
        assert Path("/etc/systemd/system", f"{unit}.service").read_text() == _unit(unit)
        for settings in re.findall(r"^ExecStart=.* (/etc/\S+)", _unit(unit), re.MULTILINE):
            assert all(above.stat().st_mode & stat.S_IXOTH for above in Path(settings).parents), "closed to its user"


def journalctl(arguments: Arguments) -> None:
    option, unit = arguments
    assert option == "--unit"
    assert _unit(unit)


def runuser(arguments: Arguments) -> None:
    """The machine has no such user: the command runs as the present one."""
    option, user, end, *command = arguments
    assert (option, user, end) == ("-u", "flowforge", "--")
    os.execvp(command[0], command)


def _unit(name: str) -> str:
    return (TOP / "deploy" / "systemd" / f"{name}.service").read_text()


def _bridge(command: Arguments) -> None:
    program, *arguments = command
    assert program == "ff-observe", program
    build_parser().parse_args(arguments)


PROGRAMS: Final[dict[str, Callable[[Arguments], None]]] = {
    program.__name__: program for program in (docker, helm, kubectl, systemctl, journalctl, runuser)
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](sys.argv[2:])
