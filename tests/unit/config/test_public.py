"""Which addresses other machines reach, and what listening there needs."""

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.config import load_settings
from ff_observe.config.platforms import load_platforms
from ff_observe.config.public import is_loopback
from ff_observe.errors import ConfigurationError

OURS = ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LocalHost.", "a.localhost")
OPEN = ("0.0.0.0", "::", "10.0.0.1", "::ffff:0.0.0.0", "fe80::1", "0177.0.0.1", "127.1")
NAMES = ("bridge.example.com", "localhost.example.com")


@pytest.mark.parametrize("host", OURS)
def test_loopback_addresses_and_names_are_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [*OPEN, *NAMES])
def test_every_other_address_or_name_may_be_reached(host: str) -> None:
    assert not is_loopback(host)


@given(st.ip_addresses(v=4))
def test_of_ipv4_only_127_is_loopback(address: ipaddress.IPv4Address) -> None:
    assert is_loopback(str(address)) is str(address).startswith("127.")


@pytest.mark.parametrize(
    ("keys", "refused"),
    [
        ("host: '::'", True),
        ("host: 10.1.2.3", True),
        ("host: bridge.example.com, enabled: true", True),
        ("host: 10.1.2.3, allow_public: false", True),
        ("host: 10.1.2.3, web_config_file: null", True),
        ("host: 10.1.2.3, bearer_token_file: ''", True),
        ("host: 10.1.2.3, allow_public: true", False),
        ("host: 10.1.2.3, web_config_file: web.yml", False),
        ("host: 10.1.2.3, bearer_token_file: token", False),
        ("host: localhost", False),
        ("port: 1", False),
    ],
)
def test_an_address_open_to_others_needs_security_or_consent(tmp_path: Path, keys: str, refused: bool) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("web.yml", "token"):
        (tmp_path / "etc" / name).write_text("x")
    (tmp_path / "etc" / "flowforge.yml").write_text(f"telemetry: {{backend: {{prometheus: {{{keys}}}}}}}\n")
    if not refused:
        assert load_settings(home=tmp_path, variables={})
        return
    with pytest.raises(ConfigurationError) as caught:
        load_settings(home=tmp_path, variables={})
    assert "telemetry.backend.prometheus.host" in str(caught.value)
    assert str(caught.value).count("allow_public: true") == 1


@pytest.mark.parametrize("wrong", ["web_config_file: 5", "web_config_file: [a]", "bearer_token_file: {}"])
def test_a_file_that_should_secure_it_and_is_wrong_is_the_only_problem(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "etc").mkdir()
    prometheus = f"host: 10.1.2.3, {wrong}"
    (tmp_path / "etc" / "flowforge.yml").write_text(f"telemetry: {{backend: {{prometheus: {{{prometheus}}}}}}}\n")
    listed = tmp_path / "platforms.yml"
    listed.write_text(f"{{{prometheus}, platforms: []}}\n")
    for load in (lambda: load_settings(home=tmp_path, variables={}), lambda: load_platforms(listed)):
        with pytest.raises(ConfigurationError) as caught:
            load()
        assert [problem.key.rpartition(".")[2] for problem in caught.value.problems] == [wrong.partition(":")[0]]
