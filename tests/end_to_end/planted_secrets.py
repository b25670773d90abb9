"""Secrets of our own in every place where one can stand, and the search for them in any spelling.

The places come from the declarations of the keys: another secret key is planted without a change here, unless it is of
a kind that `_BY_KIND` does not know yet.
"""

import base64
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import yaml

from ff_observe.config import kinds
from ff_observe.config.declaration import EVERY_KEY, OVERLAY
from ff_observe.config.key import Key
from ff_observe.config.kind import Kind

SECRET_KEYS = tuple(key for key in EVERY_KEY if key.secret)
ANY = '"\\é/+ &%<'
_ASCII = '"\\/+ &%<'


def spellings(secret: str) -> dict[str, bytes]:
    """By name: as it is, as URLs, JSON and Python write it, and in base64 at each of the three alignments."""
    in_json = json.dumps(secret)[1:-1]
    texts = {
        "plain": secret,
        "URL": quote(secret, safe=""),
        "URL with /": quote(secret),
        "URL, lower case": _lower_escapes(quote(secret, safe="")),
        "form": quote_plus(secret),
        "JSON": in_json,
        "JSON in UTF-8": json.dumps(secret, ensure_ascii=False)[1:-1],
        "JSON in JSON": json.dumps(in_json)[1:-1],
        "Python": repr(secret)[1:-1],
    }
    found = {name: text.encode() for name, text in texts.items()}
    for offset in range(3):
        found[f"base64 at {offset}"] = _aligned(secret.encode(), offset)
        found[f"base64url at {offset}"] = _aligned(secret.encode(), offset).translate(bytes.maketrans(b"+/", b"-_"))
    return found


def _lower_escapes(text: str) -> str:
    head, *rest = text.split("%")
    return head + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


def _aligned(secret: bytes, offset: int) -> bytes:
    """The characters that are the same whatever stands around the secret, `offset` bytes after a multiple of three."""
    encoded = base64.b64encode(bytes(offset) + secret)
    return encoded[(offset * 8 + 5) // 6 : (offset + len(secret)) * 8 // 6]


@dataclass
class Vault:
    """The planted secrets by place."""

    planted: dict[str, str] = field(default_factory=dict)

    def plant(self, place: str, characters: str = "") -> str:
        """A new secret, with such characters in its middle."""
        assert place not in self.planted
        self.planted[place] = f"Z{os.urandom(5).hex()}{characters}{os.urandom(5).hex()}Q"
        return self.planted[place]

    def found(self, text: bytes, apart_from: tuple[str, ...] = ()) -> list[str]:
        """Place and spelling of every secret in `text`, but for those of places that begin like that."""
        return [
            f"{place}: {name}"
            for place, secret in self.planted.items()
            if not place.startswith(apart_from)
            for name, spelling in spellings(secret).items()
            if spelling in text
        ]


@dataclass(frozen=True)
class Value:
    """A value as a YAML file, a file of its own and a variable hold it."""

    in_yaml: Any
    text: str


Write = Callable[[Vault, str, str, bool], Value]
"""The vault, the place, where to connect to (`host:port`), and whether only characters without meaning to YAML do."""


def _text(vault: Vault, place: str, _address: str, plain: bool) -> Value:
    secret = vault.plant(place, "" if plain else ANY)
    return Value(secret, secret)


def _url(vault: Vault, place: str, address: str, plain: bool) -> Value:
    password = quote(vault.plant(f"{place}, password", "" if plain else ANY), safe="")
    path = f"/ping?token={vault.plant(f'{place}, query')}" if place.startswith("telemetry.url") else ""
    url = f"http://operator:{password}@{address}{path}"
    return Value(url, url)


def _dsn(vault: Vault, place: str, address: str, plain: bool) -> Value:
    del plain
    dsn = f"http://{vault.plant(f'{place}, key')}:{vault.plant(f'{place}, secret')}@{address}/7"
    return Value(dsn, dsn)


def _headers(vault: Vault, place: str, _address: str, plain: bool) -> Value:
    secret = vault.plant(place, "" if plain else _ASCII)
    return Value({"x-planted": secret}, f"x-planted: {secret}\n")


_BY_KIND: Mapping[Kind[Any], Write] = {
    kinds.WRITTEN: _text,
    kinds.TEXT: _text,
    kinds.URL: _url,
    kinds.DSN: _dsn,
    kinds.HEADERS: _headers,
}

_TEMPLATE = "a variable in flowforge.yml"
_FORMS = ("flowforge.yml", _TEMPLATE, "a file", "the overlay", "a file of the overlay", "a variable", "a variable_FILE")


def forms_of(key: Key[Any]) -> Iterator[str]:
    """Where the value of a key can stand, weakest first."""
    for form in _FORMS:
        of_a_file = form in ("a file", "a file of the overlay")
        above = form not in ("flowforge.yml", _TEMPLATE, "a file")
        if (key.file or not of_a_file) and (not above or key in OVERLAY.keys) and (form != _TEMPLATE or key.kind.text):
            yield form


@dataclass
class Home:
    """A FlowFuse home to be written: each secret key stands in the form of this `turn`, and another secret that it
    overrides in flowforge.yml. `effective` are the places whose secrets are in use."""

    directory: Path
    vault: Vault
    turn: int
    addresses: Mapping[str, str]
    variables: dict[str, str] = field(default_factory=dict)
    effective: list[str] = field(default_factory=list)
    _files: dict[str, dict[str, Any]] = field(default_factory=lambda: {"flowforge.yml": {}, "ff-observe.yml": {}})

    def write(self, others: Mapping[str, object]) -> None:
        """Write the files, with these keys too."""
        etc = self.directory / "etc"
        etc.mkdir(parents=True)
        (self.directory / "var").mkdir()
        for path, value in others.items():
            self._set("flowforge.yml", path, value)
        for number, key in enumerate(SECRET_KEYS):
            forms = list(forms_of(key))
            self._plant(key, forms[(number + self.turn) % len(forms)])
        for name, tree in self._files.items():
            (etc / name).write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")

    def _plant(self, key: Key[Any], form: str) -> None:
        place, name = f"{key.path} ({form})", key.path.replace(".", "_")
        assert key.kind in _BY_KIND, f"say in _BY_KIND how a secret of the kind {key.kind.name!r} is written"
        write, before = _BY_KIND[key.kind], set(self.vault.planted)
        value = write(self.vault, place, self.addresses.get(key.path, ""), form == _TEMPLATE)
        self.effective += set(self.vault.planted) - before
        if form in ("the overlay", "a file of the overlay", "a variable", "a variable_FILE"):
            overridden = write(self.vault, f"{key.path} (overridden)", self.addresses.get(key.path, ""), False)
            self._set("flowforge.yml", key.path, overridden.in_yaml)
        file = self.directory / "etc" / f"{name}.secret"
        if "file" in form.lower():
            file.write_text(value.text, encoding="utf-8")
        match form:
            case "flowforge.yml":
                self._set("flowforge.yml", key.path, value.in_yaml)
            case "a variable in flowforge.yml":
                self.variables[f"PLANTED_{name.upper()}"] = value.text
                self._set("flowforge.yml", key.path, f"<%= ENV['PLANTED_{name.upper()}'] %>")
            case "a file":
                self._set("flowforge.yml", key.file_path, file.name)
            case "the overlay":
                self._set("ff-observe.yml", key.path, value.in_yaml)
            case "a file of the overlay":
                self._set("ff-observe.yml", key.file_path, file.name)
            case "a variable":
                text = value.text if key.kind.text else json.dumps(value.in_yaml)
                self.variables[key.variable] = text
            case "a variable_FILE":
                self.variables[f"{key.variable}_FILE"] = str(file)

    def _set(self, file: str, path: str, value: object) -> None:
        *sections, last = path.split(".")
        tree = self._files[file]
        for section in sections:
            tree = tree.setdefault(section, {})
        tree[last] = value


def files_below(directory: Path, apart_from: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Every file, and its content, but for those where the secrets are meant to stand."""
    left_out = tuple(apart_from)
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink() and not any(path.is_relative_to(out) for out in left_out):
            yield str(path.relative_to(directory)), path.read_bytes()
