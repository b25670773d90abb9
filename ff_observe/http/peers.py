"""Shares scarce resources between client addresses: places (`FairSlots`) and turns (`FairQueue`)."""

import ipaddress
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")

Peer = str | int
"""One client, for fairness: an IPv4 address, or an IPv6 /64, within which addresses are free."""


def peer_of(address: str) -> Peer:
    """The peer that an address belongs to."""
    if ":" not in address:
        return address
    try:
        packed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(packed.ipv4_mapped) if packed.ipv4_mapped is not None else int(packed) >> 64


class _Counts:
    """How many each peer has, and who has the most: at the same cost for a million peers as for one."""

    def __init__(self) -> None:
        self.largest = 0
        self._of: dict[Peer, int] = {}
        self._peers: dict[int, dict[Peer, None]] = {}

    def __getitem__(self, peer: Peer) -> int:
        return self._of.get(peer, 0)

    def change(self, peer: Peer, by: int) -> None:
        before = self[peer]
        after = before + by
        if before:
            with_as_many = self._peers[before]
            del with_as_many[peer]
            if not with_as_many:
                del self._peers[before]
        if after:
            self._of[peer] = after
            self._peers.setdefault(after, {})[peer] = None
        else:
            del self._of[peer]
        if after > self.largest or self.largest not in self._peers:
            self.largest = after

    def heaviest(self) -> Peer:
        """Of those that have the most, who has had as many for the longest."""
        return next(iter(self._peers[self.largest]))


class _Lanes(Generic[T]):
    """The items of one peer, each lane in the order of time: taking from either end or from between costs the same."""

    __slots__ = ("first", "second")

    def __init__(self) -> None:
        self.first: OrderedDict[T, None] = OrderedDict()
        self.second: OrderedDict[T, None] = OrderedDict()


class _OfPeers(Generic[T]):
    """Items of peers; of which peer may have how many, `add` of the two below decides."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._size = 0
        self._peers: dict[Peer, _Lanes[T]] = {}
        self._counts = _Counts()

    def __len__(self) -> int:
        return self._size

    def items(self) -> list[T]:
        return [item for lanes in self._peers.values() for item in (*lanes.first, *lanes.second)]

    def count(self, peer: Peer) -> int:
        return self._counts[peer]

    def discard(self, peer: Peer, item: T) -> None:
        """Forget `item`; does nothing if it is not there."""
        lanes = self._peers.get(peer)
        for lane in () if lanes is None else (lanes.first, lanes.second):
            if item in lane:
                del lane[item]
                self._change(peer, -1)
                return

    def _change(self, peer: Peer, by: int) -> None:
        self._counts.change(peer, by)
        self._size += by
        if not self._counts[peer]:
            del self._peers[peer]


class FairSlots(_OfPeers[T]):
    """At most `most` members. One too many displaces another: of the peer with the most members, the one that has
    waited longest for its own client (the first lane); if all are being served (the second), the oldest."""

    def displaced_by(self, peer: Peer) -> tuple[Peer, T] | None:
        """Who makes room for one more of `peer`, with its own peer; None while there is room."""
        if self._size < self.most:
            return None
        heaviest = peer if self._counts[peer] == self._counts.largest else self._counts.heaviest()
        lanes = self._peers[heaviest]
        return heaviest, next(iter(lanes.first or lanes.second))

    def add(self, peer: Peer, member: T) -> T | None:
        """Add `member`, which waits for its client. Returns the displaced member, already removed."""
        displaced = self.displaced_by(peer)
        if displaced is not None:
            self.discard(*displaced)
        self._peers.setdefault(peer, _Lanes()).first[member] = None
        self._change(peer, +1)
        return None if displaced is None else displaced[1]

    def waits(self, peer: Peer, member: T) -> None:
        """`member` begins to wait for its client."""
        lanes = self._peers.get(peer)
        if lanes is not None and (member in lanes.first or member in lanes.second):
            lanes.second.pop(member, None)
            lanes.first[member] = None
            lanes.first.move_to_end(member)

    def is_busy(self, peer: Peer, member: T) -> None:
        """`member` is being served: its client waits for us."""
        lanes = self._peers.get(peer)
        if lanes is not None and member in lanes.first:
            del lanes.first[member]
            lanes.second[member] = None


class FairQueue(_OfPeers[T]):
    """Decides who is next: peers take turns; of a peer's items, new ones (the first lane) come before repeated ones.

    Every third time it is the newest item, else the oldest: neither a crowd that was there before nor one that keeps
    coming delays another client behind the same address. At most `most` wait; for one too many, the newest of the peer
    with the most is turned away.
    """

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._given = 0

    @property
    def next_peer(self) -> Peer | None:
        """Whose turn it is; None if nothing waits."""
        return next(iter(self._peers), None)

    def add(self, peer: Peer, item: T, *, again: bool = False) -> T | None:
        """Add `item`. Returns the one that is turned away for it, possibly `item` itself."""
        lanes = self._peers.setdefault(peer, _Lanes())
        (lanes.second if again else lanes.first)[item] = None
        self._change(peer, +1)
        if self._size <= self.most:
            return None
        heaviest = self._counts.heaviest()
        lanes = self._peers[heaviest]
        turned_away, _ = (lanes.second or lanes.first).popitem()
        self._change(heaviest, -1)
        return turned_away

    def next(self) -> T | None:
        """The next item; None if nothing waits."""
        peer = self.next_peer
        if peer is None:
            return None
        lanes = self._peers[peer]
        self._given += 1
        taken, _ = (lanes.first or lanes.second).popitem(last=self._given % 3 == 0)
        self._change(peer, -1)
        if peer in self._peers:
            self._peers[peer] = self._peers.pop(peer)  # behind the others
        return taken
