"""The configuration files that ff-observe reads, each with its keys and what reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ff_observe.collector import settings, settings_file
from ff_observe.config import build, declaration, load_settings
from ff_observe.config.environment import Environment
from ff_observe.config.key import FileKeys, Key
from ff_observe.config.known_keys import check_keys
from ff_observe.config.nodes import Map
from ff_observe.config.reader import Reader
from ff_observe.config.settings import Settings
from ff_observe.config.yaml_core import parse
from ff_observe.web import web_config


@dataclass(frozen=True, eq=False)
class File:
    """One file. `bound_in` is the module where a key gets the field that it fills."""

    keys: FileKeys
    read_settings: Callable[[Reader], object]
    bound_in: str

    def read(self, directory: Path, text: str) -> tuple[Reader, object]:
        """What `text` says, and the reader that has read it and knows what is wrong."""
        tree = parse(text)
        assert isinstance(tree, Map)
        reader = Reader(directory / "file.yml", tree, self.keys, directory)
        read = self.read_settings(reader)
        reader.problems += check_keys(reader)
        return reader, read


def load(home: Path, text: str, **variables: str) -> Settings:
    """The settings of a home whose flowforge.yml holds `text`."""
    (home / "etc").mkdir(exist_ok=True)
    (home / "etc" / "flowforge.yml").write_text(text)
    return load_settings(home=home, variables=variables)


def written(values: Mapping[str, str]) -> str:
    """YAML that holds these values, themselves in YAML, at these dotted keys: a line for each, whatever its value."""
    lines: list[str] = []
    open_sections: list[str] = []
    for path, value in sorted(values.items()):
        *sections, last = path.split(".")
        for depth, name in enumerate(sections):
            if open_sections[: depth + 1] != sections[: depth + 1]:
                open_sections = [*sections[:depth], name]
                lines.append(f"{'  ' * depth}{name}:")
        open_sections = sections
        lines.append(f"{'  ' * len(sections)}{last}: {value}")
    return "\n".join(lines)


FILES = {
    "flowforge.yml": File(
        declaration.FLOWFORGE,
        lambda reader: build.read_settings(reader, reader.directory, reader.directory / "file.yml", Environment()),
        "ff_observe/config/settings.py",
    ),
    "web configuration": File(
        web_config.WEB_CONFIG,
        lambda reader: web_config.read_sections(reader, reader.directory / "file.yml"),
        "ff_observe/web/web_config.py",
    ),
    "collector.yml": File(
        settings.COLLECTOR,
        lambda reader: settings_file.read_settings(reader, "collector.yml"),
        "ff_observe/collector/settings.py",
    ),
}

EVERY_KEY: tuple[tuple[File, Key[Any]], ...] = tuple((file, key) for file in FILES.values() for key in file.keys.keys)
