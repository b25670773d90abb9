"""One host that would be contacted, and everything that is to be known of it."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from ff_observe.telemetry.log import escaped


class Party(StrEnum):
    """Who contacts a host."""

    BRIDGE = "ff-observe"
    SERVER = "FlowFuse server"
    BROWSER = "browser"
    INSTANCES = "instances and devices"
    BUILD = "build"


@dataclass(frozen=True, slots=True)
class Contact:
    """`why` it is contacted, with which `data`; the `key` or variable that turned it on and, in `since`, the first
    release that has it; what `stop`s it; `decided` is the rule that decides.

    `condition` is empty if the configuration alone decides; otherwise the contact is possible, if what it says is so.
    `receiver` is the host behind a proxy. `source` is the file of FlowFuse that makes the call. Hosts are escaped: any
    text may be one in flowforge.yml, and a line break in it would add a line to a list, or a manifest to a policy.
    """

    host: str
    port: int
    by: Party
    why: str
    data: str
    key: str
    since: str
    stop: str
    decided: str = ""
    condition: str = ""
    receiver: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", escaped(self.host))
        object.__setattr__(self, "receiver", escaped(self.receiver))

    @property
    def place(self) -> str:
        """`host:port`, as a URL has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_this_machine(self) -> bool:
        """Whether the host is loopback, so that nothing leaves."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        address = self.address
        return address is not None and address.is_loopback

    @property
    def address(self) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
        """The host, if it is an address and no name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None
