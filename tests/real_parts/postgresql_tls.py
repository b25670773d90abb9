"""A PostgreSQL server with TLS, and the situations in which a client must decide whether to trust it."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.real_parts.certificates import root_authority, self_signed
from tests.real_parts.postgresql import Cluster, initialise, server
from tests.real_parts.processes import free_port


@dataclass(frozen=True)
class Situation:
    """`certificate` is what the server shows (None: it has no TLS), `trusted` a file that the client is given."""

    name: str
    certificate: str | None
    host: str
    trusted: str | None = None


SITUATIONS = (
    Situation("self-signed", "self-signed", "127.0.0.1"),
    Situation("self-signed, itself trusted", "self-signed", "127.0.0.1", "self-signed"),
    Situation("private authority not trusted", "both", "localhost"),
    Situation("private authority trusted, host name", "both", "localhost", "authority"),
    Situation("private authority trusted, address", "both", "127.0.0.1", "authority"),
    Situation("another authority trusted", "both", "localhost", "other"),
    Situation("for another name, host name", "another-name", "localhost", "authority"),
    Situation("for another name, address", "another-name", "127.0.0.1", "authority"),
    Situation("for localhost alone, address", "localhost-only", "127.0.0.1", "authority"),
    Situation("for the address alone, host name", "address-only", "localhost", "authority"),
    Situation("common name alone, host name", "common-name", "localhost", "authority"),
    Situation("common name alone, address", "common-address", "127.0.0.1", "authority"),
    Situation("expired", "expired", "localhost", "authority"),
    Situation("through an intermediate, root trusted", "through-intermediate", "localhost", "authority"),
    Situation("through an intermediate, it alone trusted", "through-intermediate", "localhost", "intermediate"),
    Situation("server without TLS", None, "localhost", "authority"),
)


def write_certificates(directory: Path) -> dict[str, Path]:
    """Every file that `SITUATIONS` names, by its name. Those of servers hold their key too."""
    authority, other = root_authority(), root_authority("another authority")
    intermediate = authority.intermediate("intermediate authority")
    contents = {
        "authority": authority.pem,
        "other": other.pem,
        "intermediate": intermediate.pem,
        "self-signed": b"".join(self_signed()),
        "both": authority.issue("server", ["localhost"], ["127.0.0.1"]),
        "another-name": authority.issue("server", ["db.example.com"]),
        "localhost-only": authority.issue("server", ["localhost"]),
        "address-only": authority.issue("server", (), ["127.0.0.1"]),
        "common-name": authority.issue("localhost"),
        "common-address": authority.issue("127.0.0.1"),
        "expired": authority.issue("server", ["localhost"], ["127.0.0.1"], expired=True),
        "through-intermediate": intermediate.issue("server", ["localhost"], ["127.0.0.1"]),
    }
    for name, content in contents.items():
        (directory / f"{name}.pem").write_bytes(content)
    return {name: directory / f"{name}.pem" for name in contents}


@contextlib.contextmanager
def tls_servers(directory: Path) -> Iterator["TLSServers"]:
    """A cluster that can be run with any of the certificates of `SITUATIONS`, until the block ends."""
    cluster = Cluster(directory / "tls", free_port())
    initialise(cluster.directory)
    certificates = write_certificates(directory)
    owner = (cluster.directory / "data").stat()
    for path in certificates.values():
        path.chmod(0o600)
        shutil.copyfile(path, cluster.directory / path.name)
        (cluster.directory / path.name).chmod(0o600)
        os.chown(cluster.directory / path.name, owner.st_uid, owner.st_gid)
    yield TLSServers(cluster, certificates)


class TLSServers:
    """One cluster, run with one certificate after the other."""

    def __init__(self, cluster: Cluster, certificates: dict[str, Path]) -> None:
        self.certificates = certificates
        self._cluster = cluster

    @contextlib.contextmanager
    def asking_for(self, method: str) -> Iterator[None]:
        """Let the server ask for the password by `method` (pg_hba.conf), in what runs in the block."""
        rules = self._cluster.directory / "data" / "pg_hba.conf"
        before = rules.read_text()
        rules.write_text(f"host all all all {method}\n" + before)
        yield
        rules.write_text(before)

    @contextlib.contextmanager
    def showing(self, certificate: str | None) -> Iterator[Cluster]:
        """Run the server with `certificate`, or without TLS."""
        file = f"../{certificate}.pem"
        settings = f"ssl = on\nssl_cert_file = '{file}'\nssl_key_file = '{file}'\n" if certificate else "ssl = off\n"
        (self._cluster.directory / "data" / "postgresql.auto.conf").write_text(settings)
        with server(self._cluster.directory, self._cluster.port):
            yield self._cluster
