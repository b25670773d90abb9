"""What browsers, instances and devices call for FlowFuse: each call with the file of FlowFuse that makes it.

Written from FlowFuse 2.33.2; `since` is the first release whose source has the call.
"""

from functools import partial
from typing import Final

from ff_observe.egress import flowfuse_rules as rules
from ff_observe.egress.contact import Party
from ff_observe.egress.flowfuse_rules import Call

_browser = partial(Call, Party.BROWSER)
_instances = partial(Call, Party.INSTANCES)
_SALES = rules.if_on(
    "billing.stripe.key",
    licence=rules.ANY_LICENCE,
    condition="when a user asks for a type of team that has to be asked for",
)
_REGISTRY = rules.if_on(
    licence="if the licence and the team's type have certified nodes, and the database holds a token for them"
)

CLIENT_CALLS: Final[tuple[Call, ...]] = (
    _browser(
        "PostHog, in FlowFuse's pages",
        "what visitors do, with user name, name and e-mail address of the user signed in, and name and size of teams",
        "telemetry.frontend.posthog.apikey",
        "leave `telemetry.frontend.posthog.apikey` out",
        "forge/routes/ui/index.js",
        "0.9.0",
        rules.if_on("telemetry.frontend.posthog.apikey"),
        host="app.posthog.com",
        named_by="telemetry.frontend.posthog.apiurl",
    ),
    _browser(
        "Sentry, in FlowFuse's pages",
        "errors in visitors' browsers, with user name, name and e-mail address of the user signed in",
        "telemetry.frontend.sentry.dsn",
        "leave `telemetry.frontend.sentry.dsn` out",
        "forge/routes/ui/index.js",
        "1.12.3",
        rules.if_on("telemetry.frontend.sentry.dsn"),
    ),
    _browser(
        "Google tag, in FlowFuse's pages",
        "visits; the tag may load more of Google's, which the policy in forge/forge.js lists",
        "telemetry.frontend.google.tag",
        "leave `telemetry.frontend.google` out",
        "forge/routes/ui/index.js",
        "2.1.0",
        rules.once_consented("telemetry.frontend.google.tag"),
        host="www.googletagmanager.com",
    ),
    _browser(
        "HubSpot, in FlowFuse's pages",
        "visits and chats, with id and e-mail address of the user signed in; its script may load more of HubSpot's, "
        "which the policy in forge/forge.js lists",
        "support.frontend.hubspot.trackingcode",
        "`support.enabled: false`",
        "forge/routes/ui/index.js",
        "1.3.0",
        rules.once_consented("support.enabled", "support.frontend.hubspot.trackingcode"),
        host="js-eu1.hs-scripts.com",
    ),
    _browser(
        "Bill of materials",
        "names of the packages that instances and devices use",
        "",
        "nothing in the file stops it",
        "frontend/src/api/external.js",
        "2.9.0",
        rules.if_on(licence=rules.ENTERPRISE, condition="when a user opens a bill of materials"),
        host="registry.npmjs.com",
    ),
    _browser(
        "Icons in the Expert's answers",
        "hosts that the answers refer to",
        "expert.enabled",
        "`expert.enabled: false`",
        "frontend/src/components/expert/components/messages/components/resource-cards/StandardResourceCard.vue",
        "2.24.0",
        rules.expert,
        host="www.google.com",
    ),
    _browser(
        "Calendar of FlowFuse's sales (HubSpot)",
        "name and e-mail address of the user",
        "billing.stripe.key",
        "leave `billing` out",
        "frontend/src/composables/Hubspot.js",
        "2.17.0",
        _SALES,
        host="meetings-eu1.hubspot.com",
    ),
    _browser(
        "Script of that calendar",
        "a request without content",
        "billing.stripe.key",
        "leave `billing` out",
        "frontend/src/composables/Hubspot.js",
        "2.17.0",
        _SALES,
        host="static.hsappstatic.net",
    ),
    _browser(
        "Logo in FlowFuse's e-mails",
        "a request without content, from the mail programs of those who get them",
        "email.enabled",
        "`email.enabled: false`",
        "forge/postoffice/layouts/default.js",
        "2.6.1",
        rules.if_on("email.enabled"),
        host="flowfuse.com",
    ),
    _instances(
        "MQTT broker, by its name for others",
        "commands and states of instances and devices; browsers use it too",
        "broker.public_url",
        "leave `broker.public_url` out",
        "forge/db/controllers/BrokerClient.js",
        "0.8.0",
        rules.if_on("broker.url", "broker.public_url"),
        port=1883,
    ),
    _instances(
        "Catalogue of Node-RED's nodes",
        "a request without content, from each browser that opens the palette of the editor",
        "",
        "name other catalogues in the templates of instances",
        "forge/lib/templates.js",
        "1.12.0",
        rules.if_on(condition="where the template of an instance names no other catalogue"),
        host="catalogue.nodered.org",
    ),
    _instances(
        "FlowFuse's npm registry",
        "which certified packages are installed, with the platform's token",
        "ff-npm-registry.url",
        "take the token for FlowFuse's registry out (Admin Settings)",
        "forge/routes/api/project.js",
        "2.22.1",
        _REGISTRY,
        host="registry.flowfuse.com",
        named_by="ff-npm-registry.url",
    ),
    _instances(
        "Catalogue of certified nodes",
        "a request without content, from each browser that opens the palette of the editor",
        "ff-npm-registry.catalogue.certifiedNodes",
        "take the token for FlowFuse's registry out (Admin Settings)",
        "forge/routes/api/project.js",
        "2.22.1",
        _REGISTRY,
        host="ff-certified-nodes.flowfuse.cloud",
        named_by="ff-npm-registry.catalogue.certifiedNodes",
    ),
    _instances(
        "Catalogue of FlowFuse's nodes",
        "a request without content, from each browser that opens the palette of the editor",
        "ff-npm-registry.catalogue.ffNodes",
        "take the token for FlowFuse's registry out (Admin Settings)",
        "forge/routes/api/project.js",
        "2.22.1",
        _REGISTRY,
        host="ff-certified-nodes.flowfuse.cloud",
        named_by="ff-npm-registry.catalogue.ffNodes",
    ),
)
