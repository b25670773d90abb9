"""NetworkPolicies and the list of hosts that `ff-observe egress` prints."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ff_observe.cli import main
from ff_observe.egress import policy
from ff_observe.egress.contact import Contact, Party
from ff_observe.errors import FFObserveError
from tests import kubernetes

DNS = {"ports": [{"port": port, "protocol": protocol} for port in (53, 5353) for protocol in ("UDP", "TCP")]}
TEXT = """
base_url: http://forge
telemetry:
  url: https://user:planted@ping.example.com/ping
  backend:
    otlp: {endpoint: "http://10.0.0.5:4318"}
    sentry: {dsn: "https://planted@sentry.example.com/1"}
"""


def contact(host: str, port: int = 443, by: Party = Party.BRIDGE) -> Contact:
    return Contact(host, port, by, "why", "data", "key", "0.1.0", "stop")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "flowforge.yml").write_text(TEXT)
    return tmp_path


def printed(home: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["--home", str(home), "egress", *options]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("version", ["1.25", kubernetes.NEWEST])
def test_kubernetes_takes_the_policy(home: Path, capsys: pytest.CaptureFixture[str], version: str) -> None:
    made = yaml.safe_load(printed(home, capsys, "--network-policy"))
    kubernetes.takes(made, version)
    assert made["spec"]["policyTypes"] == ["Egress"]
    assert made["spec"]["egress"] == [
        DNS,
        {"ports": [{"port": 443, "protocol": "TCP"}]},
        {"ports": [{"port": 4318, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "10.0.0.5/32"}}]},
        {"to": [{"namespaceSelector": {}}]},
    ]


@pytest.mark.parametrize("how", [("--network-policy",), ("--network-policy", "cilium"), ("--hosts",), ()])
def test_no_host_adds_a_line_or_a_manifest(
    home: Path, capsys: pytest.CaptureFixture[str], how: tuple[str, ...]
) -> None:
    host = json.dumps("x.example\n---\nkind: Pod\n#\x1b[31m\u2028")
    (home / "etc" / "flowforge.yml").write_text(f"db: {{type: postgres, host: {host}}}\n")
    text = printed(home, capsys, *how)
    assert "kind: Pod" in text
    assert "\x1b" not in text
    assert [line for line in text.splitlines() if line.startswith(("---", "kind: Pod"))] == []


def test_ciliums_policy_has_a_rule_for_each_name(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = yaml.safe_load(printed(home, capsys, "--network-policy", "cilium"))
    assert (made["apiVersion"], made["kind"]) == ("cilium.io/v2", "CiliumNetworkPolicy")
    dns, *others = made["spec"]["egress"]
    assert dns["toPorts"][0]["rules"]["dns"] == [{"matchPattern": "*"}]

    def at(port: str) -> list[dict[str, Any]]:
        return [{"ports": [{"port": port, "protocol": "TCP"}]}]

    assert others == [
        {"toCIDR": ["10.0.0.5/32"], "toPorts": at("4318")},
        {"toEntities": ["cluster"]},
        {"toFQDNs": [{"matchName": "ping.example.com"}], "toPorts": at("443")},
        {"toFQDNs": [{"matchName": "sentry.example.com"}], "toPorts": at("443")},
    ]


def test_resolved_names_are_opened_by_address_and_services_never() -> None:
    given = {"a.example.com": ("192.0.2.2", "2001:db8::2"), "b.example.com": ("192.0.2.3",)}
    listed = [contact("a.example.com"), contact("a.example.com", 80), contact("b.example.com"), contact("forge.ns.svc")]
    assert policy.rules(listed, given.__getitem__) == [
        DNS,
        {
            "ports": [{"port": 80, "protocol": "TCP"}, {"port": 443, "protocol": "TCP"}],
            "to": [{"ipBlock": {"cidr": "192.0.2.2/32"}}, {"ipBlock": {"cidr": "2001:db8::2/128"}}],
        },
        {"ports": [{"port": 443, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "192.0.2.3/32"}}]},
        {"to": [{"namespaceSelector": {}}]},
    ]


def test_what_is_on_this_machine_needs_no_rule() -> None:
    assert policy.rules([contact("127.0.0.1"), contact("localhost"), contact("::1")]) == [DNS]


def test_a_name_that_does_not_resolve_is_an_error_with_advice() -> None:
    with pytest.raises(FFObserveError, match=r"^a\.\.b cannot be resolved: .*; leave --resolve out"):
        policy.resolve("a..b")
    assert policy.resolve("localhost") in (("127.0.0.1",), ("127.0.0.1", "::1"), ("::1",))


def test_every_form_names_the_hosts_and_no_secret(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ([], ["--json"], ["--hosts"], ["--network-policy"], ["--network-policy", "cilium"]):
        text = printed(home, capsys, *options)
        assert "ping.example.com" in text
        assert "planted" not in text


def test_the_answer_in_json_is_the_whole_list(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(printed(home, capsys, "--json"))
    [ping] = [each for each in answer["contacts"] if each["why"] == "Core ping"]
    assert ping == {
        "host": "ping.example.com",
        "port": 443,
        "by": "ff-observe",
        "why": "Core ping",
        "data": "counts, versions, the platform's random id and its licence's id, once a day; no names, no addresses",
        "key": "telemetry.enabled",
        "since": "0.1.0",
        "stop": ping["stop"],
        "decided": "the platform's database decides: set-up, licence and the administrators' setting",
        "condition": "if the platform's database allows it",
        "receiver": "",
        "source": "",
    }
    parties = {"ff-observe", "FlowFuse server", "browser", "instances and devices"}
    assert {each["by"] for each in answer["contacts"]} == parties
    assert all(
        each["source"].startswith(("forge/", "frontend/")) for each in answer["contacts"] if each["by"] != "ff-observe"
    )


def test_hosts_are_lines_with_those_who_contact_them(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(home, capsys, "--hosts").splitlines()
    assert lines == sorted(lines)
    assert "ping.example.com:443\tff-observe, FlowFuse server" in lines
    assert "forge:80\tff-observe" in lines


def test_resolving_goes_with_the_policy_it_is_for(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(home), "egress", "--hosts", "--resolve"]) == 2
    assert capsys.readouterr().err == "ff-observe: --resolve goes with --network-policy kubernetes\n"
