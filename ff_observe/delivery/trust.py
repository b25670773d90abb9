"""Which TLS certificates are trusted, the same on every Python version, and what to do about one that is not."""

import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ff_observe.system.presence import exists, is_directory, is_file

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.\d+")  # the names under which OpenSSL looks for authorities in a directory

# Python 3.13 switched both on in `create_default_context`. The first refuses the certificates of most private
# authorities, which lack extensions that RFC 5280 requires; the second trusts an intermediate without its root.
_NOT_ON_EVERY_PYTHON: Final = ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN

# OpenSSL's (and BoringSSL's, in grpc) messages about a certificate that it refuses.
_REFUSALS: Final = {
    "has expired": "its certificate has expired: renew it on the server, or set this machine's clock",
    "not yet valid": "its certificate is not valid yet: compare the clocks of the server and this machine",
    "(?i)mismatch|peer name .* is not in": (
        "its certificate is for another host ({why}): use a name it holds, or have it issued for this one"
    ),
    "unable to get issuer certificate": (
        "its certificate is not trusted ({why}): name the root in {key}, an intermediate is not enough"
    ),
}


def client_context(authority: str | os.PathLike[str] | None = None) -> ssl.SSLContext:
    """Verifies chain and host name: against the file `authority` alone if given, else against the system's authorities,
    or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`, and those of `REQUESTS_CA_BUNDLE`."""
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags &= ~_NOT_ON_EVERY_PYTHON
    if authority is None:
        for place in _besides_openssl():
            if is_directory(place):
                context.load_verify_locations(capath=place)
            else:
                context.load_verify_locations(cafile=place)
    return context


def authorities(*more: Path) -> bytes:
    """The authorities that `client_context()` trusts and those in `more`, in PEM: for libraries with their own TLS,
    which do not know where the system keeps its authorities."""
    places = (*_of_openssl(), *_besides_openssl(), *more)
    found = dict.fromkeys(each for place in places for file in _files(place) for each in certificates_in(file))
    return b"\n".join(found) + b"\n"


def certificates_in(file: Path) -> list[bytes]:
    """The certificates in a file, each in PEM. Raises `OSError`."""
    return _CERTIFICATE.findall(file.read_bytes())


def explain(why: str, key: str = "SSL_CERT_FILE", named: object | None = None) -> str:
    """What to do about a server's certificate that is refused; `why` is the TLS library's message. `key` is where an
    authority's file can be named, and `named` the file that it names now."""
    if key == "SSL_CERT_FILE":
        named = os.environ.get(key)
    for pattern, explanation in _REFUSALS.items():
        if re.search(pattern, why):
            return explanation.format(why=why, key=key)
    if not re.search("self.signed|local issuer|verify the first certificate", why):
        return f"its certificate breaks a rule for certificates ({why}): have it issued again"
    if named:
        return f"its certificate is not trusted ({why}): {named}, which {key} names, does not hold its authority"
    return (
        f"its certificate is not trusted ({why}): if it comes from an authority of your own, name that authority's "
        f"file in {key}"
    )


def _of_openssl() -> list[Path]:
    paths = ssl.get_default_verify_paths()
    directories = os.environ.get(paths.openssl_capath_env) or paths.openssl_capath
    file = os.environ.get(paths.openssl_cafile_env) or paths.openssl_cafile
    places = (Path(place) for place in (file, *directories.split(os.pathsep)) if place)
    return [place for place in places if exists(place)]


def _besides_openssl() -> list[Path]:
    """`REQUESTS_CA_BUNDLE`, and certifi's authorities on a system that has none. Raises `OSError` for a bundle that
    cannot be used, which a library would not name."""
    places = [Path(bundle)] if (bundle := os.environ.get("REQUESTS_CA_BUNDLE")) else []
    for place in places:
        try:
            problem = None if is_directory(place) or certificates_in(place) else "holds no certificate in PEM"
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        if problem is not None:
            failure = OSError(f"{place} {problem} (REQUESTS_CA_BUNDLE names it)")
            failure.strerror = str(failure)  # what is reported of an `OSError`
            raise failure
    if not any(next(_files(place), None) for place in _of_openssl()):
        import certifi

        places.append(Path(certifi.where()))
    return places


def _files(place: Path) -> Iterator[Path]:
    if is_directory(place):
        yield from (file for file in sorted(place.iterdir()) if _HASHED.fullmatch(file.name) and is_file(file))
    else:
        yield place
