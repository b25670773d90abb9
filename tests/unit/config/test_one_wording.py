"""The same mistake reads the same in `flowforge.yml`, the web configuration and `collector.yml`."""

from pathlib import Path

import pytest

from ff_observe.collector.settings_file import read_collector_file
from ff_observe.config import load_settings
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.web.web_config import read_web_config

READ = {
    "flowforge.yml": lambda file: load_settings(home=file.parent, config=file, variables={}),
    "web.yml": read_web_config,
    "collector.yml": read_collector_file,
}


def problems(directory: Path, name: str, text: str | None) -> tuple[Problem, ...]:
    file = directory / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        READ[name](file)
    return caught.value.problems


# The mistake → the text of each file that has it, at the same place.
MISTAKES: dict[str, tuple[str, str, str]] = {
    "not a map": ("- 1", "- 1", "- 1"),
    "not YAML": ("a: [", "a: [", "a: ["),
    "a section that is none": ("telemetry:\n  backend: 5", "http_server_config:\n  headers: 5", "\nlimits:    5"),
    "no boolean": (
        "telemetry:\n  enabled: yes",
        "http_server_config:\n  http2: yes",
        "fleet:\n  public: yes",
    ),
    "no string": (
        "telemetry: {frontend: {posthog: {apikey: 5}}}",
        "tls_server_config: {cert_file: 5, key_file: k}",
        "listen: 5",
    ),
    "a key twice": (
        "telemetry:\n  enabled: true\n  enabled: false",
        "tls_server_config:\n  cert_file: a\n  cert_file: b",
        "fleet:\n  k: 1\n  k: 2",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_same_mistake_has_the_same_words(mistake: str, tmp_path: Path) -> None:
    found = [problems(tmp_path, name, text)[0] for name, text in zip(READ, MISTAKES[mistake], strict=True)]
    assert len({problem.message for problem in found}) == 1, found
    assert all(problem.line for problem in found)


def test_a_missing_file_is_called_so_everywhere(tmp_path: Path) -> None:
    for name in READ:
        assert problems(tmp_path, name, None)[0].message == "there is no such file"


@pytest.mark.parametrize(
    ("name", "text", "key", "meant"),
    [
        ("web.yml", "http_server_config: {heders: {}}", "http_server_config.heders", "headers"),
        ("web.yml", "http_server_config: {headers: {x-frame-option: deny}}", None, "X-Frame-Options"),
        ("web.yml", "basic_auth_user: {}", "basic_auth_user", "basic_auth_users"),
        ("collector.yml", "fleet: {pubic_k: 10}", "fleet.pubic_k", "public_k"),
        ("collector.yml", "databse_file: x", "databse_file", "database_file"),
    ],
)
def test_an_unknown_key_is_an_error_that_says_what_was_meant(
    tmp_path: Path, name: str, text: str, key: str | None, meant: str
) -> None:
    (problem,) = problems(tmp_path, name, text)
    assert problem.key == (key or "http_server_config.headers.x-frame-option")
    assert problem.message == f'unknown key; did you mean "{meant}"?'


@pytest.mark.parametrize(
    ("name", "text", "key", "line"),
    [
        ("flowforge.yml", "telemetry:\n  enabled: true\n  url: http://h\n  enabled: false\n", "telemetry.enabled", 2),
        ("flowforge.yml", "a:\n- b: 1\n  c: 2\n  b: 3\n", "a.b", 2),
        ("web.yml", "tls_server_config: {}\n\n'tls_server_config': {}\n", "tls_server_config", 1),
        ("collector.yml", "retention_days: 5\nretention_days: 6\n", "retention_days", 1),
    ],
)
def test_a_key_that_is_there_twice_is_named_with_the_line_of_the_first(
    tmp_path: Path, name: str, text: str, key: str, line: int
) -> None:
    (problem,) = problems(tmp_path, name, text)
    assert problem.key == key
    assert problem.message == f"this key is there twice in the same map, first in line {line}: keep one of them"


def test_a_secret_that_is_a_key_twice_is_not_shown(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "flowforge.yml", "https://hush@h/1: a\nhttps://hush@h/1: b\n")
    assert problem.key == "(a key that is not shown)"


def test_a_dot_does_not_lead_into_a_section(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "collector.yml", "fleet.k: 1\n")
    assert problem.message == (
        "unknown key; a dot does not lead into a section: write the keys below each other, indented"
    )


def test_every_wrong_item_of_a_list_is_reported(tmp_path: Path) -> None:
    found = problems(
        tmp_path, "collector.yml", "address: {trusted_proxies: [a, 10.0.0.1, b]}\nallowed_hosts: ['/', a, '/']"
    )
    assert [(problem.line, problem.column) for problem in found] == [(1, 29), (1, 42), (2, 17), (2, 25)]
