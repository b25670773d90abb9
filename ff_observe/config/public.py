"""Whether a listening address can be reached from other machines."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`: an address, or a name that always means loopback (RFC 6761)."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def open_to_all(host: str) -> str:
    """The problem with listening on `host` in the clear and without authentication, and the three ways out."""
    return (
        f"{host} opens the status page and the metrics to all who can reach this machine. Name a web_config_file "
        "with TLS or users, or a bearer_token_file; or listen on 127.0.0.1 only, behind a proxy; or write "
        "allow_public: true if everybody may read them"
    )
