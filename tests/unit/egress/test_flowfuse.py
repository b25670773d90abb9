"""FlowFuse's own calls: which its file makes possible, and that each is in the source that it names."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.config import load_settings
from ff_observe.config.flowfuse_file import read_flowfuse_file
from ff_observe.config.nodes import Map
from ff_observe.config.settings import Settings
from ff_observe.config.yaml_core import parse
from ff_observe.egress.contact import Contact, Party
from ff_observe.egress.flowfuse import CALLS, READ_FROM, contacts_of_flowfuse
from ff_observe.egress.flowfuse_rules import Call
from ff_observe.platform.snapshot import Snapshot
from tests.unit.ping import samples

ALWAYS: Final = {"ping.flowforge.com:443", "catalogue.nodered.org:443"}
OF_A_LICENCE: Final = {
    "registry.npmjs.com:443",
    *("app.flowfuse.com:443", "ff-certified-nodes.flowfuse.cloud:443", "registry.flowfuse.com:443"),
}
BILLING: Final = {"api.stripe.com:443", "meetings-eu1.hubspot.com:443", "static.hsappstatic.net:443"}
E_MAIL: Final = {"flowfuse.com:443"}

SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "FlowFuse's own usage ping": ("https://ping.flowforge.com/ping", "FF_TELEMETRY_DISABLED", "axios.post("),
    "Report of certified nodes": ("https://ff-certified-nodes.flowfuse.cloud/", "instanceId", "axios.post("),
    "Import of blueprints": ("https://app.flowfuse.com/api/v1", "blueprintImport?.enabled !== false", "axios.get("),
    "Assistant": ("app.config.assistant?.service?.url", "axios.post("),
    "Expert": ("app.expert.expertUrl", "axios.post("),
    "Broker of the Expert, from the team broker": ("app.config.expert?.centralBroker?.server",),
    "PostHog, from the server": ("https://app.posthog.com", "new PostHog("),
    "Sentry, from the server": ("dsn: runtimeConfig.telemetry.backend.sentry.dsn",),
    "FlowFuse's database": ("app.config.db.host",),
    "MQTT broker": ("mqtt.connect(this.app.config.broker.url",),
    "API of the team broker": ("app.config.broker?.teamBroker?.api?.url", "axios.create("),
    "Cache (Redis, Valkey)": ("createClient(newOptions)", "client.connect()"),
    "Databases of team tables": ("libPg.newClient(options.backend || {})", "this._adminClient.connect()"),
    "Databases of team tables, without a pooler": (
        *("libPg.newClient(options.database || {})", "this._adminClient.connect()"),
    ),
    "Pooler of team tables (Supavisor)": ("axios.put(`${this._options.supavisor.url}",),
    "E-mail by SMTP": ("app.config.email.smtp", "smtpConfig.host"),
    "E-mail by Amazon SES": ("app.config.email.ses", "new SESv2Client({ region: sesConfig.region })"),
    "Billing by Stripe": ("require('stripe')(app.config.billing.stripe.key)",),
    "npm registry of teams": ("axios.get(`${app.config.npmRegistry?.url}",),
    "PostHog, in FlowFuse's pages": ("https://app.posthog.com", "telemetry.frontend.posthog?.apikey"),
    "Sentry, in FlowFuse's pages": ("telemetry.frontend?.sentry?.dsn",),
    "Google tag, in FlowFuse's pages": ("https://www.googletagmanager.com/gtag/js", "frontend.google?.tag"),
    "HubSpot, in FlowFuse's pages": ("//js-eu1.hs-scripts.com/", "support?.enabled"),
    "Bill of materials": ("https://registry.npmjs.com/${dependency}",),
    "Icons in the Expert's answers": ("https://www.google.com/s2/favicons?domain=",),
    "Calendar of FlowFuse's sales (HubSpot)": ("https://meetings-eu1.hubspot.com", "user.email"),
    "Script of that calendar": ("https://static.hsappstatic.net/",),
    "Logo in FlowFuse's e-mails": ("https://flowfuse.com/handbook/images/logos/",),
    "MQTT broker, by its name for others": ("app.config.broker.public_url || app.config.broker.url",),
    "Catalogue of Node-RED's nodes": ("https://catalogue.nodered.org/catalogue.json",),
    "FlowFuse's npm registry": ("https://registry.flowfuse.com/", "['ff-npm-registry']?.url"),
    "Catalogue of certified nodes": ("https://ff-certified-nodes.flowfuse.cloud/catalogue.json",),
    "Catalogue of FlowFuse's nodes": ("https://ff-certified-nodes.flowfuse.cloud/ff-catalogue.json",),
}
"""What stands in FlowFuse's source where the call is made."""


def settings(home: Path, text: str) -> Settings:
    file = home / "flowforge.yml"
    file.write_text(text)
    return load_settings(home=home, config=file, variables={})


def found(home: Path, text: str, snapshot: Snapshot | None = None) -> list[Contact]:
    return list(contacts_of_flowfuse(settings(home, text), snapshot))


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("port: 1", OF_A_LICENCE),
        ("housekeeper: false", OF_A_LICENCE - {"app.flowfuse.com:443"}),
        ("blueprintImport: {enabled: false}", OF_A_LICENCE - {"app.flowfuse.com:443"}),
        (
            "blueprintImport: {url: 'http://mirror.example.com:8080/b'}",
            OF_A_LICENCE - {"app.flowfuse.com:443"} | {"mirror.example.com:8080"},
        ),
        ("assistant: {enabled: true}", OF_A_LICENCE | {"expert.flowfuse.com:443"}),
        ("assistant: {enabled: 'true'}", OF_A_LICENCE),
        ("assistant: {service: {url: 'https://ai.example.com/v1'}}", OF_A_LICENCE | {"ai.example.com:443"}),
        ("assistant: {enabled: false, service: {url: 'https://ai.example.com/v1'}}", OF_A_LICENCE),
        ("expert: {enabled: true}", OF_A_LICENCE | {"expert.flowfuse.com:443", "www.google.com:443"}),
        (
            """
expert: {enabled: true, centralBroker: {server: 'm.example.com:8884'}}
broker: {url: 'mqtt://broker', teamBroker: {enabled: true}}
""",
            OF_A_LICENCE | {"expert.flowfuse.com:443", "www.google.com:443", "m.example.com:8884", "broker:1883"},
        ),
        (
            "broker: {teamBroker: {enabled: true, api: {url: 'https://emqx.example.com:18083/api/v5'}}}",
            OF_A_LICENCE | {"emqx.example.com:18083"},
        ),
        ("broker: {teamBroker: {enabled: 'true', api: {url: 'https://emqx.example.com/api/v5'}}}", OF_A_LICENCE),
        (
            "broker: {url: 'mqtt://broker', public_url: 'wss://mqtt.example.com'}",
            OF_A_LICENCE | {"broker:1883", "mqtt.example.com:443"},
        ),
        (
            "cache: {driver: redis, options: {url: 'redis://u:planted@r.example.com'}}",
            OF_A_LICENCE | {"r.example.com:6379"},
        ),
        ("cache: {driver: redis, options: {url: 'rediss://r.example.com:1'}}", OF_A_LICENCE | {"r.example.com:1"}),
        (
            """
tables:
  enabled: true
  driver:
    type: postgres-supavisor
    options: {backend: {host: pg.example.com, port: 6000}, supavisor: {url: 'http://pool.example.com:4000'}}
""",
            OF_A_LICENCE | {"pg.example.com:6000", "pool.example.com:4000"},
        ),
        (
            "tables: {enabled: true, driver: {type: postgres-localfs, options: {database: {host: pg.example.com}}}}",
            OF_A_LICENCE | {"pg.example.com:5432"},
        ),
        ("tables: {enabled: false, driver: {options: {database: {host: pg.example.com}}}}", OF_A_LICENCE),
        (
            "telemetry: {frontend: {posthog: {apikey: phc_a, apiurl: 'https://eu.posthog.com'}}}",
            OF_A_LICENCE | {"eu.posthog.com:443"},
        ),
        ("telemetry: {frontend: {posthog: {apikey: phc_a}}}", OF_A_LICENCE | {"app.posthog.com:443"}),
        (
            "telemetry: {backend: {sentry: {dsn: 'https://k@sentry.example.com/1'}}}",
            OF_A_LICENCE | {"sentry.example.com:443"},
        ),
        ("telemetry: {frontend: {google: {tag: G-1}}}", OF_A_LICENCE | {"www.googletagmanager.com:443"}),
        (
            "support: {enabled: true, frontend: {hubspot: {trackingcode: 1}}}",
            OF_A_LICENCE | {"js-eu1.hs-scripts.com:443"},
        ),
        ("support: {enabled: false, frontend: {hubspot: {trackingcode: 1}}}", OF_A_LICENCE),
        ("email: {enabled: true, smtp: {host: mail.example.com}}", OF_A_LICENCE | E_MAIL | {"mail.example.com:587"}),
        (
            "email: {enabled: true, smtp: {host: mail.example.com, port: 25}}",
            OF_A_LICENCE | E_MAIL | {"mail.example.com:25"},
        ),
        ("email: {enabled: false, smtp: {host: mail.example.com, port: 25}}", OF_A_LICENCE),
        (
            "email: {enabled: true, ses: {region: eu-west-1}}",
            OF_A_LICENCE | E_MAIL | {"email.eu-west-1.amazonaws.com:443"},
        ),
        ("billing: {stripe: {key: sk_planted}}", OF_A_LICENCE | BILLING),
        ("npmRegistry: {enabled: true, url: 'http://npm.example.com:4873'}", OF_A_LICENCE | {"npm.example.com:4873"}),
        ("db: {type: postgres, user: u}", OF_A_LICENCE | {"postgres:5432"}),
        ("db: {type: postgres, user: u, host: db.example.com, port: 6432}", OF_A_LICENCE | {"db.example.com:6432"}),
        ("db: {type: sqlite, host: db.example.com}", OF_A_LICENCE),
    ],
)
def test_the_file_decides_what_is_possible(tmp_path: Path, text: str, added: set[str]) -> None:
    always = ALWAYS - {"ping.flowforge.com:443"} if text.startswith("housekeeper") else ALWAYS
    assert {contact.place for contact in found(tmp_path, text)} == always | added


def test_without_a_licence_nothing_is_left_of_what_needs_one(tmp_path: Path) -> None:
    unlicensed, licensed = samples.snapshot(licence=None), samples.snapshot(licence=samples.LICENCE)
    text = "expert: {enabled: true}\nbilling: {stripe: {key: k}}\ntelemetry: {enabled: false}\n"
    text += "tables: {enabled: true, driver: {options: {database: {host: d}}}}\n"
    text += "broker: {teamBroker: {enabled: true, api: {url: 'http://b'}}}"
    assert {contact.place for contact in found(tmp_path, text, unlicensed)} == {"catalogue.nodered.org:443"}
    of_a_licence = BILLING | {"expert.flowfuse.com:443", "www.google.com:443", "d:5432", "b:80"}
    assert {contact.place for contact in found(tmp_path, text, licensed)} == ALWAYS | OF_A_LICENCE | of_a_licence


def test_what_needs_a_licence_says_so_while_none_is_known(tmp_path: Path) -> None:
    billing = [each for each in found(tmp_path, "billing: {stripe: {key: k}}") if each.key.startswith("billing")]
    assert {each.place for each in billing} == BILLING
    assert [each.why for each in billing if not each.condition.startswith("if a licence is loaded")] == []


def test_a_release_does_not_make_the_calls_of_later_ones(tmp_path: Path) -> None:
    text = "telemetry: {platform: {version: '2.4.0'}, frontend: {posthog: {apikey: phc_a}}}"
    listed = found(tmp_path, text)
    assert {contact.why for contact in listed} == {
        *("FlowFuse's own usage ping", "PostHog, in FlowFuse's pages", "Catalogue of Node-RED's nodes"),
    }
    assert {contact.place for contact in found(tmp_path, text.replace("2.4.0", "2.33.2-git"))} > {
        contact.place for contact in listed
    }


def test_the_expert_needed_no_licence_before_it_moved(tmp_path: Path) -> None:
    """2.24.0 to 2.29: forge/routes/api/index.js registers it for everybody."""
    text = "expert: {{enabled: true}}\ntelemetry: {{platform: {{version: '{}'}}}}"
    unlicensed = samples.snapshot(licence=None)
    for version, is_there in (("2.23.1", False), ("2.24.0", True), ("2.29.0", True), ("2.30.0", False)):
        listed = {contact.place for contact in found(tmp_path, text.format(version), unlicensed)}
        assert ("expert.flowfuse.com:443" in listed) == is_there, version


def test_consent_is_a_condition_since_flowfuse_asks_for_it(tmp_path: Path) -> None:
    """The banner came with 2.31.2: before, forge/routes/ui/index.js wrote the scripts into the page as they are."""
    text = "telemetry: {{platform: {{version: '{}'}}, frontend: {{google: {{tag: G-1}}}}}}"
    for version, condition in (("2.31.0", ""), ("2.31.2", "once the visitor consents")):
        (tag,) = (each for each in found(tmp_path, text.format(version)) if "google" in each.host)
        assert tag.condition == condition


def test_every_call_is_told_in_full() -> None:
    assert len({(call.why, call.by) for call in CALLS}) == len(CALLS)
    for call in CALLS:
        assert call.by in (Party.SERVER, Party.BROWSER, Party.INSTANCES)
        assert all((call.data, call.stop, call.source, call.host or call.names_host)), call.why
        assert call.source.startswith(("forge/", "frontend/src/"))
        assert call.source.endswith((".js", ".vue"))
        numbers = [[int(number) for number in each.split(".")] for each in (call.since, READ_FROM)]
        assert numbers[0] <= numbers[1], call.why


def test_every_call_has_its_words_in_the_source() -> None:
    assert {call.why for call in CALLS} == set(SOURCES)
    hosts = re.findall(r"//([a-z0-9.-]+)", " ".join(word for words in SOURCES.values() for word in words))
    assert {call.host for call in CALLS if "." in call.host} - {"expert.flowfuse.com", "api.stripe.com"} <= set(hosts)


SINCE: Final[Mapping[str, str]] = {
    "Report of certified nodes": "https://ff-certified-nodes.flowfuse.cloud/certified-nodes",
    "Expert": "config.expert?.service?.url",
    "PostHog, from the server": "new PostHog(",
    "Cache (Redis, Valkey)": "@redis/client",
}
"""Words of the same call in the release that `since` names, where those of the source are newer or older."""

FLOWFUSE: Final = os.environ.get("FF_OBSERVE_FLOWFUSE", "")
"""A clone of FlowFuse, or its Git directory."""

if FLOWFUSE:

    @pytest.mark.parametrize("call", CALLS, ids=lambda call: call.why)
    def test_the_source_of_flowfuse_makes_the_call(call: Call) -> None:
        shown = subprocess.run(["git", "-C", FLOWFUSE, "show", f"HEAD:{call.source}"], capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
        for words in SOURCES[call.why]:
            assert words in shown.stdout, f"{call.source} does not say {words}"

    @pytest.mark.parametrize("call", CALLS, ids=lambda call: call.why)
    def test_the_call_is_in_no_release_before(call: Call) -> None:
        def said(release: str) -> bool:
            command = ["git", "-C", FLOWFUSE, "grep", "-qF", "-e", SINCE.get(call.why, SOURCES[call.why][0]), release]
            return subprocess.run([*command, "--", "forge", "frontend/src"]).returncode == 0

        tags = subprocess.run(["git", "-C", FLOWFUSE, "tag"], capture_output=True, text=True, check=True).stdout.split()
        releases = [tag for tag in tags if re.fullmatch(r"v[0-9]+[.][0-9]+[.][0-9]+", tag)]
        releases.sort(key=lambda tag: [int(number) for number in tag[1:].split(".")])
        first = releases.index(f"v{call.since}")
        assert said(releases[first])
        assert first == 0 or not said(releases[first - 1])


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=30)
        | st.just("https://u:planted@h.example.com:1/x"),
        lambda below: st.dictionaries(st.sampled_from(["host", "url", "port", "a", "ses"]), below, max_size=4),
        max_leaves=12,
    )
)
def test_of_any_file_hosts_and_ports_alone_are_kept(tree: object) -> None:
    parsed = parse(json.dumps({"top": tree}, ensure_ascii=False))
    assert isinstance(parsed, Map)
    kept = read_flowfuse_file(parsed)
    assert "planted" not in repr(kept)
    for address in kept.addresses.values():
        assert re.fullmatch(r"[a-z0-9_.:-]+", address.host)
        assert address.port is None or 1 <= address.port <= 65535
