"""Checks the bundles in a directory and their source maps before anything is uploaded."""

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_BUNDLES: Final = (".js", ".mjs", ".cjs")
# https://tc39.es/ecma426/#sec-linking-generated-code; `//@` is its old form.
_REFERENCE: Final = re.compile(r"^[ \t]*//[#@](?P<space>[ \t]*)sourceMappingURL=(?P<url>\S+)[ \t]*$", re.MULTILINE)
# https://github.com/tc39/ecma426/blob/main/proposals/debug-id.md; in a map `debugId`, or sentry-cli's `debug_id`.
_DEBUG_ID: Final = re.compile(
    r"^[ \t]*//# debugId=(?P<id>[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A bundle with its map; `map` is None where the map is within the bundle. Paths are relative to the directory."""

    bundle: Path
    map: Path | None
    sources: int
    sources_without_content: int


@dataclass(slots=True)
class Bundles:
    """The content of a directory. `problems` prevent an upload; `notes` are for the user's information."""

    pairs: list[Pair] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _UnusableError(Exception):
    """A problem with one bundle or its map."""


def find_bundles(directory: Path) -> Bundles:
    """Every bundle under `directory` with its map."""
    found = Bundles()
    found.problems += _bad_links(directory)
    for path in _files(directory, _BUNDLES):
        name = path.relative_to(directory)
        try:
            pair = _pair(directory, path)
        except _UnusableError as error:
            found.problems.append(f"{name}: {error}")
            continue
        if pair is None:
            found.notes.append(f"{name}: has no source map, so errors in it show minified code")
            continue
        found.pairs.append(pair)
        if pair.map is None:
            found.notes.append(
                f"{name}: its map is within it, so visitors load your sources too, and not every server reads it there"
            )
        if pair.sources_without_content:
            found.notes.append(
                f"{name}: {pair.sources_without_content} of its {pair.sources} sources are not in its map, "
                "so Sentry may show no code for them"
            )
    used = {pair.map for pair in found.pairs}
    for path in _files(directory, tuple(f"{suffix}.map" for suffix in _BUNDLES)):
        name = path.relative_to(directory)
        bundle = path.with_suffix("")
        if name not in used and not bundle.exists():
            found.problems.append(f"{name}: no bundle goes with this map; remove it, or build again")
    if not found.pairs and not found.problems:
        found.problems.append(f"there is no bundle with a source map in {directory}; build with source maps on")
    return found


def _visible(directory: Path) -> Iterator[Path]:
    """All that sentry-cli looks at: it skips hidden directories, and no hidden files."""
    return (path for path in sorted(directory.rglob("*")) if not _is_in_a_hidden_directory(path.relative_to(directory)))


def _is_in_a_hidden_directory(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts[:-1])


def _files(directory: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    return (path for path in _visible(directory) if path.name.endswith(suffixes) and path.is_file())


def _bad_links(directory: Path) -> Iterator[str]:
    """What is wrong with links that sentry-cli would follow, and with those on which it gives up."""
    root = os.path.realpath(directory)
    for path in filter(Path.is_symlink, _visible(directory)):
        name, end = path.relative_to(directory), Path(os.path.realpath(path))
        if not path.exists() or Path(os.path.realpath(path.parent)).is_relative_to(end):
            yield f"{name}: is a link to nothing or to a directory that it is in, on which sentry-cli fails; remove it"
        elif not end.is_relative_to(root) and (
            (end.is_dir() and not path.name.startswith(".")) or path.name.endswith((*_BUNDLES, ".map"))
        ):
            yield (
                f"{name}: is a link out of {directory}, and sentry-cli would change and upload what is there; "
                "copy it instead"
            )


def _pair(directory: Path, bundle: Path) -> Pair | None:
    text = _read(bundle)
    references = list(_REFERENCE.finditer(text))
    beside = bundle.with_name(f"{bundle.name}.map")
    if not references:
        if beside.exists():
            raise _UnusableError(f"does not refer to {beside.name}: end it with //# sourceMappingURL={beside.name}")
        return None
    url = references[-1]["url"]
    found = None if url.startswith("data:") else _locate(directory, bundle, url)
    if references[-1]["space"] != " " and found != beside:  # one beside the bundle it finds without a reference
        raise _UnusableError(
            "refers to its map without one space, so sentry-cli finds none: write //# sourceMappingURL="
        )
    name = bundle.relative_to(directory)
    if found is None:
        return Pair(name, None, *_sources("within it", _parsed("within it", _map_within(url))))
    content = _parsed(found.name, _read(found))
    ids = [comment["id"].lower() for comment in _DEBUG_ID.finditer(text)]
    if ids and ids[-1] not in (str(content.get(key)).lower() for key in ("debugId", "debug_id")):
        # Left by an interrupted upload, or by a map built anew: sentry-cli gives it no id then, and ends with 0.
        raise _UnusableError(f"its debug id is not that of its map {found.name}: build again")
    return Pair(name, found.relative_to(directory), *_sources(found.name, content))


def _locate(directory: Path, bundle: Path, url: str) -> Path:
    """The file that the comment names, if sentry-cli finds it. Else 3.8 gives the bundle a debug id and the map none,
    and ends with 0: it decodes nothing, and by an absolute path finds only the map beside the bundle."""
    try:
        parts = urlsplit(url)
        path = parts.path
        tried = directory / path.lstrip("/") if path.startswith("/") else bundle.parent / path
        real = Path(os.path.realpath(tried))
        is_file = real.is_file()
    except (ValueError, OSError):  # brackets that are no address, %00, a name that is too long
        raise _UnusableError(f"refers to {url}, which cannot be the name of a file: build again") from None
    if parts.scheme or parts.netloc:
        raise _UnusableError(f"refers to {url}, which is not a file in {directory}: make the reference relative")
    if not real.is_relative_to(os.path.realpath(directory)):
        raise _UnusableError(f"refers to {url}, which is outside {directory}")
    if not is_file and unquote(path) != path:
        raise _UnusableError(
            f"refers to {url}, and sentry-cli does not decode the %: give the bundle a name that needs none"
        )
    if not is_file:
        raise _UnusableError(f"refers to {url}, which does not exist: build again, or upload before maps are removed")
    shown = Path(os.path.relpath(tried, directory))
    if _is_in_a_hidden_directory(shown) or not shown.name.endswith((*_BUNDLES, ".map")):
        raise _UnusableError(f"refers to {url}, which sentry-cli passes over: name it *.map, in no hidden directory")
    if path.startswith("/") and tried != bundle.with_name(f"{bundle.name}.map"):
        raise _UnusableError(f"refers to {url}, which sentry-cli does not find: make the reference relative")
    return directory / real.relative_to(os.path.realpath(directory))


def _map_within(url: str) -> str:
    """The text of a map in a `data:` URL, of the kind that sentry-cli reads."""
    kind, _, data = url.partition(",")
    if not kind.endswith(";base64"):
        raise _UnusableError("its map within it is not in base64: write maps to files of their own")
    try:
        return base64.b64decode(unquote(data), validate=True).decode()
    except ValueError:
        raise _UnusableError("its map within it is broken: build again") from None


def _parsed(name: str, text: str) -> dict[str, Any]:
    if text.startswith(")]}"):  # prevents inclusion as a script; the format allows it
        text = text.partition("\n")[2]
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise _UnusableError(f"its map {name} is not JSON: build again") from None
    if not isinstance(content, dict) or content.get("version") != 3:
        raise _UnusableError(f"its map {name} is not a source map of version 3")
    return content


def _sources(name: str, content: Mapping[str, Any]) -> tuple[int, int]:
    """How many sources a map has, and how many of them without their content."""
    if isinstance(content.get("sections"), list):
        return 0, 0  # an index map: sentry-cli flattens it
    sources, contents = content.get("sources"), content.get("sourcesContent")
    if not isinstance(sources, list) or not sources or not content.get("mappings"):
        raise _UnusableError(f"its map {name} maps nothing: no sources or no mappings")
    present = [text for text in contents if isinstance(text, str)] if isinstance(contents, list) else []
    return len(sources), max(0, len(sources) - len(present))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise _UnusableError(f"{path.name} cannot be read: {error.strerror}") from None
