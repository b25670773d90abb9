"""The whole list, from the settings and, where there is one, a snapshot."""

from collections.abc import Mapping, Sequence

from ff_observe.config.settings import Settings
from ff_observe.egress.bridge import contacts_of_build, contacts_of_outputs, contacts_of_platform
from ff_observe.egress.contact import Contact, Party
from ff_observe.egress.flowfuse import contacts_of_flowfuse
from ff_observe.platform.snapshot import Snapshot


def contacts(
    settings: Settings, snapshot: Snapshot | None = None, variables: Mapping[str, str] | None = None
) -> tuple[Contact, ...]:
    """Every host that would be contacted. Without a snapshot that includes what the platform's database decides.
    `variables` are those of a build, by default this process's."""
    return (
        *contacts_of_outputs(settings, snapshot),
        *contacts_of_platform(settings),
        *contacts_of_build(variables),
        *contacts_of_flowfuse(settings, snapshot),
    )


def of_bridge(listed: Sequence[Contact]) -> tuple[Contact, ...]:
    """Those that ff-observe itself contacts while it runs."""
    return tuple(contact for contact in listed if contact.by is Party.BRIDGE)
