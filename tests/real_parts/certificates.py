"""Certificates for servers on loopback: one that is its own authority, and private authorities that issue others."""

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority. `pem` is its own certificate, `chain` what its servers show besides theirs.

    Its certificates lack the extensions that `ssl.VERIFY_X509_STRICT` asks for, as those of most private ones do.
    """

    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    pem: bytes
    chain: bytes = b""

    def issue(
        self, common_name: str, dns: Sequence[str] = (), ips: Sequence[str] = (), *, expired: bool = False
    ) -> bytes:
        """A server's key and certificate in one PEM, with the chain to the root."""
        key, builder = _builder(common_name, self.name, expired=expired)
        return _key(key) + _signed(_named(builder, dns, ips), self.key) + self.chain

    def intermediate(self, common_name: str) -> "Authority":
        """An authority whose certificate this one signs."""
        key, builder = _builder(common_name, self.name)
        pem = _signed(builder.add_extension(_IS_AUTHORITY, critical=True), self.key)
        return Authority(key, _name(common_name), pem, pem)


def root_authority(common_name: str = "private authority") -> Authority:
    """An authority that vouches for itself."""
    key, builder = _builder(common_name, _name(common_name))
    pem = _signed(builder.add_extension(_IS_AUTHORITY, critical=True), key)
    return Authority(key, _name(common_name), pem)


def self_signed(dns: Sequence[str] = (), ips: Sequence[str] = ("127.0.0.1",)) -> tuple[bytes, bytes]:
    """A server's certificate that is its own authority, and its key."""
    key, builder = _builder("ff-observe tests", _name("ff-observe tests"))
    builder = _named(builder, dns, ips).add_extension(_IS_AUTHORITY, critical=True)
    return _signed(builder, key), _key(key)


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """Write a `self_signed` certificate and its key as `certificate.pem` and `key.pem`; returns their paths."""
    certificate_path, key_path = directory / "certificate.pem", directory / "key.pem"
    certificate, key = self_signed()
    certificate_path.write_bytes(certificate)
    key_path.write_bytes(key)
    return certificate_path, key_path


_IS_AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    common_name: str, issuer: x509.Name, *, expired: bool = False
) -> tuple[ec.EllipticCurvePrivateKey, x509.CertificateBuilder]:
    """A new key and a certificate for it, good from yesterday to tomorrow unless it has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC) - (2 * DAY if expired else 0 * DAY)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )
    return key, builder


def _named(builder: x509.CertificateBuilder, dns: Sequence[str], ips: Sequence[str]) -> x509.CertificateBuilder:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
    names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def require_x25519() -> None:
    """Skips the test where this Python cannot choose that curve: 3.11.2 of Debian 12 cannot."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve("X25519")
    except (ssl.SSLError, ValueError):
        pytest.skip("needs a Python whose ssl module can choose X25519, such as 3.11.7")
