"""Several platforms: a directory of homes, or the file that lists them."""

import shutil
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ff_observe.config.platforms import LONGEST_NAME, load_platforms, name_problem, read_environment_file
from ff_observe.errors import ConfigurationError
from tests.other_users import unable_to_enter


def home(directory: Path, text: str = "db: {type: sqlite}\n") -> Path:
    (directory / "etc").mkdir(parents=True)
    (directory / "etc" / "flowforge.yml").write_text(text)
    return directory


def listed(directory: Path, text: str) -> Path:
    file = directory / "platforms.yml"
    file.write_text(text)
    return file


def problems_of(directory: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_platforms(listed(directory, text), {})
    return str(raised.value)


def test_each_home_of_a_directory_is_a_platform_of_its_name(tmp_path: Path) -> None:
    home(tmp_path / "acme")
    home(tmp_path / "Zoë & Söhne")
    home(tmp_path / ".hidden")
    (tmp_path / "no-home").mkdir()
    found = load_platforms(tmp_path, {})
    assert [platform.name for platform in found.platforms] == ["Zoë & Söhne", "acme"]
    assert all(platform.settings is not None for platform in found.platforms)


def test_a_home_whose_name_is_none_is_left_out_and_said(tmp_path: Path) -> None:
    home(tmp_path / "two\nlines")
    found = load_platforms(tmp_path, {})
    assert found.platforms == ()
    assert "two\\nlines" in str(found.warnings[0])


def test_a_home_that_may_not_be_entered_is_left_out_and_said(open_directory: Path) -> None:
    home(open_directory / "acme")
    home(open_directory / "closed")
    with unable_to_enter(open_directory / "closed"):
        found = load_platforms(open_directory, {})
    assert [platform.name for platform in found.platforms] == ["acme"]
    (warning,) = found.warnings
    assert "the home 'closed' is left out: " in str(warning)
    assert str(warning).endswith("/flowforge.yml: Permission denied; let the user of ff-observe read it")


def test_a_file_names_home_or_configuration_environment_and_labels(tmp_path: Path) -> None:
    home(tmp_path / "acme", "telemetry: {backend: {sentry: {dsn: '<%= ENV[\"DSN\"] %>'}}}\n")
    (tmp_path / "acme.env").write_text("# a comment\nDSN='https://key@sentry.example.com/1'\nSENTRY_ENV=acme\n")
    elsewhere = home(tmp_path / "elsewhere") / "etc" / "flowforge.yml"
    shutil.move(elsewhere, tmp_path / "initech.yml")
    file = listed(
        tmp_path,
        "port: 9000\nallowed_hosts: [observe.example.com]\nplatforms:\n"
        "- {name: acme, home: acme, environment_file: acme.env, labels: {customer: 42, tier: gold}}\n"
        "- {name: initech, config: initech.yml}\n",
    )
    found = load_platforms(file, {"SENTRY_ENV": "of the process", "FLOWFORGE_HOME": "/elsewhere"})
    acme, initech = found.platforms
    assert (found.web.port, found.web.allowed_hosts) == (9000, ("observe.example.com",))
    assert acme.settings is not None
    assert acme.settings.backend_sentry.dsn is not None
    assert acme.settings.environment.name == "acme"
    assert acme.labels == {"customer": "42", "tier": "gold"}
    assert initech.settings is not None
    assert (initech.settings.home, initech.settings.environment.name) == (tmp_path, "of the process")


@pytest.mark.parametrize(
    ("own", "headers"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", None),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318", None),
        ("OTEL_EXPORTER_OTLP_TIMEOUT=1000", "authorization=key"),
    ],
)
def test_a_platform_with_a_receiver_of_its_own_has_no_variables_of_the_processs(
    own: str, headers: str | None, tmp_path: Path
) -> None:
    home(tmp_path / "acme")
    (tmp_path / "acme.env").write_text(own)
    file = listed(tmp_path, "- {name: acme, home: acme, environment_file: acme.env}\n")
    of_process = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://another.example.com",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=key",
    }
    [acme] = load_platforms(file, of_process).platforms
    assert acme.settings is not None
    variables = acme.settings.environment.otlp_variables
    assert variables is not None
    assert variables.get("OTEL_EXPORTER_OTLP_HEADERS") == headers
    assert own.partition("=")[0] in variables


def test_a_bare_list_and_homes_beside_it_are_understood(tmp_path: Path) -> None:
    home(tmp_path / "homes" / "acme")
    home(tmp_path / "homes" / "initech")
    assert [
        each.name for each in load_platforms(listed(tmp_path, "- {name: a, home: homes/acme}\n"), {}).platforms
    ] == ["a"]
    text = "homes: homes\nplatforms: [{name: acme, home: homes/acme, labels: {a: b}}]\n"
    both = load_platforms(listed(tmp_path, text), {})
    assert {each.name: dict(each.labels) for each in both.platforms} == {"acme": {"a": "b"}, "initech": {}}


def test_what_is_wrong_with_one_platforms_files_is_its_error_alone(tmp_path: Path) -> None:
    home(tmp_path / "sound")
    home(tmp_path / "broken", "telemetry: [\n")
    listed_platforms = {each.name: each for each in load_platforms(tmp_path, {}).platforms}
    assert listed_platforms["sound"].settings is not None
    assert listed_platforms["broken"].settings is None
    assert "flowforge.yml:1:12" in str(listed_platforms["broken"].problems[0])


def test_the_state_of_each_is_kept_apart(tmp_path: Path) -> None:
    home(tmp_path / "acme")
    home(tmp_path / "initech")
    apart = load_platforms(tmp_path, {"STATE_DIRECTORY": "/var/lib/ff-observe:/elsewhere"})
    directories = [each.settings.ping.state_directory for each in apart.platforms if each.settings is not None]
    assert directories == [Path("/var/lib/ff-observe/acme"), Path("/var/lib/ff-observe/initech")]
    same = load_platforms(listed(tmp_path, "- {name: a, home: acme}\n- {name: b, home: acme}\n"), {})
    first, second = same.platforms
    assert first.settings is not None
    assert second.settings is None
    assert "set STATE_DIRECTORY" in str(second.problems[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("- {name: a}\n", "name the platform's home"),
        ("- {home: a}\n", "give the platform a name"),
        ("- {name: ../a, home: a}\n", "no slash"),
        ("- {name: 1, home: a}\n", "write a string"),
        ("- {name: a, home: a}\n- {name: a, home: b}\n", "another platform has this name"),
        ("- {name: a, home: a, hme: b}\n", 'unknown key; did you mean "home"?'),
        ("- {name: a, home: a, labels: {__path__: b}}\n", "begins with no digit nor __"),
        ("- {name: a, home: a, labels: {platform: b}}\n", "is not platform or instance"),
        ("- {name: a, home: a, labels: {b: [c]}}\n", "write a string"),
        ("- a\n", "write a map with name"),
        ("platforms: {a: b}\n", "write a list"),
        ("platfroms: []\n", 'did you mean "platforms"'),
        ("host: 0.0.0.0\nplatforms: []\n", "opens the status page"),
    ],
)
def test_a_mistake_in_the_list_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    told = problems_of(tmp_path, text)
    assert said in told
    assert str(tmp_path / "platforms.yml") in told


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    told = problems_of(tmp_path, "- {name: a/b, home: a}\n- {name: c}\n- {name: d, home: 1}\n- {name: c/d, home: a}\n")
    assert [line.split(":")[1] for line in told.splitlines()] == ["1", "2", "3", "4"]


def test_an_environment_file_shows_no_value_in_its_error(tmp_path: Path) -> None:
    file = tmp_path / "acme.env"
    file.write_text("A=1\nhunter2\n=secret\n")
    with pytest.raises(ConfigurationError) as raised:
        read_environment_file(file)
    assert "acme.env:2:1" in str(raised.value)
    assert "acme.env:3:1" in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert "secret" not in str(raised.value)


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n \t\"'")),
    )
)
@example({"PASSWORD": "one\x0cB=two\u2028C=three\x85"})
def test_what_is_written_into_an_environment_file_is_read_from_it(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "environment-file"
    file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), "utf-8", newline="")
    assert read_environment_file(file) == variables


@given(st.text(max_size=LONGEST_NAME + 5))
def test_a_name_is_one_segment_of_a_path_and_of_a_line(name: str) -> None:
    if name_problem(name) is None:
        assert len(Path("/a", name).parts) == 3
        assert name.isprintable()
        assert Path("/a", name).parent == Path("/a")
