"""What lies over FlowFuse's file: every key from every place gives the same settings, and an error names the place."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.cli import build_parser
from ff_observe.config import load_settings
from ff_observe.config.declaration import FLOWFORGE, OVERLAY
from ff_observe.config.key import Key
from ff_observe.config.nodes import Scalar
from ff_observe.config.settings import PostgreSQLDatabase, Settings
from ff_observe.config.yaml_core import parse
from ff_observe.errors import ConfigurationError, Problem
from tests.real_parts.certificates import make_certificate
from tests.unit.config.files import written
from tests.unit.config.test_every_key import other_than_default

EACH = pytest.mark.parametrize("key", OVERLAY.keys, ids=[key.path for key in OVERLAY.keys])
GROUND = {
    "base_url": "https://forge.example.com",
    "db.type": "postgres",
    "telemetry.backend.prometheus.allow_public": "true",
    "telemetry.frontend.posthog.apikey": "k",
    "telemetry.frontend.sentry.dsn": "https://k@sentry.example.com/1",
}
"""With these, every key is of use, but `db.storage`."""


class Home:
    """A home whose files and variables are written as a test wants them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.etc = directory / "etc"
        self.etc.mkdir()

    def load(
        self,
        file: Mapping[str, str] = GROUND,
        overlay: Mapping[str, str] | str | None = None,
        assignments: tuple[tuple[str, str], ...] = (),
        /,
        **variables: str,
    ) -> Settings:
        """The settings with these values, in YAML, in FlowFuse's file and in the overlay."""
        (self.etc / "flowforge.yml").write_text(written(file) + "\n")
        beside = self.etc / "ff-observe.yml"
        if overlay is None:
            beside.unlink(missing_ok=True)
        else:
            beside.write_text(overlay if isinstance(overlay, str) else written(overlay) + "\n")
        return load_settings(self.directory, variables=variables, assignments=assignments)

    def refused(self, *arguments: Any, **options: Any) -> tuple[Problem, ...]:
        with pytest.raises(ConfigurationError) as caught:
            self.load(*arguments, **options)
        return caught.value.problems


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))[0]


@pytest.fixture
def home(tmp_path: Path, certificate: Path) -> Home:
    home = Home(tmp_path)
    shutil.copy(certificate, home.etc / "certificate.pem")
    return home


def ground(key: Key[Any]) -> dict[str, str]:
    return {**GROUND, "db.type": "sqlite"} if key.path == "db.storage" else GROUND


def plain(key: Key[Any]) -> str:
    """A value of the key as a variable or an option holds it: text as it is, all else in YAML."""
    text = other_than_default(key)
    node = parse(text)
    return str(node.text) if key.kind.text and isinstance(node, Scalar) else text


def without_notes(settings: Settings) -> Settings:
    """A note names its place, which differs here on purpose."""
    return replace(settings, notes=())


def from_file(home: Home, key: Key[Any]) -> Settings:
    return home.load({**ground(key), key.path: other_than_default(key)})


def from_overlay(home: Home, key: Key[Any]) -> Settings:
    return home.load(ground(key), {key.path: other_than_default(key)})


def from_variable(home: Home, key: Key[Any]) -> Settings:
    return home.load(ground(key), **{key.variable: plain(key)})


def from_variable_file(home: Home, key: Key[Any]) -> Settings:
    """As Kubernetes and Docker mount secrets. Headers are one to a line there, as in every file that holds them."""
    (home.etc / "value").write_text(f"{'name: value' if 'headers' in key.path else plain(key)}\n")
    return home.load(ground(key), **{f"{key.variable}_FILE": "value"})


def from_option(home: Home, key: Key[Any]) -> Settings:
    """A secret by the name of its file: `ps` shows what stands on a command line."""
    if not key.secret:
        return home.load(ground(key), None, ((key.path, plain(key)),))
    (home.etc / "value").write_text(f"{'name: value' if 'headers' in key.path else plain(key)}\n")
    return home.load(ground(key), None, ((key.file_path, "value"),))


WAYS: tuple[Callable[[Home, Key[Any]], Settings], ...] = (from_overlay, from_variable, from_variable_file, from_option)


@EACH
def test_a_key_means_the_same_wherever_it_is_set(key: Key[Any], home: Home) -> None:
    expected = from_file(home, key)
    assert key.path in GROUND or without_notes(expected) != without_notes(home.load(ground(key)))
    for way in WAYS:
        found = way(home, key)
        assert without_notes(found) == without_notes(expected), way.__name__
        assert found.warnings == ()


def value_of(settings: Settings, path: str) -> tuple[str, str]:
    (value,) = (value for value in settings.effective if value.key == path)
    return value.shown, value.origin


def test_the_option_beats_the_variable_beats_the_overlay_beats_the_file(home: Home) -> None:
    path = "telemetry.backend.prometheus.port"
    file, overlay, variable = {**GROUND, path: "1"}, {path: "2"}, {"FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PORT": "3"}
    option = ((path, "4"), (path, "5"))
    etc = home.etc
    assert value_of(home.load(), path) == ("10464", "")
    assert value_of(home.load(file), path) == ("1", f"{etc}/flowforge.yml:8:13")
    assert value_of(home.load(file, overlay), path) == ("2", f"{etc}/ff-observe.yml:4:13")
    assert value_of(home.load(file, overlay, **variable), path) == ("3", next(iter(variable)))
    last = home.load(file, overlay, option, **variable)
    assert value_of(last, path) == ("5", "--set")
    assert last.prometheus.port == 5


def test_a_value_and_its_file_take_each_others_place(home: Home) -> None:
    (home.etc / "secret").write_text("from the file\n")
    by_name, by_value = {"db.password_file": "secret"}, {"db.password": "from the value"}

    def password(settings: Settings) -> str:
        assert isinstance(settings.database, PostgreSQLDatabase)
        assert settings.database.password is not None
        return settings.database.password.reveal()

    assert password(home.load({**GROUND, **by_value}, by_name)) == "from the file"
    assert password(home.load({**GROUND, **by_name}, by_value)) == "from the value"
    assert password(home.load({**GROUND, **by_name}, by_name, FF_OBSERVE_DB_PASSWORD="from the variable")) == (
        "from the variable"
    )
    assert password(home.load({**GROUND, **by_value}, FF_OBSERVE_DB_PASSWORD_FILE="secret")) == "from the file"


def test_a_key_that_is_null_is_back_at_its_default(home: Home) -> None:
    dsn = {**GROUND, "telemetry.backend.sentry.dsn": "https://key@sentry.example.com/1"}
    assert home.load(dsn, {"telemetry.backend.sentry.dsn": "null"}).backend_sentry.dsn is None
    assert home.load(dsn, None, (("telemetry.backend.sentry.dsn", ""),)).backend_sentry.dsn is None
    assert home.load(dsn, FF_OBSERVE_TELEMETRY_BACKEND_SENTRY_DSN="").backend_sentry.dsn is not None


def test_a_variable_of_the_template_that_is_overridden_may_be_unset(home: Home) -> None:
    template = {**GROUND, "db.password": "<%= ENV['PGPASSWORD'] %>"}
    (problem,) = home.refused(template)
    assert "PGPASSWORD is not set" in problem.message
    assert (
        home.load(template, FF_OBSERVE_DB_PASSWORD="x").database == home.load({**GROUND, "db.password": "x"}).database
    )


@EACH
def test_a_wrong_value_names_the_place_it_came_from(key: Key[Any], home: Home) -> None:
    """Each kind of value refuses something: a map where it wants one value, or one value where it wants a map."""
    wrong = "{a: {b: 1}}" if key.kind.name not in ("anything that is true in JavaScript", "map of strings") else "5"
    if key.path == "db.ssl":  # whatever it is, JavaScript knows whether it is true
        return
    messages = set()
    for arguments, source in (
        (({**ground(key), key.path: wrong},), f"{home.etc}/flowforge.yml"),
        ((ground(key), {key.path: wrong}), f"{home.etc}/ff-observe.yml"),
    ):
        (problem, *_) = home.refused(*arguments)
        assert (problem.file, problem.key.startswith(key.path)) == (source, True)
        assert problem.line > 0
        messages.add(problem.message)
    assert len(messages) == 1
    if key.kind.text:
        return
    found = {key.variable: home.refused(ground(key), **{key.variable: wrong})}
    if not key.secret:
        found["--set"] = home.refused(ground(key), None, ((key.path, wrong),))
    for source, (problem, *_) in found.items():
        assert str(problem).startswith(f"{source}: {key.path}")
        assert problem.message in messages


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"FF_OBSERVE_TELEMETRY_ENABLED": "no"}, "FF_OBSERVE_TELEMETRY_ENABLED: telemetry.enabled: found the st"),
        ({"FF_OBSERVE_TELEMETRY_ENABLED": "{"}, "(the value is read as YAML)"),
        (
            {"FF_OBSERVE_TELEMETRY_URL": "planted"},
            "URL: telemetry.url: found a string (not shown)",
        ),
        ({"FF_OBSERVE_DB_USER_FILE": "nowhere"}, "FF_OBSERVE_DB_USER_FILE: db.user: the file it names cannot be used"),
        (
            {"FF_OBSERVE_DB_PASSWORD_FILE": "nowhere"},
            "FF_OBSERVE_DB_PASSWORD_FILE: db.password_file: the file it n",
        ),
        (
            {"FF_OBSERVE_DB_USER": "a", "FF_OBSERVE_DB_USER_FILE": "b"},
            "both FF_OBSERVE_DB_USER and FF_OBSERVE_DB_USER_FILE are set: keep one of them",
        ),
        ((("db.password", "planted"),), "--set: db.password: `ps` shows what is on a command line"),
        (
            (("telemetry.enabeld", "planted"),),
            "--set: telemetry.enabeld: unknown key; did you mean",
        ),
        ((("license", "planted"),), "--set: license: unknown key; this says what FlowFuse is"),
        ((("https://planted@x/1", ""),), "unknown key; "),
    ],
)
def test_what_is_wrong_beside_the_file(home: Home, options: Any, said: str) -> None:
    (problem,) = home.refused(GROUND, **options) if isinstance(options, dict) else home.refused(GROUND, None, options)
    assert said in str(problem)
    assert "planted" not in str(problem)


def test_unknown_keys_of_the_overlay_are_found_in_all_of_it(home: Home) -> None:
    found = home.load(GROUND, "telemetry: {enable: false}\nemail: {enabled: true}\nport: 3000\ndb: {usr: x}\n").warnings
    assert [(problem.file, problem.line, problem.key) for problem in found] == [
        (f"{home.etc}/ff-observe.yml", line, key)
        for line, key in ((1, "telemetry.enable"), (2, "email"), (3, "port"), (4, "db.usr"))
    ]
    assert "belongs in flowforge.yml" in found[1].message


def test_a_variable_that_sets_nothing_is_named_and_those_of_kubernetes_are_not(home: Home) -> None:
    kubernetes = {
        "FF_OBSERVE_PORT": "tcp://10.0.0.1:10464",
        "FF_OBSERVE_SERVICE_HOST": "10.0.0.1",
        "FF_OBSERVE_PORT_10464_TCP_ADDR": "10.0.0.1",
        "FF_OBSERVE_FLOWFUSE_VERSION": "2.33.2",
    }
    found = home.load(GROUND, FF_OBSERVE_TELEMTRY_ENABLED="false", FF_OBSERVE_DB_WIBBLE="1", **kubernetes).warnings
    assert [problem.file for problem in found] == ["FF_OBSERVE_DB_WIBBLE", "FF_OBSERVE_TELEMTRY_ENABLED"]
    assert "did you mean FF_OBSERVE_TELEMETRY_ENABLED?" in found[1].message


def test_the_overlay_is_named_by_the_option_else_by_the_variable_else_found(home: Home, tmp_path: Path) -> None:
    home.load(GROUND, {"db.user": "found"})
    for name in ("option", "variable"):
        (tmp_path / name).write_text(f"db: {{user: {name}}}")
    named = {"FF_OBSERVE_SETTINGS": str(tmp_path / "variable")}
    by_option = load_settings(tmp_path, variables=named, overlay=tmp_path / "option")
    assert value_of(by_option, "db.user") == ("option", f"{tmp_path}/option:1:12")
    assert value_of(load_settings(tmp_path, variables=named), "db.user")[0] == "variable"
    assert value_of(load_settings(tmp_path, variables={}), "db.user")[0] == "found"
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load_settings(tmp_path, variables={}, overlay=tmp_path / "nowhere")


def test_an_overlay_that_says_nothing_changes_nothing(home: Home) -> None:
    expected = home.load()
    for text in ("", "# nothing yet\n", "telemetry:\n", "telemetry: {backend: }\n"):
        assert home.load(GROUND, text) == expected


def test_an_unset_variable_in_the_place_of_a_section_is_named(home: Home) -> None:
    (problem, *_) = home.refused(GROUND, "telemetry:\n  backend: <%= ENV['NOT_SET'] %>\n")
    assert (problem.file, problem.line) == (f"{home.etc}/ff-observe.yml", 2)
    assert "NOT_SET is not set" in problem.message


def test_no_secret_is_among_the_effective_values(home: Home) -> None:
    settings = home.load({**GROUND, **{key.path: other_than_default(key) for key in OVERLAY.keys if key.secret}})
    shown = {value.key: value.shown for value in settings.effective}
    for key in FLOWFORGE.keys:
        if key.secret and key.path.startswith(("telemetry", "db")):
            assert shown[key.path] == "********"


def test_each_variable_belongs_to_one_key() -> None:
    names = [name for key in FLOWFORGE.keys for name in (key.variable, f"{key.variable}_FILE")]
    assert len(names) == len(set(names))


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_text_is_taken_as_it_is(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    home = tmp_path_factory.getbasetemp() / "texts"
    (home / "etc").mkdir(parents=True, exist_ok=True)
    (home / "etc" / "flowforge.yml").write_text("db: {type: postgres}")
    database = load_settings(home, variables={"FF_OBSERVE_DB_PASSWORD": text}).database
    assert isinstance(database, PostgreSQLDatabase)
    assert database.password is not None
    assert database.password.reveal() == text


def test_options_gather_from_before_and_after_the_command() -> None:
    arguments = ["--set", "a=1", "ping", "--set=b=2", "--overlay", "o.yml", "show", "--set", "c=d=e"]
    options = build_parser().parse_args(arguments)
    assert (options.set, options.overlay) == ([("a", "1"), ("b", "2"), ("c", "d=e")], "o.yml")
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args(["--set", "novalue", "run"])
