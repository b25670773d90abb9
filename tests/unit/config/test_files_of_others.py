"""Root uses none of its rights for files that another user can change: it reads no file, and uses no variable, that
they name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ff_observe.config import load_settings
from ff_observe.config.platforms import load_platforms
from ff_observe.config.settings import PostgreSQLDatabase, Settings
from ff_observe.errors import ConfigurationError

BY_FILE = "db: {type: postgres, user: u, password_file: word}\n"
BY_VARIABLE = "db: {type: postgres, user: u, password: <%= ENV['WORD'] %>}\n"
Give = Callable[[Path], None]


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Give:
    """Gives a file to another user, in the eyes of root: who is not root stands in for the other one."""

    def given(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: 0)

    return given


@pytest.fixture
def home(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "word").write_text("planted\n")
    return tmp_path


def load(home: Path, **variables: str) -> Settings:
    return load_settings(home, variables=variables)


def password(settings: Settings) -> str:
    assert isinstance(settings.database, PostgreSQLDatabase)
    assert settings.database.password is not None
    return settings.database.password.reveal()


def refused(error: ConfigurationError, file: Path) -> bool:
    text = str(error)
    return all(part in text for part in (f"{file}: it belongs to", "as root", "sudo -u")) and "planted" not in text


@pytest.mark.parametrize("text", [BY_FILE, BY_VARIABLE], ids=["file", "variable"])
@pytest.mark.parametrize("name", ["flowforge.yml", "ff-observe.yml"])
def test_a_secret_is_had_as_long_as_the_file_is_ours(home: Path, name: str, text: str, give: Give) -> None:
    (home / "etc" / "flowforge.yml").write_text("db: {type: postgres, user: u, host: db}\n")
    file = home / "etc" / name
    file.write_text(text)
    assert password(load(home, WORD="planted")) == "planted"
    give(file)
    with pytest.raises(ConfigurationError) as caught:
        load(home, WORD="planted")
    assert refused(caught.value, file)


def test_a_file_of_others_that_takes_nothing_is_read(home: Path, give: Give) -> None:
    file = home / "etc" / "flowforge.yml"
    file.write_text("base_url: https://forge.example.com\n")
    give(file)
    assert load(home).platform.base_url == "https://forge.example.com"


def test_a_variable_names_a_secret_file_for_root(home: Path, give: Give) -> None:
    file = home / "etc" / "flowforge.yml"
    file.write_text("db: {type: postgres, user: u, host: db}\n")
    variables = {"FF_OBSERVE_DB_PASSWORD_FILE": str(home / "etc" / "word")}
    if os.geteuid() == 0:
        give(file)
    assert password(load(home, **variables)) == "planted"


def test_variables_of_a_file_of_others_are_not_taken(home: Path, give: Give) -> None:
    (home / "etc" / "flowforge.yml").write_text("base_url: https://forge.example.com\n")
    listed, variables = home / "platforms.yml", home / "acme.env"
    listed.write_text(f"- {{name: acme, home: '{home}', environment_file: acme.env}}\n")
    variables.write_text(f"STATE_DIRECTORY={home}/state\n")
    (platform,) = load_platforms(listed, {}).platforms
    assert platform.settings is not None
    assert platform.settings.ping.state_directory == home / "state"
    give(variables)
    (platform,) = load_platforms(listed, {}).platforms
    assert platform.settings is None
    assert refused(ConfigurationError(platform.problems), variables)


@pytest.mark.parametrize("layer", ["flowforge.yml", "ff-observe.yml"])
def test_the_file_that_names_the_ledger_is_known(home: Path, layer: str) -> None:
    (home / "etc" / "flowforge.yml").write_text("base_url: https://forge.example.com\n")
    file = home / "etc" / layer
    file.write_text("telemetry: {ledger: sent.jsonl}\n")
    assert load(home).ping.ledger_named_in == file
    assert load(home, FF_OBSERVE_TELEMETRY_LEDGER="other.jsonl").ping.ledger_named_in is None
    file.write_text("base_url: https://forge.example.com\n" if layer == "flowforge.yml" else "telemetry: {}\n")
    assert load(home).ping.ledger_named_in is None
