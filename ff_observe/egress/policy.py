"""NetworkPolicies that let out what the list names, and nothing else.

Kubernetes' own know no names: a rule for a name opens its port to any address, unless the name is resolved first.
Cilium's know names. Both apply to the pods behind a Service and to their ports, which a Service's name does not tell:
for such a name the cluster's pods are opened, at any port.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import yaml

from ff_observe.egress.contact import Contact
from ff_observe.errors import FFObserveError

_SELECTOR: Final = {"matchLabels": {"app.kubernetes.io/name": "ff-observe"}}  # as deploy/helm labels the pods
_NAME: Final = "ff-observe-egress"
_DNS: Final = tuple({"port": port, "protocol": name} for port in (53, 5353) for name in ("UDP", "TCP"))
"""Of the pods that answer: OpenShift's listen on 5353."""
_INSIDE: Final = (".svc", ".local")

Resolve = Callable[[str], Sequence[str]]


def resolve(host: str) -> tuple[str, ...]:
    """The addresses of a name at this moment. Raises `FFObserveError`."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no host name"
        message = f"{host} cannot be resolved: {reason}; leave --resolve out, and its port is opened to any address"
        raise FFObserveError(message) from None
    return tuple(sorted({str(address[0]).partition("%")[0] for *_, address in found}))


def rules(listed: Iterable[Contact], resolved: Resolve | None = None) -> list[dict[str, Any]]:
    """The egress rules of a Kubernetes NetworkPolicy: names may be asked for, and each contact may be reached. What is
    on this machine needs no rule. Raises `FFObserveError` for a name that `resolved` does not know."""
    opened: dict[tuple[str, ...], set[int]] = {}
    inside = False
    for contact in _elsewhere(listed):
        if _kind_of_peer(contact) == "inside":
            inside = True
        else:
            opened.setdefault(_addresses(contact, resolved), set()).add(contact.port)
    made: list[dict[str, Any]] = [{"ports": list(_DNS)}]
    for addresses, ports in sorted(opened.items()):
        rule: dict[str, Any] = {"ports": [{"port": port, "protocol": "TCP"} for port in sorted(ports)]}
        if addresses:
            rule["to"] = [{"ipBlock": {"cidr": _block(address)}} for address in addresses]
        made.append(rule)
    return [*made, {"to": [{"namespaceSelector": {}}]}] if inside else made


def kubernetes(listed: Sequence[Contact], resolved: Resolve | None = None) -> str:
    """A NetworkPolicy for the pods of ff-observe, as YAML."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": _NAME},
        "spec": {"podSelector": _SELECTOR, "policyTypes": ["Egress"], "egress": rules(listed, resolved)},
    }
    return _text(listed, policy)


def cilium(listed: Sequence[Contact]) -> str:
    """A CiliumNetworkPolicy for the pods of ff-observe, as YAML: names are rules of their own."""
    egress: list[dict[str, Any]] = [
        {
            "toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}],
            "toPorts": [{"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": [{"matchPattern": "*"}]}}],
        }
    ]
    for host, port, whom in sorted({(each.host, each.port, _kind_of_peer(each)) for each in _elsewhere(listed)}):
        kinds: dict[str, dict[str, Any]] = {
            "address": {"toCIDR": [_block(host)]},
            "name": {"toFQDNs": [{"matchName": host.lower().rstrip(".")}]},
            "inside": {"toEntities": ["cluster"]},
        }
        ports = {"toPorts": [{"ports": [{"port": str(port), "protocol": "TCP"}]}]}
        rule = kinds[whom] if whom == "inside" else {**kinds[whom], **ports}
        if rule not in egress:
            egress.append(rule)
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": _NAME},
        "spec": {"endpointSelector": _SELECTOR, "egress": egress},
    }
    return _text(listed, policy)


def hosts(listed: Iterable[Contact]) -> list[str]:
    """One line for each host and port: `host:port`, a tab, who contacts it."""
    by: dict[str, dict[str, None]] = {}
    for contact in listed:
        by.setdefault(contact.place, {})[contact.by] = None
    return [f"{place}\t{', '.join(parties)}" for place, parties in sorted(by.items())]


def _elsewhere(listed: Iterable[Contact]) -> list[Contact]:
    return [contact for contact in listed if not contact.is_this_machine]


def _addresses(contact: Contact, resolved: Resolve | None) -> tuple[str, ...]:
    """Those of the contact; empty for any."""
    if contact.address is not None:
        return (contact.host,)
    return () if resolved is None else tuple(resolved(contact.host))


def _block(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def _kind_of_peer(contact: Contact) -> str:
    if contact.address is not None:
        return "address"
    return "inside" if "." not in contact.host or contact.host.endswith(_INSIDE) else "name"


def _text(listed: Sequence[Contact], policy: dict[str, Any]) -> str:
    lines = ["# What ff-observe contacts, made by `ff-observe egress`. Make it anew when its settings change."]
    lines += [f"# {contact.place}  {contact.why}" for contact in _elsewhere(listed)]
    return "\n".join(lines) + "\n" + yaml.dump(policy, Dumper=_Plain, sort_keys=False)


class _Plain(yaml.SafeDumper):
    """Without anchors, which not every reader of manifests knows."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True
