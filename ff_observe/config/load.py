"""Finds FlowFuse's configuration file and turns it into `Settings`."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from ff_observe.config.build import build_settings
from ff_observe.config.environment import Environment, read_environment
from ff_observe.config.erb import ERBError, holds_tags, parse_template
from ff_observe.config.layers import OVERLAY_FILE, Layers
from ff_observe.config.nodes import Map, Node
from ff_observe.config.reader import not_for_root, read_tree, wrong
from ff_observe.config.settings import Settings
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.system.presence import exists
from ff_observe.system.trusted_path import check_naming_file

DEFAULT_HOME: Final = Path("/opt/flowforge")


def find_home(option: str | os.PathLike[str] | None, environment: Environment) -> Path:
    """FlowFuse's home, absolute: the option, else `FLOWFORGE_HOME`, else `/opt/flowforge` if it is there, else the
    current directory (forge/config/index.js)."""
    named = option or environment.flowforge_home
    if named:
        return Path(named).absolute()
    return DEFAULT_HOME if exists(DEFAULT_HOME) else Path.cwd()


def find_file(home: Path, option: str | os.PathLike[str] | None) -> Path:
    """The file to read: the option, else `flowforge.local.yml` in `HOME/etc` if it is there, else `flowforge.yml`."""
    if option:
        return Path(option).absolute()
    local = home / "etc" / "flowforge.local.yml"
    return local if exists(local) else home / "etc" / "flowforge.yml"


def load_settings(
    home: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    variables: Mapping[str, str] | None = None,
    overlay: str | os.PathLike[str] | None = None,
    assignments: Iterable[tuple[str, str]] = (),
) -> Settings:
    """The settings of a FlowFuse home. `variables` default to the process environment.

    FlowFuse's file is overridden by, in this order, `overlay`, the variables of keys, and `assignments` of values to
    keys. The overlay defaults to `FF_OBSERVE_SETTINGS`, else `ff-observe.yml` beside FlowFuse's file. Raises
    `ConfigurationError` with all problems. Unknown keys inside `telemetry` alone are no error: they are in
    `Settings.warnings`.
    """
    variables = os.environ if variables is None else variables
    environment = read_environment(variables)
    directory = find_home(home, environment)
    file = find_file(directory, config)
    hint = "" if config else "; FlowFuse's home is named with --home or FLOWFORGE_HOME"
    tree = _parse(file, variables, hint)
    if tree is None:
        raise wrong(file, "the file is empty")
    layers = Layers(directory / "etc")
    beside = overlay or variables.get(OVERLAY_FILE)
    over = Path(beside).absolute() if beside else file.parent / "ff-observe.yml"
    if (beside or exists(over)) and (named := _parse(over, variables)) is not None:
        layers.add_file(over, named)
    layers.add_variables(variables)
    layers.add_assignments(assignments)
    return build_settings(tree, directory, file, environment, layers)


def _parse(file: Path, variables: Mapping[str, str], hint: str = "") -> Map | None:
    def parsed(text: str) -> Node | None:
        if holds_tags(text):
            try:
                check_naming_file(file)
            except OSError as error:
                message = "as root, ff-observe puts no variable of its environment into this file"
                raise wrong(file, f"{message}: {not_for_root(error)}") from None
        return parse_template(text, variables)

    try:
        return read_tree(file, parsed, if_missing=hint)
    except ERBError as error:
        problems = (Problem(str(file), place.line, place.column, "", text) for place, text in error.problems)
        raise ConfigurationError(tuple(problems)) from None
