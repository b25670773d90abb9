"""Coverage-guided fuzzing of what the collector accepts: `python -m tests.fuzz.collector_acceptance [-runs=N]`.

Takes libFuzzer's options. Starts from the recorded pings; `make nightly` gives it a million inputs. Any input must be
accepted or refused with a reason of the list, in little memory, and an accepted one must survive its own round trip.
"""

import ipaddress
import json
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # it has no types

with atheris.instrument_imports():
    from ff_observe.catalogue.ping_contract import document
    from ff_observe.collector import sender_address
    from ff_observe.collector.receiving import acceptance
    from ff_observe.collector.receiving.answers import Refusal
    from ff_observe.collector.store.model import canonical

from tests.recordings import cases

HEADERS = (b"x-forwarded-for", b"forwarded")
FINDERS = tuple(
    sender_address.SenderAddress((ipaddress.ip_network("10.0.0.0/8"),), header)
    for header in sender_address.ForwardedHeader
)


def one_input(data: bytes) -> None:
    """Raises where a promise is broken."""
    found = acceptance.accept(data)
    if isinstance(found, Refusal):
        assert 400 <= found.reason.status < 500
        assert 0 < len(found.message) < 200
    else:
        again = acceptance.accept(json.dumps(document(found.values)).encode())
        assert isinstance(again, acceptance.Accepted)
        assert (again.values, again.unknown) == (found.values, ())
        assert canonical(again.values) == canonical(found.values)
        assert len(found.unknown) <= acceptance.MAX_UNKNOWN_NAMES
    for finder in FINDERS:
        address = finder.of("10.0.0.1", [(name, data) for name in HEADERS])
        assert address is None or len(address) in (4, 16)


def main(options: list[str]) -> None:
    """Does not return: libFuzzer ends the process."""
    with tempfile.TemporaryDirectory() as corpus:
        for index, case in enumerate(cases()):
            if case.ping is not None:
                (Path(corpus) / f"{index}").write_bytes((case.home / "ping.json").read_bytes())
        (Path(corpus) / "forwarded").write_bytes(b'for="[2001:db8::1]:80";proto=http, for=192.0.2.1')
        atheris.Setup([sys.argv[0], "-max_len=70000", "-rss_limit_mb=512", "-timeout=5", *options, corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
