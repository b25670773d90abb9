"""Runs bridges where nothing can leave, and records whom they try to reach.

`python -m tests.end_to_end.egress_recorder` runs in a network namespace of its own (`unshare`), with no way out. A name
server in it gives each name an address of its own in 127.77.0.0/16, where nothing listens, and every first packet of a
connection is read from the wire: so are those of libraries in C, which Python's audit hooks do not see.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0
HOW_TO_ALLOW = "needs namespaces: run as root, or allow unprivileged ones (kernel.unprivileged_userns_clone)"

_SYN, _ACK = 0x02, 0x10
_TCP, _UDP = 6, 17
_EVERY_PROTOCOL = 3  # ETH_P_ALL


@dataclass(frozen=True)
class Configuration:
    """A home with FlowFuse's file and perhaps an overlay, and the environment of the process."""

    name: str
    home: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """Whom a bridge tried to reach, as `host:port`, the names that it asked for; and the list for the same settings
    and the same moment, without what is only possible (`condition`), and with it."""

    name: str
    reached: list[str]
    asked: list[str]
    listed: list[str]
    possible: list[str]


def enter(arguments: Sequence[str]) -> list[str]:
    """The command line that runs a module of the tests in namespaces of its own."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net", "--mount", sys.executable, "-m", *arguments]


def environment() -> dict[str, str]:
    """Without the guard, which would end what is to be recorded, and without any program on the path but `mount`."""
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", os.defpath)}


def allowed() -> bool:
    """Whether namespaces can be made here."""
    command = enter(["this"])[:-3]
    return subprocess.run([*command, "true"], capture_output=True).returncode == 0


def record(configurations: Sequence[Configuration]) -> list[Run]:
    """Run a bridge with each, one after the other."""
    done = subprocess.run(
        enter(["tests.end_to_end.egress_recorder"]),
        input=json.dumps([asdict(each) for each in configurations]),
        env=environment(),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return [Run(**run) for run in json.loads(done.stdout)]


class Names:
    """A name server, and the addresses that it gives."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self._addresses: dict[str, str] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, name="name server", daemon=True).start()

    def address(self, name: str) -> str:
        """The address of a name."""
        number = len(self._addresses) + 1
        return self._addresses.setdefault(name, f"127.77.{number // 250}.{number % 250 + 1}")

    def name(self, address: str) -> str:
        """The name of an address; the address itself where no name has it."""
        return next((name for name, given in self._addresses.items() if given == address), address)

    def _serve(self) -> None:
        while True:
            question, sender = self._socket.recvfrom(4096)
            name, end = _question(question)
            self.asked.add(name)
            (kind,) = struct.unpack_from(">H", question, end)
            answers = b""
            if kind == 1:  # A; any other kind has no answer (RFC 1035)
                answers = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton(self.address(name))
            head = question[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if answers else 0, 0, 0)
            self._socket.sendto(head + question[12 : end + 4] + answers, sender)


def _question(message: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(labels).lower(), at + 1


class Wire:
    """Reads every packet on the loopback interface, the only one there is."""

    def __init__(self) -> None:
        self.reached: set[tuple[str, int]] = set()
        self._marks: set[bytes] = set()
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERY_PROTOCOL))
        threading.Thread(target=self._read, name="wire", daemon=True).start()

    def wait_for(self, places: set[tuple[str, int]]) -> None:
        """Until all of these were tried, or patience ends: what is missing then is seen in the comparison."""
        with self._changed:
            self._changed.wait_for(lambda: places <= self.reached, PATIENCE_SECONDS)

    def caught_up(self) -> None:
        """Return once everything sent before was read."""
        mark = os.urandom(16)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(mark, ("127.0.0.1", 9))
        with self._changed:
            assert self._changed.wait_for(lambda: mark in self._marks, PATIENCE_SECONDS)

    def _read(self) -> None:
        while True:
            packet = self._socket.recv(65536)
            if packet[0] >> 4 == 4:
                transport, protocol, target = packet[(packet[0] & 15) * 4 :], packet[9], socket.inet_ntoa(packet[16:20])
            else:
                transport, protocol, target = packet[40:], packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40])
            (port,) = struct.unpack_from(">H", transport, 2)
            with self._changed:
                if protocol == _TCP and transport[13] & (_SYN | _ACK) == _SYN:
                    self.reached.add((target, port))
                elif protocol == _UDP and port == 9:
                    self._marks.add(transport[8:24])
                elif protocol == _UDP and 53 not in struct.unpack_from(">HH", transport):
                    self.reached.add((target, port))
                self._changed.notify_all()


def prepare() -> tuple[Names, Wire]:
    """Bring the interface up, and have all names asked of our server. Only in namespaces of one's own."""
    import fcntl

    assert [name for _, name in socket.if_nameindex()] == ["lo"], "this is no namespace of its own"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH", b"lo", 0x1))  # SIOCSIFFLAGS, IFF_UP (netdevice(7))
    for path, text in {
        "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:30\n",
        "/etc/hosts": "127.0.0.1 localhost\n",
        "/etc/nsswitch.conf": "hosts: files dns\npasswd: files\ngroup: files\n",
    }.items():
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(text)
        Path(file.name).chmod(0o644)
        subprocess.run(["mount", "--bind", file.name, os.path.realpath(path)], check=True)
        Path(file.name).unlink()
    return Names(), Wire()


def _run(configuration: Configuration, names: Names, wire: Wire) -> Run:
    from ff_observe.config import load_settings
    from ff_observe.egress.listing import contacts, of_bridge
    from ff_observe.running.bridge import Bridge

    os.environ.clear()
    os.environ.update({"HOME": configuration.home, "PATH": "", **configuration.variables})
    settings = load_settings(configuration.home)
    wire.caught_up()
    wire.reached.clear()
    names.asked.clear()
    bridge = Bridge(settings, serve=False, stop_seconds=PATIENCE_SECONDS, first_ping_seconds=0.0)
    bridge.start()
    listed = of_bridge(contacts(settings, bridge.snapshots.current()))
    bridge.capture(RuntimeError("for the output that reports errors"), "test")
    certain = {contact.place: contact for contact in listed if not contact.condition}
    wire.wait_for({(_address(names, contact.host), contact.port) for contact in certain.values()})
    bridge.stop()
    wire.caught_up()
    return Run(
        configuration.name,
        sorted(f"{names.name(host)}:{port}" for host, port in wire.reached),
        sorted(names.asked),
        sorted(place.replace("localhost:", "127.0.0.1:") for place in certain),
        sorted({contact.place.replace("localhost:", "127.0.0.1:") for contact in listed}),
    )


def _address(names: Names, host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        socket.inet_aton(host)
    except OSError:
        return names.address(host.lower())
    return host


def _runs(configurations: Sequence[Any]) -> Iterator[dict[str, Any]]:
    names, wire = prepare()
    for each in configurations:
        began = time.monotonic()
        yield asdict(_run(Configuration(**each), names, wire))
        print(f"{each['name']}: {time.monotonic() - began:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    print(json.dumps(list(_runs(json.load(sys.stdin)))))
    sys.stdout.flush()
    os._exit(0)  # threads of libraries that wait for what never answers
