"""What FlowFuse calls by itself, as data: each call with the file of FlowFuse that makes it. Written from FlowFuse
2.33.2; `since` is the first release whose source has the call."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ff_observe.config.settings import PostgreSQLDatabase, Settings
from ff_observe.egress import flowfuse_rules as rules
from ff_observe.egress.contact import Contact, Party
from ff_observe.platform.snapshot import Snapshot

READ_FROM: Final = "2.33.2"
"""The release of FlowFuse that the list was written from."""

NOT_IN_THE_FILE: Final = (
    "SSO (SAML, LDAP, Google), which administrators configure in FlowFuse: forge/ee/lib/sso, forge/ee/routes/sso",
    "Git remotes of pipelines (GitHub, Azure DevOps), which teams configure: forge/ee/lib/gitops",
    "databases of team tables: forge/ee/lib/tables",
    "the driver's own connections (Docker socket, Kubernetes API) and registries of images",
    "whatever the flows of instances and devices contact",
)
"""What FlowFuse contacts besides, and its file does not name."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `named_by` is the key whose host takes the place of `host`; `port` applies where the key names none."""

    by: Party
    why: str
    data: str
    key: str
    stop: str
    source: str
    since: str
    decide: Callable[[rules.Facts], rules.Decision]
    host: str = ""
    port: int = 443
    named_by: str = ""


_CONSENT: Final = "once the visitor consents"

CALLS: Final[tuple[Call, ...]] = (
    Call(
        Party.SERVER,
        "FlowFuse's own usage ping",
        "counts, versions, instance id, licence id, once a day and at each start",
        "telemetry.url",
        "`telemetry.enabled: false` without a licence; `FF_TELEMETRY_DISABLED`, or `housekeeper: false`, always",
        "forge/housekeeper/tasks/telemetryMetrics.js",
        "0.2.0",
        rules.usage_ping,
        host="ping.flowforge.com",
        named_by="telemetry.url",
    ),
    Call(
        Party.SERVER,
        "Report of certified nodes",
        "instance id, and how many instances and devices use each certified package, once a day",
        "housekeeper",
        "`housekeeper: false`, or take the token for FlowFuse's registry out (Admin Settings)",
        "forge/housekeeper/tasks/certifiedNodes.js",
        "2.24.0",
        rules.certified_nodes,
        host="ff-certified-nodes.flowfuse.cloud",
    ),
    Call(
        Party.SERVER,
        "Import of blueprints",
        "a request without content, a minute after each start and once a week",
        "blueprintImport.url",
        "`blueprintImport.enabled: false`",
        "forge/housekeeper/tasks/blueprintImport.js",
        "2.18.0",
        rules.blueprints,
        host="app.flowfuse.com",
        named_by="blueprintImport.url",
    ),
    Call(
        Party.SERVER,
        "Assistant",
        "prompts, code and flows of users, with ids of user, team and instance",
        "assistant.enabled",
        "`assistant.enabled: false`",
        "forge/db/controllers/Assistant.js",
        "2.21.0",
        rules.assistant,
        host="expert.flowfuse.com",
        named_by="assistant.service.url",
    ),
    Call(
        Party.SERVER,
        "Expert",
        "chats of users and their context",
        "expert.enabled",
        "`expert.enabled: false`",
        "forge/ee/routes/expert/index.js",
        "2.30.0",
        rules.expert,
        host="expert.flowfuse.com",
        named_by="expert.service.url",
    ),
    Call(
        Party.SERVER,
        "Broker of the Expert, from the team broker",
        "chats of users and their context, and the licence",
        "expert.centralBroker.server",
        "leave `expert.centralBroker` out",
        "forge/ee/lib/expert/emxq-bridge/setup.js",
        "2.31.0",
        rules.expert_broker,
        port=8883,
        named_by="expert.centralBroker.server",
    ),
    Call(
        Party.SERVER,
        "PostHog, from the server",
        "what users do, by user name",
        "telemetry.frontend.posthog.apikey",
        "leave `telemetry.frontend.posthog.apikey` out",
        "forge/product/index.js",
        "2.8.0",
        rules.if_on("telemetry.frontend.posthog.apikey"),
        host="app.posthog.com",
        named_by="telemetry.frontend.posthog.apiurl",
    ),
    Call(
        Party.SERVER,
        "Sentry, from the server",
        "errors of FlowFuse, with name and e-mail address of the user signed in",
        "telemetry.backend.sentry.dsn",
        "leave `telemetry.backend.sentry.dsn` out of flowforge.yml",
        "forge/forge.js",
        "1.12.3",
        rules.if_on("telemetry.backend.sentry.dsn"),
        named_by="telemetry.backend.sentry.dsn",
    ),
    Call(
        Party.SERVER,
        "FlowFuse's database",
        "all that FlowFuse keeps",
        "db.host",
        "use `db.type: sqlite`",
        "forge/db/index.js",
        "0.1.0",
        lambda facts: (facts.postgresql, ""),
        host="postgres",
        port=5432,
        named_by="db.host",
    ),
    Call(
        Party.SERVER,
        "MQTT broker",
        "commands and states of instances and devices",
        "broker.url",
        "leave `broker` out",
        "forge/comms/commsClient.js",
        "0.8.0",
        rules.if_on("broker.url"),
        port=1883,
        named_by="broker.url",
    ),
    Call(
        Party.SERVER,
        "E-mail by SMTP",
        "e-mails to users",
        "email.smtp.host",
        "`email.enabled: false`",
        "forge/postoffice/index.js",
        "0.1.0",
        rules.if_on("email.enabled", "email.smtp"),
        port=587,
        named_by="email.smtp.host",
    ),
    Call(
        Party.SERVER,
        "E-mail by Amazon SES",
        "e-mails to users",
        "email.ses.region",
        "`email.enabled: false`",
        "forge/postoffice/index.js",
        "0.2.0",
        rules.if_on("email.enabled", "email.ses"),
        named_by="email.ses.region",
    ),
    Call(
        Party.SERVER,
        "Billing by Stripe",
        "teams, their subscriptions and those who pay",
        "billing.stripe.key",
        "leave `billing` out",
        "forge/ee/lib/billing/index.js",
        "0.3.0",
        rules.billing,
        host="api.stripe.com",
    ),
    Call(
        Party.SERVER,
        "npm registry of teams",
        "packages of teams",
        "npmRegistry.url",
        "`npmRegistry.enabled: false`",
        "forge/ee/routes/catalogues/index.js",
        "2.15.0",
        rules.npm_registry,
        named_by="npmRegistry.url",
    ),
    Call(
        Party.BROWSER,
        "PostHog, in FlowFuse's pages",
        "what visitors do",
        "telemetry.frontend.posthog.apikey",
        "leave `telemetry.frontend.posthog.apikey` out",
        "forge/routes/ui/index.js",
        "0.9.0",
        rules.if_on("telemetry.frontend.posthog.apikey"),
        host="app.posthog.com",
        named_by="telemetry.frontend.posthog.apiurl",
    ),
    Call(
        Party.BROWSER,
        "Sentry, in FlowFuse's pages",
        "errors in visitors' browsers",
        "telemetry.frontend.sentry.dsn",
        "leave `telemetry.frontend.sentry.dsn` out",
        "forge/routes/ui/index.js",
        "1.12.3",
        rules.if_on("telemetry.frontend.sentry.dsn"),
        named_by="telemetry.frontend.sentry.dsn",
    ),
    Call(
        Party.BROWSER,
        "Google tag, in FlowFuse's pages",
        "visits; the tag may load more of Google's, which the policy in forge/forge.js lists",
        "telemetry.frontend.google.tag",
        "leave `telemetry.frontend.google` out",
        "forge/routes/ui/index.js",
        "2.1.0",
        rules.if_on("telemetry.frontend.google.tag", condition=_CONSENT),
        host="www.googletagmanager.com",
    ),
    Call(
        Party.BROWSER,
        "HubSpot, in FlowFuse's pages",
        "visits and chats; its script may load more of HubSpot's, which the policy in forge/forge.js lists",
        "support.frontend.hubspot.trackingcode",
        "`support.enabled: false`",
        "forge/routes/ui/index.js",
        "1.3.0",
        rules.if_on("support.enabled", "support.frontend.hubspot.trackingcode", condition=_CONSENT),
        host="js-eu1.hs-scripts.com",
    ),
    Call(
        Party.INSTANCES,
        "Catalogue of Node-RED's nodes",
        "a request without content, from each browser that opens the palette of the editor",
        "",
        "name other catalogues in the templates of instances",
        "forge/lib/templates.js",
        "1.12.0",
        lambda _facts: (True, "where the template of an instance names no other catalogue"),
        host="catalogue.nodered.org",
    ),
    Call(
        Party.INSTANCES,
        "FlowFuse's npm registry",
        "which certified packages are installed, with the platform's token",
        "ff-npm-registry.url",
        "take the token for FlowFuse's registry out (Admin Settings)",
        "forge/routes/api/project.js",
        "2.22.1",
        rules.flowfuse_registry,
        host="registry.flowfuse.com",
        named_by="ff-npm-registry.url",
    ),
    Call(
        Party.INSTANCES,
        "Catalogue of certified nodes",
        "a request without content, from each browser that opens the palette of the editor",
        "ff-npm-registry.catalogue.certifiedNodes",
        "take the token for FlowFuse's registry out (Admin Settings)",
        "forge/routes/api/project.js",
        "2.22.1",
        rules.flowfuse_registry,
        host="ff-certified-nodes.flowfuse.cloud",
        named_by="ff-npm-registry.catalogue.certifiedNodes",
    ),
    Call(
        Party.INSTANCES,
        "Catalogue of FlowFuse's nodes",
        "a request without content, from each browser that opens the palette of the editor",
        "ff-npm-registry.catalogue.ffNodes",
        "take the token for FlowFuse's registry out (Admin Settings)",
        "forge/routes/api/project.js",
        "2.22.1",
        rules.flowfuse_registry,
        host="ff-certified-nodes.flowfuse.cloud",
        named_by="ff-npm-registry.catalogue.ffNodes",
    ),
)


def contacts_of_flowfuse(settings: Settings, snapshot: Snapshot | None) -> Iterator[Contact]:
    """The calls that FlowFuse's file leaves possible. What the running version of FlowFuse does not have yet is left
    out, if that version is known."""
    known = snapshot is not None and snapshot.up and snapshot.installation.licence_problem is None
    licensed = snapshot.installation.licence is not None if snapshot is not None and known else None
    facts = rules.Facts(settings.flowfuse_file, isinstance(settings.database, PostgreSQLDatabase), licensed)
    version = settings.platform.flowfuse_version or (snapshot.installation.flowfuse_version if snapshot else None)
    for call in CALLS:
        possible, condition = call.decide(facts)
        if not possible or (version is not None and _is_before(version, call.since)):
            continue
        address = settings.flowfuse_file.address(call.named_by)
        host = address.host if address is not None else call.host
        if not host:
            continue
        yield Contact(
            *(host, (address.port if address is not None else None) or call.port, call.by, call.why, call.data),
            *(call.key, call.since, call.stop),
            condition=condition,
            source=call.source,
        )


def _is_before(version: str, since: str) -> bool:
    """Whether a release of FlowFuse is older; one that cannot be read is not."""
    numbers = version.partition("-")[0].split(".")
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
        return False
    return tuple(map(int, numbers)) < tuple(map(int, since.split(".")))
