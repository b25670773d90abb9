"""Several platforms for one process: a directory of FlowFuse homes, or a file that lists them → `Platforms`."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ff_observe.config import declaration, kinds
from ff_observe.config.build import refuse_if_open
from ff_observe.config.key import FileKeys, Key
from ff_observe.config.kind import Kind, WrongValueError, read_each
from ff_observe.config.known_keys import check_keys
from ff_observe.config.load import find_file, load_settings
from ff_observe.config.nodes import Entry as MapEntry
from ff_observe.config.nodes import Map, Node, Place, Scalar, Sequence
from ff_observe.config.reader import Reader, not_for_root, read_tree, wrong
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.config.settings import PrometheusSettings, Settings
from ff_observe.config.yaml_core import parse
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.system.presence import is_directory
from ff_observe.system.trusted_path import check_naming_file

LONGEST_NAME: Final = 100
LABELS_OF_OURS: Final = ("platform", "instance")
_LABEL: Final = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LINE_END: Final = re.compile(r"\r\n|[\r\n]")  # not all that Unicode has: a value may hold those
_BLANK: Final = " \t"
_OF_OTLP: Final = "OTEL_EXPORTER_OTLP_"


@dataclass(frozen=True, slots=True)
class Entry:
    """One platform as the list names it. `labels` are the operator's, for `/-/targets`."""

    name: str
    home: Path | None = None
    config: Path | None = None
    environment_file: Path | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListedPlatform:
    """One platform: its settings, or the `problems` for which it has none."""

    name: str
    settings: Settings | None
    problems: tuple[Problem, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Platforms:
    """Several platforms, and where and how the process that holds them serves their pages."""

    source: Path
    web: PrometheusSettings
    platforms: tuple[ListedPlatform, ...]
    warnings: tuple[Problem, ...] = ()


def name_problem(name: str) -> str | None:
    """What is wrong with a name: it is one segment of a path, and of a line in the log."""
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or "/" in name or name in (".", ".."):
        return f"a name has 1 to {LONGEST_NAME} printable characters and no slash, and is neither . nor .."
    return None


def _name(node: Node) -> str | None:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        raise WrongValueError("write a string")
    problem = name_problem(node.value)
    if problem is not None:
        raise WrongValueError(problem)
    return node.value


def _labels(node: Node) -> Mapping[str, str] | None:
    if isinstance(node, Scalar) and node.value is None:
        return None
    if not isinstance(node, Map):
        raise WrongValueError("write a map: one line 'LABEL: value' for each label")
    return dict(read_each(_label, node.entries.items()))


def _label(named: tuple[str, MapEntry]) -> tuple[str, str]:
    name, entry = named
    if not _LABEL.fullmatch(name) or name in LABELS_OF_OURS:
        message = "a label has letters, digits and _, begins with no digit nor __, and is not platform or instance"
        raise WrongValueError(message, entry.place)
    if not isinstance(entry.value, Scalar) or entry.value.value is None:
        raise WrongValueError("write a string", entry.value.place)
    return name, entry.value.text


def _list(node: Node) -> tuple[Node, ...]:
    if not isinstance(node, Sequence):
        raise WrongValueError("write a list: '- name: NAME' and 'home: DIR' below it, for each platform")
    return node.items


NAME = Key("name", Kind("string", _name), "The platform's name.")
HOME = Key("home", kinds.PATH, "Its FlowFuse home.")
CONFIG = Key("config", kinds.PATH, "Its configuration file, in place of the home.")
ENVIRONMENT_FILE = Key("environment_file", kinds.PATH, "Variables for this platform alone.")
LABELS = Key("labels", Kind("map of strings", _labels), "Labels for Prometheus.", default={})
ENTRY_KEYS: Final = FileKeys((NAME, HOME, CONFIG, ENVIRONMENT_FILE, LABELS))

HOMES = Key("homes", kinds.PATH, "A directory whose subdirectories are FlowFuse homes, each named as it is.")
PLATFORMS = Key(
    "platforms",
    Kind("list of maps", _list),
    "Each platform: its `name`; `home`, or `config` (the file itself); `environment_file`; `labels` for Prometheus.",
)
_SERVING: Final = tuple(
    replace(key, path=key.path.rpartition(".")[2])
    for key in (
        declaration.PROMETHEUS_HOST,
        declaration.PROMETHEUS_PORT,
        declaration.PROMETHEUS_ALLOWED_HOSTS,
        declaration.PROMETHEUS_WEB_CONFIG_FILE,
        declaration.PROMETHEUS_BEARER_TOKEN_FILE,
        declaration.PROMETHEUS_ALLOW_PUBLIC,
    )
)

PLATFORMS_FILE: Final = FileKeys((HOMES, PLATFORMS, *_SERVING))


def load_platforms(path: str | os.PathLike[str], variables: Mapping[str, str] | None = None) -> Platforms:
    """The platforms of a directory of homes, or of the file that lists them, each with its settings or its problems.

    `variables` are those of the process where none are given. Raises `ConfigurationError` where the directory or the
    list itself cannot be used: what is wrong with one platform's files is that platform's error alone.
    """
    variables = os.environ if variables is None else variables
    source = Path(path).absolute()
    warnings: list[Problem] = []
    if is_directory(source):
        web, entries = PrometheusSettings(enabled=True), tuple(_homes_in(source, warnings))
    else:
        web, entries = _read_list(source, warnings)
    return Platforms(source, web, tuple(_distinct(_load(entry, variables) for entry in entries)), tuple(warnings))


def _read_list(file: Path, warnings: list[Problem]) -> tuple[PrometheusSettings, tuple[Entry, ...]]:
    tree = read_tree(file, _a_bare_list_too)
    if tree is None:
        raise wrong(file, "the file is empty: list platforms in it")
    reader = Reader(file, tree, PLATFORMS_FILE, file.parent)
    web = PrometheusSettings(enabled=True, **{key.path: reader.value(key) for key in _SERVING})
    refuse_if_open(reader, web)
    homes, entries = reader.value(HOMES), _entries(reader, file)
    reader.problems += check_keys(reader)
    reader.finish()
    for found in _homes_in(homes, warnings) if homes is not None else ():
        entries.setdefault(found.name, found)
    return web, tuple(entries.values())


def _a_bare_list_too(text: str) -> Node | None:
    tree = parse(text)
    return Map(tree.place, {PLATFORMS.path: MapEntry(tree.place, tree)}) if isinstance(tree, Sequence) else tree


def _entries(reader: Reader, file: Path) -> dict[str, Entry]:
    """The listed platforms by name. The reader gets the problems of each."""
    entries: dict[str, Entry] = {}
    for node in reader.value(PLATFORMS) or ():
        if not isinstance(node, Map):
            reader.problem(PLATFORMS.path, "write a map with name, and home or config", node.place)
            continue
        own = Reader(file, node, ENTRY_KEYS, file.parent)
        name, home, config = own.value(NAME), own.value(HOME), own.value(CONFIG)
        environment_file, labels = own.value(ENVIRONMENT_FILE), own.value(LABELS)
        own.problems += check_keys(own)
        if not own.problems and name is None:
            own.problem(NAME.path, "give the platform a name", node.place)
        if not own.problems and home is None and config is None:
            own.problem("", "name the platform's home, or its configuration file (config)", node.place)
        if not own.problems and name in entries:
            own.problem(NAME.path, "another platform has this name already", node.place)
        reader.problems += own.problems
        if home is None and config is not None:
            home = config.parent.parent if config.parent.name == "etc" else config.parent
        entries[name] = Entry(name, home, config, environment_file, labels)
    return entries


def _homes_in(directory: Path, warnings: list[Problem]) -> Iterator[Entry]:
    try:
        found = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise wrong(directory, f"the directory cannot be read: {error.strerror}") from None
    for home in found:
        try:
            find_file(home, None).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problem: str | None = f"{error.filename}: {error.strerror}; let the user of ff-observe read it"
        else:
            problem = name_problem(home.name)
        if problem is not None:
            warnings.append(Problem(str(directory), 0, 0, "", f"the home {home.name!r} is left out: {problem}"))
            continue
        yield Entry(home.name, home)


def _load(entry: Entry, variables: Mapping[str, str]) -> ListedPlatform:
    try:
        own = read_environment_file(entry.environment_file) if entry.environment_file is not None else {}
        settings = load_settings(entry.home, entry.config, {**_shared(variables, entry.name, own), **own})
    except ConfigurationError as error:
        return ListedPlatform(entry.name, None, error.problems, entry.labels)
    return ListedPlatform(entry.name, settings, labels=entry.labels)


def read_environment_file(file: Path) -> dict[str, str]:
    """The variables of a file with one `NAME=value` a line, as systemd's `EnvironmentFile=` and `docker --env-file`; a
    value in quotes is without them. They can name files: root reads none that another user can change. Raises
    `ConfigurationError`, which shows no value."""
    try:
        check_naming_file(file)
    except FileNotFoundError:
        pass  # reading says so
    except OSError as error:
        raise wrong(file, f"as root, ff-observe takes no variables from this file: {not_for_root(error)}") from None
    try:
        lines = _LINE_END.split(read_text(file))
    except UnreadableFileError as error:
        raise wrong(file, str(error), Place(error.line, error.column)) from None
    variables: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        text = line.strip(_BLANK)
        if not text or text[0] in "#;":
            continue
        name, is_set, value = text.partition("=")
        name, value = name.rstrip(_BLANK), value.lstrip(_BLANK)
        if not is_set or not _VARIABLE.fullmatch(name) or "\0" in value:
            problems.append(
                Problem(str(file), number, 1, "", "write NAME=value; a line that begins with # is a comment")
            )
            continue
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        variables[name] = value[1:-1] if quoted else value
    if problems:
        raise ConfigurationError(tuple(problems))
    return variables


def _shared(variables: Mapping[str, str], name: str, own: Mapping[str, str]) -> dict[str, str]:
    """The variables of the process as they are for one platform: a directory for its state of its own, and no home. For
    one whose `own` name a receiver of OTLP, without what they say of others, such as their keys."""
    names_receiver = any(key.startswith(_OF_OTLP) and key.endswith("ENDPOINT") for key in own)
    left_out = {"FLOWFORGE_HOME", *(key for key in variables if names_receiver and key.startswith(_OF_OTLP))}
    shared = {key: value for key, value in variables.items() if key not in left_out}
    state = shared.get("STATE_DIRECTORY", "").partition(":")[0]
    if state:
        shared["STATE_DIRECTORY"] = str(Path(state) / name)
    return shared


def _distinct(platforms: Iterator[ListedPlatform]) -> Iterator[ListedPlatform]:
    """Platforms that would write into the same files: the second is not used."""
    taken: dict[Path, str] = {}
    for platform in platforms:
        if platform.settings is None:
            yield platform
            continue
        ping = platform.settings.ping
        paths = {path for path in (ping.ledger, ping.state_directory) if path is not None}
        clash = next((path for path in sorted(paths) if path in taken), None)
        if clash is not None:
            message = (
                f"{clash} holds what was sent for the platform {taken[clash]!r}: set STATE_DIRECTORY in this "
                "platform's environment_file, or telemetry.ledger in its flowforge.yml"
            )
            problem = Problem(str(platform.settings.file), 0, 0, "telemetry.ledger", message)
            yield ListedPlatform(platform.name, None, (problem,), platform.labels)
            continue
        taken |= dict.fromkeys(paths, platform.name)
        yield platform
