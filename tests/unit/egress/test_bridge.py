"""What ff-observe itself contacts, by the list of outputs and the platform's settings."""

from pathlib import Path
from typing import Any

import pytest

from ff_observe.config import load_settings
from ff_observe.config.secret import Secret
from ff_observe.delivery.urls import NextHop, next_hop
from ff_observe.egress.bridge import contacts_of_build
from ff_observe.egress.contact import Contact, Party
from ff_observe.egress.listing import contacts, of_bridge
from ff_observe.outputs import OUTPUTS
from ff_observe.outputs.model import Destination, Output
from tests.unit.outputs.examples import settings_with
from tests.unit.ping.tampering import COLLECTOR


def listed(home: Path, text: str, **variables: str) -> list[Contact]:
    file = home / "flowforge.yml"
    file.write_text(text)
    return list(contacts(load_settings(home=home, config=file, variables=variables), variables={}))


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
def test_each_output_is_listed_with_all_that_is_to_be_known(output: Output, tmp_path: Path) -> None:
    settings = settings_with(tmp_path, output, 4321)
    [*own] = [each for each in contacts(settings, variables={}) if each.why == output.title]
    if output.build is None and output.build_lasting is None and not output.name.startswith("frontend"):
        assert own == []
        return
    assert own
    for contact in own:
        assert contact.by is (Party.BROWSER if output.name.startswith("frontend") else Party.BRIDGE)
        assert (contact.data, contact.key, contact.stop) == (output.content, output.key, output.stop)
        assert contact.since == "0.1.0"
    off = {each.why for each in contacts(settings_with(tmp_path, None), variables={}) if each.by is not Party.SERVER}
    assert output.title not in off


def test_receipts_send_a_checkpoint_with_the_ping(tmp_path: Path) -> None:
    def data(text: str) -> list[str]:
        return [each.data for each in listed(tmp_path, text) if each.why == "Core ping"]

    [without] = data("telemetry: {url: https://pings.example.com/ping}")
    [with_receipts] = data(
        f"telemetry: {{url: https://pings.example.com/ping, ping: {{receipts: {COLLECTOR.verifier}}}}}"
    )
    assert with_receipts == f"{without}; a checkpoint of the ledger: its random name, size and root"


def test_browsers_are_listed_with_every_origin_of_the_policy(tmp_path: Path) -> None:
    text = """
telemetry:
  frontend:
    posthog: {apikey: phc_a, apiurl: "https://eu.i.posthog.com"}
    sentry: {dsn: "https://k@sentry.example.com:9000/1"}
    plausible: {domain: d}
"""
    places = {each.place for each in listed(tmp_path, text) if each.by is Party.BROWSER and not each.source}
    assert places == {
        *("eu.i.posthog.com:443", "eu-assets.i.posthog.com:443", "sentry.example.com:9000", "plausible.io:443"),
    }


def test_an_address_no_browser_can_contact_is_none(tmp_path: Path) -> None:
    text = "telemetry: {frontend: {posthog: {apikey: phc_a, apiurl: 'http://[::1]/'}}}"
    assert [each for each in listed(tmp_path, text) if each.by is Party.BROWSER and not each.source] == []


def test_no_secret_of_an_address_is_listed(tmp_path: Path) -> None:
    text = """
telemetry:
  url: https://user:planted@ping.example.com/planted
  backend:
    sentry: {dsn: "https://planted:planted@sentry.example.com/1"}
    otlp: {endpoint: "https://user:planted@otlp.example.com/planted", headers: {Authorization: planted}}
db: {type: postgres, host: db.example.com, user: u, password: planted}
blueprintImport: {url: "https://user:planted@mirror.example.com/planted"}
"""
    found = listed(tmp_path, text)
    assert {"ping.example.com", "sentry.example.com", "otlp.example.com", "mirror.example.com"} <= {
        each.host for each in found
    }
    assert "planted" not in repr(found)


def test_the_variables_of_each_platform_say_where_its_otlp_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of several platforms: its own environment is not theirs."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://process.example.com:4318")
    own = of_bridge(listed(tmp_path, "port: 1", OTEL_EXPORTER_OTLP_ENDPOINT="http://own.example.com:4318"))
    assert [each.place for each in own if each.why == "OTLP"] == ["own.example.com:4318"]


@pytest.mark.parametrize(
    ("url", "over_grpc", "variables", "expected"),
    [
        ("https://a.example.com/x", False, {}, NextHop("a.example.com", 443)),
        ("http://a.example.com", True, {}, NextHop("a.example.com", 443)),
        ("a.example.com:4317", True, {}, NextHop("a.example.com", 4317)),
        ("http://[2001:db8::1]:4318", False, {}, NextHop("2001:db8::1", 4318)),
        ("https://a.b", False, {"https_proxy": "http://u:p@proxy:3128"}, NextHop("proxy", 3128, "a.b")),
        ("https://a.b", False, {"https_proxy": "proxy"}, NextHop("proxy", 80, "a.b")),
        ("http://a.b:1", True, {"https_proxy": "http://proxy"}, NextHop("proxy", 443, "a.b")),
        ("http://a.b:1", True, {"HTTPS_PROXY": "http://proxy"}, NextHop("a.b", 1)),
        ("http://a.b:1", True, {"grpc_proxy": "http://g:2", "http_proxy": "http://h:3"}, NextHop("g", 2, "a.b")),
        ("http://a.b:1", True, {"http_proxy": "http://h:3", "no_proxy": "x, .b"}, NextHop("a.b", 1)),
        ("http://a.b:1", True, {"http_proxy": "http://h:3", "no_proxy": "*"}, NextHop("h", 3, "a.b")),
        (
            "http://a.b:1",
            True,
            {"http_proxy": "http://h:3", "no_proxy": "a.b", "no_grpc_proxy": "c"},
            NextHop("h", 3, "a.b"),
        ),
        ("http://10.1.2.3:1", True, {"http_proxy": "http://h:3", "no_proxy": "10.0.0.0/8"}, NextHop("10.1.2.3", 1)),
    ],
)
def test_the_way_to_a_receiver_is_direct_or_through_its_proxy(
    url: str, over_grpc: bool, variables: dict[str, str], expected: NextHop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_proxy", "no_grpc_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert next_hop(url, over_grpc=over_grpc) == expected


def test_the_platform_is_listed_as_far_as_it_is_asked(tmp_path: Path) -> None:
    text = """
base_url: http://forge.example.com:3000/
db: {type: postgres, host: db.example.com, user: u}
telemetry: {enabled: true, backend: {prometheus: {enabled: true}}}
"""
    found = of_bridge(listed(tmp_path, text, FF_TELEMETRY_DISABLED="1"))
    assert [(each.place, each.condition != "") for each in found] == [
        ("db.example.com:5432", False),
        ("forge.example.com:3000", False),
        ("forge.example.com:443", True),
        ("forge.example.com:3000", True),
    ]
    silent = text.replace("{prometheus: {enabled: true}}", "{prometheus: {probe_url: false}}")
    assert [each.host for each in of_bridge(listed(tmp_path, silent, FF_TELEMETRY_DISABLED="1"))] == ["db.example.com"]
    assert (
        of_bridge(listed(tmp_path, "db: {type: postgres, host: /run/postgresql, user: u}", FF_TELEMETRY_DISABLED="1"))
        == ()
    )


@pytest.mark.parametrize(
    ("variables", "places"),
    [
        ({}, []),
        ({"SENTRY_AUTH_TOKEN": "t"}, []),  # incomplete: nothing would be uploaded
        ({"SENTRY_AUTH_TOKEN": "t", "SENTRY_ORG": "o", "SENTRY_PROJECT": "p"}, ["sentry.io:443"]),
        (
            {
                "SENTRY_AUTH_TOKEN": "t",
                "SENTRY_ORG": "o",
                "SENTRY_PROJECT": "p",
                "SENTRY_URL": "http://s.example.com:9000/",
            },
            ["s.example.com:9000"],
        ),
    ],
)
def test_a_build_is_listed_where_it_could_upload(variables: dict[str, str], places: list[str]) -> None:
    found = list(contacts_of_build(variables))
    assert [each.place for each in found] == places
    assert all(each.by is Party.BUILD for each in found)


def test_a_destination_does_not_show_its_url() -> None:
    assert "planted" not in repr(Destination(Secret("https://planted@h")))


def test_only_loopback_is_this_machine() -> None:
    facts: Any = ("w", "d", "k", "0.1.0", "s")
    local = [Contact(host, 1, Party.BRIDGE, *facts) for host in ("localhost", "127.9.9.9", "::1", "a.localhost")]
    other = [Contact(host, 1, Party.BRIDGE, *facts) for host in ("10.0.0.1", "localhost.example.com", "fe80::1", "h")]
    assert all(each.is_this_machine for each in local)
    assert not any(each.is_this_machine for each in other)
    assert Contact("fe80::1", 1, Party.BRIDGE, *facts).place == "[fe80::1]:1"
