"""A variable of a template that is not set stops the start only where a key that is read depends on it."""

from pathlib import Path

import pytest

from ff_observe.config.settings import PostgreSQLDatabase, SQLiteDatabase
from ff_observe.errors import ConfigurationError
from tests.unit.config.files import load


def problems(home: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        load(home, text)
    return sorted((problem.line, problem.key, problem.message) for problem in caught.value.problems)


def test_a_password_of_the_mail_server_need_not_be_set(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "email:\n  enabled: true\n  smtp:\n    auth: {user: forge, pass: <%= ENV['SMTPPASSWORD'] %>}\n"
        "db: {type: postgres, password: <%= ENV['PGPASSWORD'] %>}\n",
        PGPASSWORD="planted",
    )
    assert settings.platform.email
    assert isinstance(settings.database, PostgreSQLDatabase)
    assert settings.database.password is not None
    assert settings.database.password.reveal() == "planted"


@pytest.mark.parametrize("key", ["broker", "fileStore", "billing"])
def test_what_stands_in_a_map_of_which_only_its_presence_counts_need_not_be_set(tmp_path: Path, key: str) -> None:
    load(tmp_path, f"{key}:\n  secret: '<%= ENV['NOT_SET'] %>'\n")


def test_the_password_of_a_database_that_is_a_file_need_not_be_set(tmp_path: Path) -> None:
    settings = load(tmp_path, "db: {type: sqlite, password: <%= ENV['NOT_SET'] %>}")
    assert isinstance(settings.database, SQLiteDatabase)


def test_a_key_that_is_read_is_named_with_its_variable_and_line(tmp_path: Path) -> None:
    text = "db:\n  type: postgres\n  password: <%= ENV['NOT_SET'] %>\n  user: 'u<%= ENV['NOR_THIS'] %>'\n"
    assert problems(tmp_path, text) == [
        (3, "db.password", "the environment variable NOT_SET is not set"),
        (4, "db.user", "the environment variable NOR_THIS is not set"),
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("telemetry: <%= ENV['NOT_SET'] %>", "telemetry"),
        ("telemetry: '<%= ENV['NOT_SET'] %>'", "telemetry"),
        ("db: <%= ENV['NOT_SET'] %>", "db"),
        ("driver: <%= ENV['NOT_SET'] %>", "driver"),
        ("driver: {type: <%= ENV['NOT_SET'] %>}", "driver.type"),
        ("broker: <%= ENV['NOT_SET'] %>", "broker"),
        ("telemetry: {enabled: <%= ENV['NOT_SET'] %>}", "telemetry.enabled"),
        ("telemetry: {url_file: <%= ENV['NOT_SET'] %>}", "telemetry.url_file"),
        ("housekeeper: <%= ENV['NOT_SET'] %>", "housekeeper"),
        ("telemetry: {backend: <%= ENV['NOT_SET'] %>}", "telemetry.backend"),
        (
            "telemetry: {backend: {otlp: {headers: {a.b: <%= ENV['NOT_SET'] %>}}}}",
            "telemetry.backend.otlp.headers.a.b",
        ),
    ],
)
def test_a_section_or_switch_that_is_read_is_named_once(tmp_path: Path, text: str, key: str) -> None:
    """Each would have a default without its value: an opt-out would be lost."""
    assert problems(tmp_path, text) == [(1, key, "the environment variable NOT_SET is not set")]
