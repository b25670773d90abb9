"""Where the home and the file are, and what happens if they are not what they should be."""

import os
import socket
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from ff_observe.config import find_file, find_home, load, load_settings
from ff_observe.config.environment import Environment
from ff_observe.errors import ConfigurationError
from tests.other_users import somebody_else


def refused(home: Path, config: Path | str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(home=home, config=config, variables={})
    (problem,) = caught.value.problems
    assert problem.line == 0
    return str(problem)


def test_the_home_is_the_option_else_the_variable_else_opt_else_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opt = tmp_path / "opt"
    monkeypatch.setattr(load, "DEFAULT_HOME", opt)
    named = Environment(flowforge_home=str(tmp_path / "variable"))
    assert find_home(str(tmp_path / "option"), named) == tmp_path / "option"
    assert find_home(None, named) == tmp_path / "variable"
    assert find_home("", named) == tmp_path / "variable"
    assert find_home(None, Environment()) == tmp_path
    opt.mkdir()
    assert find_home(None, Environment()) == opt
    assert find_home("relative", Environment()) == tmp_path / "relative"


def test_a_local_file_replaces_the_file(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    assert find_file(tmp_path, None) == etc / "flowforge.yml"
    (etc / "flowforge.yml").write_text("telemetry: {enabled: false}")
    (etc / "flowforge.local.yml").write_text("port: 1")
    assert find_file(tmp_path, None) == etc / "flowforge.local.yml"
    assert load_settings(home=tmp_path, variables={}).ping.enabled is True
    assert find_file(tmp_path, str(etc / "flowforge.yml")) == etc / "flowforge.yml"


def test_the_variables_of_the_process_are_used_where_none_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "flowforge.yml").write_text("base_url: <%= ENV['FF_TEST_URL'] %>")
    monkeypatch.setenv("FLOWFORGE_HOME", str(tmp_path))
    monkeypatch.setenv("FF_TEST_URL", "https://forge.example.com")
    monkeypatch.setenv("SENTRY_ENV", "staging")
    settings = load_settings()
    assert (settings.home, settings.platform.base_url) == (tmp_path, "https://forge.example.com")
    assert settings.environment.name == "staging"


def test_a_missing_file_says_how_to_name_the_home(tmp_path: Path) -> None:
    assert refused(tmp_path).endswith(
        "etc/flowforge.yml: there is no such file; FlowFuse's home is named with --home or FLOWFORGE_HOME"
    )
    assert refused(tmp_path, tmp_path / "x.yml").endswith("x.yml: there is no such file")


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "etc" / "flowforge.local.yml").mkdir(parents=True)
    assert refused(tmp_path).endswith("this is a directory, not a file")  # the home is right, the file is not


def test_a_file_in_the_place_of_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("")
    assert "Not a directory" in refused(tmp_path)


def test_a_pipe_or_a_device_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refused(tmp_path, tmp_path / "pipe")
    assert "not a regular file" in refused(tmp_path, "/dev/zero")


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert "cannot be read" in refused(tmp_path, tmp_path / "socket")


def test_a_file_that_may_not_be_read_is_told(open_directory: Path) -> None:
    file = open_directory / "flowforge.yml"
    file.write_text("port: 1")
    file.chmod(0)
    with somebody_else():
        assert "Permission denied" in refused(open_directory, file)


def test_a_loop_of_links_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "a")
    assert "cannot be read" in refused(tmp_path, tmp_path / "a")


def test_a_path_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path, "a\0b")
    assert "cannot be read" in refused(tmp_path, "x" * 5000)


def test_a_file_of_fifty_megabytes_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "flowforge.yml"
    with file.open("wb") as sparse:
        sparse.truncate(50 * 1024 * 1024)
    tracemalloc.start()
    try:
        assert "52428800 bytes" in refused(tmp_path, file)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024  # unread
    finally:
        tracemalloc.stop()


def test_a_file_that_does_not_tell_its_size_is_read_to_the_limit_only(tmp_path: Path) -> None:
    # /proc files have size 0; this one is small and not YAML that FlowFuse would take, but must not crash.
    with pytest.raises(ConfigurationError):
        load_settings(home=tmp_path, config="/proc/self/environ", variables={})


def test_a_byte_order_mark_and_dos_line_ends_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "flowforge.yml"
    file.write_bytes(b"\xef\xbb\xbftelemetry:\r\n  enabled: false\r\n")
    assert load_settings(home=tmp_path, config=file, variables={}).ping.enabled is False


@pytest.mark.parametrize("name", ["find_home", "find_file", "load_settings"])
def test_the_package_offers_what_it_names(name: str) -> None:
    from ff_observe import config

    assert name in config.__all__
    assert callable(getattr(config, name))


def test_the_package_has_nothing_else() -> None:
    from ff_observe import config

    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        config.nothing_of_this_name  # noqa: B018  # the access itself is tested


def test_who_needs_only_secrets_does_not_load_the_yaml_parser() -> None:
    asks = "import sys, ff_observe.config.secret, ff_observe.config.settings; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asks], cwd=Path(__file__).parents[3]).returncode == 0
