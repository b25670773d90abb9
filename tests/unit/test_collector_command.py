"""Where `ff-observe collector` takes its database from: an option, else a variable, else `collector.yml`."""

import argparse
from pathlib import Path

import pytest

from ff_observe.cli import build_parser, collector, main
from ff_observe.cli.collector import COLLECTOR_DATABASE, COLLECTOR_DATABASE_FILE
from ff_observe.collector.settings import PostgreSQLServer, SQLiteFile
from ff_observe.config.secret import MASK, Secret
from ff_observe.errors import UsageError

OPTION, VARIABLE, FILE = (f"postgresql://collector@127.0.0.1/{name}" for name in ("option", "variable", "file"))


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """With all of them: an option, a variable, and a collector.yml."""
    (tmp_path / "collector.yml").write_text(f"database: {FILE}\n")
    (tmp_path / "url").write_text(VARIABLE)
    monkeypatch.setenv(COLLECTOR_DATABASE, VARIABLE)
    monkeypatch.delenv(COLLECTOR_DATABASE_FILE, raising=False)
    arguments = ["collector", "run", "--settings", str(tmp_path / "collector.yml"), "--database", OPTION]
    return build_parser().parse_args(arguments)


def database(options: argparse.Namespace) -> object:
    return collector.named_settings(options).database


def test_an_option_wins_over_a_variable_and_a_variable_over_the_file(
    options: argparse.Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database(options) == PostgreSQLServer(Secret(OPTION))
    options.database = None
    assert database(options) == PostgreSQLServer(Secret(VARIABLE))
    monkeypatch.setenv(COLLECTOR_DATABASE_FILE, str(tmp_path / "url"))
    with pytest.raises(UsageError, match=f"either {COLLECTOR_DATABASE} or {COLLECTOR_DATABASE_FILE}"):
        database(options)
    monkeypatch.setenv(COLLECTOR_DATABASE, "")
    assert database(options) == PostgreSQLServer(Secret(VARIABLE))
    monkeypatch.setenv(COLLECTOR_DATABASE_FILE, "")
    assert database(options) == PostgreSQLServer(Secret(FILE))
    options.settings = None
    assert database(options) == SQLiteFile()


@pytest.mark.parametrize("action", [["run"], ["export", "x"], ["forget", "x"]])
def test_a_password_in_a_command_is_refused_and_not_repeated(
    action: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql://collector:planted-secret-7@127.0.0.1:1/pings"
    assert main(["collector", *action, "--database", url]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("ff-observe: --database: `ps` shows")
    assert "planted" not in error


@pytest.mark.parametrize("text", ["sqlite:", "postgresql", "postgresql://127.0.0.1:x/pings"])
@pytest.mark.parametrize("is_option", [False, True])
def test_the_advice_for_a_wrong_database_is_whole(
    text: str, is_option: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(COLLECTOR_DATABASE_FILE, raising=False)
    if not is_option:
        monkeypatch.setenv(COLLECTOR_DATABASE, text)
    assert main(["collector", "run", *(["--database", text] if is_option else [])]) == 2
    assert MASK not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["collector:planted-secret-7@127.0.0.1", "host=127.0.0.1 password=planted-secret-7"])
def test_a_password_in_what_is_no_url_is_masked_all_the_same(text: str, options: argparse.Namespace) -> None:
    options.database = Secret(text)
    with pytest.raises(UsageError):
        database(options)
    assert options.redactor.text(f"{text!r} is refused") == f"'{MASK}' is refused"


@pytest.mark.parametrize("action", [["export", "x"], ["forget", "x"]])
def test_the_password_of_a_variable_is_in_no_error(
    action: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COLLECTOR_DATABASE, "postgresql://collector:planted-secret-7@127.0.0.1:1/pings")
    assert main(["collector", *action]) == 1
    assert "planted" not in capsys.readouterr().err
