"""For every key of every file: it is read, it changes the settings, and its default is the documented one."""

import ast
import dataclasses
import subprocess
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from ff_observe.collector.settings import CollectorSettings
from ff_observe.config import settings as flowforge_settings
from ff_observe.config.key import Key
from ff_observe.config.kind import WrongValueError
from ff_observe.config.yaml_core import parse
from ff_observe.version import VERSION
from ff_observe.web.web_config import HTTP2, TlsServerConfig
from tests.architecture.sources import modules
from tests.real_parts.certificates import make_certificate
from tests.unit.config.files import EVERY_KEY, FILES, File, written
from tests.unit.config.uses import Uses

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [
    ("docs/configuration.md", "flowforge.yml"),
    ("docs/securing-metrics.md", "web configuration"),
    ("docs/collector.md", "collector.yml"),
]
EACH = pytest.mark.parametrize(("file", "key"), EVERY_KEY, ids=[key.path for _, key in EVERY_KEY])

SETTINGS: tuple[Any, ...] = (
    *(
        one
        for one in vars(flowforge_settings).values()
        if dataclasses.is_dataclass(one) and one.__module__ == flowforge_settings.__name__
    ),
    *(CollectorSettings, TlsServerConfig),
)
"""Every class whose fields are filled by keys."""

CANDIDATES = (
    *("certificate.pem", "/certificate.pem", "true", "false", "9", "90", "TLS12", "TLS13", "always", "required"),
    *(
        "postgres",
        "http/protobuf",
        "gzip",
        "VerifyClientCertIfGiven",
        "deny",
        "nosniff",
        "forwarded",
        "'[::1]:9'",
        "sqlite:file",
        "postgresql://name@name.example/pings",
        "clickhouse://name@name.example/pings",
    ),
    *("https://name.example/", "https://key@name.example/1", "{name: value}", "['::1']"),
    "collector.example.com/receipts+dd011b87+BIMgpRl32MOMqKSSfGcN9YIeRJdhlF4V6e+yahUJ0jDq",
    *("[CurveP256]", "[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]"),
    f"{{name: $2y$10${'a' * 53}}}",
)
"""Values in YAML; every kind takes one of them that is not the default."""

VARIANTS: Mapping[str, tuple[Mapping[str, str | None], ...]] = {
    "flowforge.yml": (
        {"db.type": "postgres", "telemetry.database.accept_any_certificate": None},
        {"db.type": "postgres", "telemetry.database.ca_file": None, "base_url": "https://name.example/"},
        {"db.type": "sqlite", "telemetry.database.ca_file": None},
        {"db.type": "sqlite", "telemetry.database.ca_file": None, "telemetry.frontend.plausible.domain": None},
    ),
    "web configuration": ({"tls_server_config.max_version": None}, {"tls_server_config.min_version": None}),
    "collector.yml": (
        {"keys.wrapping_command": None, "keys.previous_wrapping_key_file": None},
        {"keys.wrapping_key_file": None, "keys.previous_wrapping_command": None},
    ),
}
"""What to write, or to leave out, so that keys are of use that are not of use together."""


def other_than_default(key: Key[Any]) -> str:
    for text in CANDIDATES:
        node = parse(text)
        assert node is not None
        try:
            value = key.kind.read(node)
        except WrongValueError:
            continue
        if value is not None and value != key.default:
            return text
    raise AssertionError(f"{key.path}: add a value of its kind to CANDIDATES in {__file__}")


def files_with_everything(file: File) -> list[dict[str, str]]:
    (name,) = (name for name, one in FILES.items() if one is file)
    everything = {key.path: other_than_default(key) for key in file.keys.keys}
    return [
        {path: text for path, text in {**everything, **variant}.items() if text is not None}
        for variant in VARIANTS[name]
    ]


@cache
def taken(file: File, directory: Path) -> frozenset[str]:
    """The keys that are asked for in reading the files with everything."""
    readers = (file.read(directory, written(values))[0] for values in files_with_everything(file))
    return frozenset(value.key for reader in readers for value in reader.effective())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a certificate that the values name."""
    found = tmp_path_factory.mktemp("home")
    make_certificate(found)
    return found


def outcome(file: File, directory: Path, values: Mapping[str, str]) -> object:
    reader, settings = file.read(directory, written(values))
    return [problem.message for problem in reader.problems] or settings


@pytest.mark.parametrize("name", FILES)
def test_a_file_can_hold_every_key(name: str, directory: Path) -> None:
    for values in files_with_everything(FILES[name]):
        assert not isinstance(outcome(FILES[name], directory, values), list), values


@EACH
def test_a_declared_key_is_read(file: File, key: Key[Any], directory: Path) -> None:
    assert key.path in taken(file, directory), (
        f"nothing reads {key.path}: bind a field to it with `filled_by` in {file.bound_in}, in a class that the reader "
        f"fills (ff_observe/config/build.py fills those of flowforge.yml)"
    )


@EACH
def test_a_declared_key_changes_the_settings(file: File, key: Key[Any], directory: Path) -> None:
    changes = (
        outcome(file, directory, values) != outcome(file, directory, {**values, key.path: "null"})
        for values in files_with_everything(file)
        if key.path in values
    )
    is_accepted_only = key is HTTP2  # a permission to use what is not used here
    assert any(changes) is not is_accepted_only, f"{key.path} is read, and no field of {file.bound_in} holds its value"


@EACH
def test_the_default_is_a_value_that_the_key_takes_and_the_documents_show(file: File, key: Key[Any]) -> None:
    if key.otherwise or key.default in (None, ()):
        return
    shown = key.shown_default.strip("`")
    node = parse(f'"{shown}"' if shown.startswith("[") else shown)
    assert node is not None
    assert key.kind.read(node) == key.default


@EACH
def test_a_key_is_described_for_people(file: File, key: Key[Any]) -> None:
    assert key.help.endswith(".")
    assert len(key.help) < 120


@cache
def released(document: str) -> str:
    """A document as of the newest tag `v…`; empty where there was no release yet or git does not know it."""
    git = partial(subprocess.run, cwd=ROOT, capture_output=True, text=True)
    tag = git(["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]).stdout.strip()
    return git(["git", "show", f"{tag}:{document}"]).stdout if tag else ""


@pytest.mark.parametrize(("document", "name"), DOCUMENTS)
def test_a_key_that_the_last_release_lacks_names_the_version_that_brings_it(document: str, name: str) -> None:
    before = released(document)
    for key in FILES[name].keys.keys:
        is_new = before != "" and f"\n| `{key.path}` " not in before
        assert key.since == VERSION or not is_new, f"{key.path}: write {VERSION!r} as its version"
        assert tuple(map(int, key.since.split("."))) <= tuple(map(int, VERSION.split(".")))


@pytest.mark.parametrize(("document", "name"), DOCUMENTS)
def test_the_documents_show_every_key_with_its_default(document: str, name: str) -> None:
    rows = (ROOT / document).read_text().splitlines()
    for key in FILES[name].keys.keys:
        shown = [f" | {key.shown_default} | " in row for row in rows if row.startswith(f"| `{key.path}` ")]
        assert shown == [True], f"{key.path} is not in {document} with its default: run make generate"


def test_every_field_of_the_settings_is_of_use() -> None:
    filling = {"ff_observe.config.build", "ff_observe.config.declaration"}
    used = set(Uses((module.tree for module in modules() if module.name not in filling), SETTINGS))
    for one in SETTINGS:
        for field in dataclasses.fields(one):
            assert (one.__name__, field.name) in used, f"nothing uses the field {field.name} of {one}"


def test_a_field_is_of_no_use_where_only_another_class_has_one_of_its_name() -> None:
    module = """
class Page: title: str
class Settings: title: str; parts: "tuple[Part, ...]"
class Part: url: str; host: str; unread: str
class Server:
    def __init__(self, settings: Settings | None) -> None:
        self._settings = settings or Settings()
    def look(self, page: Page) -> None:
        print(page.title, [part.url for part in self._settings.parts])
        if (first := first_of(self._settings)) is not None:
            copy = replace(first, unread="")
            print(copy.host)
def first_of(settings: Settings) -> Part | None: ...
"""
    assert set(Uses([ast.parse(module)], ())) == {
        *(("Page", "title"), ("Part", "host"), ("Part", "url")),
        *(("Server", "_settings"), ("Settings", "parts")),
    }


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_a_field_may_be_none_where_its_key_has_no_default(settings: type) -> None:
    types = get_type_hints(settings)
    for field in dataclasses.fields(settings):
        if "key" in field.metadata and field.default is None:
            key = field.metadata["key"]
            assert NoneType in get_args(types[field.name]), f"{key.path} has no default: {field.name} may be None"
