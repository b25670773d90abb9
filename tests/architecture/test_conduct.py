"""How the package behaves as a whole: who speaks, who ends the process, and what an import costs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from typing import TypeVar

import pytest

from ff_observe.cli import _COMMANDS
from tests import network_guard
from tests.architecture.sources import Module, is_within, modules

HEAVY = ("sentry_sdk", "opentelemetry", "grpc", "psycopg", "jwt", "cryptography", "httptools", "uvloop")
"""Loaded only when their output is on: start-up time and memory are features."""

NOT_FOR_HELP = (*HEAVY, "prometheus_client", "yaml", "asyncio", "ssl", "http", "email", "tempfile", "sqlite3")
"""What `ff-observe --help`, or who only imports the library, does not wait for."""

LIGHT = {
    "ff_observe": NOT_FOR_HELP,
    "ff_observe.catalogue": NOT_FOR_HELP,
    "ff_observe.config": NOT_FOR_HELP,
    "ff_observe.config.load": HEAVY,
    "ff_observe.frontend": NOT_FOR_HELP,
    "ff_observe.catalogue.ping_contract": NOT_FOR_HELP,
    "ff_observe.platform.snapshots": HEAVY,
    "ff_observe.platform.sources.sqlite": HEAVY,
    "ff_observe.running.wiring": HEAVY,
}

each_module = pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)


def speaks(module: Module) -> bool:
    """Whether the module is one that may print and end the process."""
    return is_within(module.name, "ff_observe.cli") or module.name.endswith(".__main__")


def dotted(node: ast.expr) -> str:
    """`sys.exit` of the expression `sys.exit`; empty for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


@each_module
def test_only_the_command_line_prints_or_exits(module: Module) -> None:
    if speaks(module):
        return
    reserved = {"print", "exit", "quit", "sys.exit", "os._exit", "sys.stdout", "sys.stderr", "input"}
    if module.name == "ff_observe.telemetry.log":
        reserved.remove("sys.stderr")  # where the log goes
    used = [
        f"{module.place}:{node.lineno}"
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Name | ast.Attribute) and dotted(node) in reserved)
        or (isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.dump(node.exc))
    ]
    assert used == []


@pytest.mark.parametrize(("name", "heavy"), LIGHT.items(), ids=LIGHT)
def test_an_import_loads_no_heavy_library(name: str, heavy: tuple[str, ...]) -> None:
    assert loaded_by(f"import {name}").intersection(heavy) == set()


def test_help_waits_for_neither_libraries_nor_the_catalogue() -> None:
    loaded = loaded_by("from ff_observe.cli import build_parser; build_parser().format_help()")
    assert "ff_observe.cli.completion" in loaded
    assert loaded.intersection((*NOT_FOR_HELP, "ff_observe.catalogue")) == set()


@pytest.mark.parametrize("arguments", [["check"], ["--home", "run", "--set=a=b", "--config", "c", "check", "--json"]])
def test_a_command_loads_no_other(arguments: list[str]) -> None:
    loaded = loaded_by(f"from ff_observe.cli import _needed, build_parser; build_parser(_needed({arguments}))")
    assert loaded & {f"ff_observe.cli.{command}" for command in _COMMANDS} == {"ff_observe.cli.check"}


def test_a_health_check_loads_no_part_of_the_bridge() -> None:
    """Containers start one every 30 seconds."""
    loaded = loaded_by("from ff_observe.cli import main; main(['health', '--url', 'http://127.0.0.1:9'])")
    assert "ff_observe.web.local" in loaded
    parts = ("catalogue", "doctor", "http", "outputs", "platform", "web.status")
    assert [name for name in loaded if any(is_within(name, f"ff_observe.{part}") for part in parts)] == []


def loaded_by(statements: str) -> set[str]:
    """The names of all modules that some statements load."""
    ended = subprocess.run(
        [sys.executable, "-c", f"{statements}; import sys; print(*sys.modules)"],
        env=network_guard.guarded_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stdout.split())


@each_module
def test_a_module_says_what_it_is_responsible_for(module: Module) -> None:
    docstring = ast.get_docstring(module.tree)
    assert docstring
    assert docstring.rstrip().endswith((".", ":")) or "\n" in docstring


def test_every_name_at_the_top_of_a_module_is_used() -> None:
    used = {node.id for node in nodes(ast.Name) if isinstance(node.ctx, ast.Load)}
    used |= {node.attr for node in nodes(ast.Attribute)}
    used |= {name for module in modules() for name in exported(module)}
    unused = [f"{module.place}: {name}" for module in modules() for name in defined(module) - used]
    assert unused == []


N = TypeVar("N", bound=ast.AST)


def nodes(kind: type[N]) -> Iterator[N]:
    for module in modules():
        yield from (node for node in ast.walk(module.tree) if isinstance(node, kind))


def defined(module: Module) -> set[str]:
    """Functions, classes and constants; `__all__` and the like speak to Python."""
    found: set[str] = set()
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            inner = (each for each in ast.walk(node) if isinstance(each, ast.Name))
            found |= {each.id for each in inner if isinstance(each.ctx, ast.Store)}
    return {name for name in found if not name.startswith("__")}


def exported(module: Module) -> list[str]:
    """What a module offers to others who import the library."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and dotted(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


@each_module
def test_the_time_of_day_comes_from_the_clock(module: Module) -> None:
    """Only `clock.py` asks the system. Chance comes from a `Random` that is given: ruff's S311 sees to that."""
    if module.name == "ff_observe.system.clock":
        return
    asked = {"time.time", "time.sleep", "datetime.now", "datetime.utcnow", "datetime.datetime.now", "date.today"}
    used = [
        f"{module.place}:{node.lineno}: {dotted(node)}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and dotted(node) in asked
    ]
    assert used == []


BRIDGE = tuple(f"ff_observe.{name}" for name in ("config", "delivery", "doctor", "outputs", "platform", "web"))


@each_module
def test_the_bridge_looks_for_files_where_it_may_not_enter_too(module: Module) -> None:
    """The methods of `Path` raise `PermissionError` there before Python 3.14; `presence.py` does not."""
    if not any(is_within(module.name, package) for package in BRIDGE):
        return
    used = [
        f"{module.place}:{node.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and not node.args
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"exists", "is_file", "is_dir"}
    ]
    assert used == []
