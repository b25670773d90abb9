"""What FlowFuse's own file says of the services that FlowFuse calls: which keys are on, and which hosts they name.

Read from `flowforge.yml` as FlowFuse sees it, without what lies over it. No value is kept but host and port.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from ff_observe.config.nodes import Map, Node, Scalar, is_true

_PORTS: Final = {
    "http": 80,
    "https": 443,
    "mqtt": 1883,
    "mqtts": 8883,
    "ws": 80,
    "wss": 443,
    "redis": 6379,
    "rediss": 6379,
}
_NAMES_A_HOST: Final = frozenset(("host", "server"))
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_SES_REGION: Final = "email.ses.region"


@dataclass(frozen=True, slots=True)
class Address:
    """A host that a key names, and the port, None if the key names none."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class FlowFuseFile:
    """`on` are the dotted keys whose value is true in JavaScript, `off` those that are exactly `false`, `exactly_on`
    those that are exactly `true`; `addresses` are by dotted key."""

    on: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()
    exactly_on: frozenset[str] = frozenset()
    addresses: Mapping[str, Address] = field(default_factory=dict)

    def address(self, key: str) -> Address | None:
        return self.addresses.get(key)


def read_flowfuse_file(tree: Map) -> FlowFuseFile:
    keys = list(_keys(tree, ""))
    scalars = [(path, node, beside) for path, node, beside in keys if isinstance(node, Scalar)]
    addresses = {path: _address(path, node, beside) for path, node, beside in scalars}
    return FlowFuseFile(
        on=frozenset(path for path, node, _ in keys if is_true(node)),
        off=frozenset(path for path, node, _ in scalars if node.value is False),
        exactly_on=frozenset(path for path, node, _ in scalars if node.value is True),
        addresses={path: address for path, address in addresses.items() if address is not None},
    )


def _keys(tree: Map, prefix: str) -> Iterator[tuple[str, Node, Map]]:
    for name, entry in tree.entries.items():
        yield f"{prefix}{name}", entry.value, tree
        if isinstance(entry.value, Map):
            yield from _keys(entry.value, f"{prefix}{name}.")


def _address(path: str, node: Scalar, beside: Map) -> Address | None:
    text = node.value if isinstance(node.value, str) else ""
    if path == _SES_REGION and _HOST.fullmatch(text):
        return Address(f"email.{text}.amazonaws.com", 443)  # the regional endpoint of AWS' SESv2Client
    if "://" not in text:
        if path.rpartition(".")[2] not in _NAMES_A_HOST:
            return None
        text = f"//{text}"
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    if not (_HOST.fullmatch(host) or ":" in host) or (parts.scheme and parts.scheme not in _PORTS):
        return None
    return Address(host, port or _PORTS.get(parts.scheme) or _port_beside(beside))


def _port_beside(beside: Map) -> int | None:
    entry = beside.entries.get("port")
    text = entry.value.text if entry is not None and isinstance(entry.value, Scalar) else ""
    return int(text) if re.fullmatch("[0-9]{1,5}", text, re.ASCII) and 1 <= int(text) <= 65535 else None
