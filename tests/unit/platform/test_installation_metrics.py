"""FlowFuse's own `/metrics`, asked for the version of Node.js: over which connection, and how often."""

import logging
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ff_observe.platform.sources.installation import node_version_of_flowfuse as node_version
from tests.unit.ping.authority import make_authority
from tests.unit.ping.receivers import answer, receiver

TELLING = answer(200, b'nodejs_version_info{version="v22.1.0",major="22"} 1\n')


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_an_authority_that_the_whole_program_trusts_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    authority = make_authority(tmp_path)
    with receiver(TELLING, authority.server) as flowfuse:
        assert node_version(flowfuse.url("", scheme)) is None
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.certificate))
        assert node_version(flowfuse.url("", scheme)) == "v22.1.0"


@pytest.mark.parametrize("base", ["", "/", "/forge/X", "/forge/X//"])
def test_the_page_is_below_the_address(base: str) -> None:
    with receiver(TELLING) as flowfuse:
        assert node_version(flowfuse.url(base)) == "v22.1.0"
    assert [request.line for request in flowfuse.requests] == [f"GET {base.rstrip('/')}/metrics HTTP/1.1"]


def test_an_address_whose_host_can_be_read_in_two_ways_is_not_asked() -> None:
    with receiver(TELLING) as flowfuse:
        assert node_version(flowfuse.url("\\@forge.example.com")) is None
    assert flowfuse.requests == []


def test_a_redirect_is_not_followed() -> None:
    with receiver(TELLING) as other, receiver(answer(302, location=other.url("/metrics"))) as flowfuse:
        assert node_version(flowfuse.url("")) is None
    assert (len(flowfuse.requests), len(other.requests)) == (1, 0)


def test_a_failed_request_is_not_repeated_and_the_log_names_no_address(caplog: pytest.LogCaptureFixture) -> None:
    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    with receiver(hang_up) as flowfuse, caplog.at_level(logging.DEBUG, logger="ff_observe"):
        assert node_version(flowfuse.url("")) is None
    assert len(flowfuse.requests) == 1
    [record] = [record for record in caplog.records if record.name.startswith("ff_observe")]
    assert record.levelno == logging.DEBUG
    assert record.getMessage() == "the version of Node.js cannot be read from FlowFuse: ProtocolError"
