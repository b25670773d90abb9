"""Which of FlowFuse's own calls a platform makes possible."""

from collections.abc import Iterator
from typing import Final

from ff_observe.config.settings import PostgreSQLDatabase, Settings
from ff_observe.egress import flowfuse_rules as rules
from ff_observe.egress.contact import Contact
from ff_observe.egress.flowfuse_clients import CLIENT_CALLS
from ff_observe.egress.flowfuse_server import SERVER_CALLS
from ff_observe.platform.snapshot import Snapshot

READ_FROM: Final = "2.33.2"
"""The release of FlowFuse that the list was written from."""

NOT_IN_THE_FILE: Final = (
    "SSO (SAML, LDAP, Google), which administrators configure in FlowFuse: forge/ee/lib/sso, forge/ee/routes/sso",
    "Git remotes of pipelines (GitHub, Azure DevOps), which teams configure: forge/ee/lib/gitops",
    "the driver's own connections (Docker socket, Kubernetes API) and registries of images",
    "whatever the flows of instances and devices contact",
)
"""What FlowFuse contacts besides, and its file does not name."""

CALLS: Final = (*SERVER_CALLS, *CLIENT_CALLS)


def contacts_of_flowfuse(settings: Settings, snapshot: Snapshot | None) -> Iterator[Contact]:
    """The calls that FlowFuse's file leaves possible. What the running version of FlowFuse does not have yet is left
    out, if that version is known."""
    known = snapshot is not None and snapshot.up and snapshot.installation.licence_problem is None
    licensed = snapshot.installation.licence is not None if snapshot is not None and known else None
    version = settings.platform.flowfuse_version or (snapshot.installation.flowfuse_version if snapshot else None)
    facts = rules.Facts(settings.flowfuse_file, isinstance(settings.database, PostgreSQLDatabase), licensed, version)
    for call in CALLS:
        possible, condition = call.decide(facts)
        if not possible or facts.is_before(call.since):
            continue
        address = settings.flowfuse_file.address(call.names_host)
        host = address.host if address is not None else call.host
        if not host:
            continue
        yield Contact(
            *(host, (address.port if address is not None else None) or call.port, call.by, call.why, call.data),
            *(call.key, call.since, call.stop),
            condition=condition,
            source=call.source,
        )
