"""Shares scarce resources between client addresses: places (`FairSlots`) and turns (`FairQueue`)."""

import ipaddress
from collections import OrderedDict
from typing import Generic, TypeVar

H = TypeVar("H")
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
        """One more, or one less."""
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


class _Members(Generic[H]):
    __slots__ = ("busy", "waiting")

    def __init__(self) -> None:
        # Ordered sets: the earliest entry is the first in each.
        self.waiting: dict[H, None] = {}
        self.busy: dict[H, None] = {}


class FairSlots(Generic[H]):
    """At most `most` members. One too many displaces another: of the peer with the most members, the one that has
    waited longest for its own client; if all are being served, the oldest."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._size = 0
        self._peers: dict[Peer, _Members[H]] = {}
        self._counts = _Counts()

    def __len__(self) -> int:
        return self._size

    def members(self) -> list[H]:
        """All of them at this moment."""
        return [member for each in self._peers.values() for member in (*each.waiting, *each.busy)]

    def displaced_by(self, peer: Peer) -> tuple[Peer, H] | None:
        """Who makes room for one more of `peer`, with its own peer; None while there is room."""
        if self._size < self.most:
            return None
        heaviest = peer if self._counts[peer] == self._counts.largest else self._counts.heaviest()
        members = self._peers[heaviest]
        return heaviest, next(iter(members.waiting or members.busy))

    def count(self, peer: Peer) -> int:
        """How many members a peer has."""
        return self._counts[peer]

    def add(self, peer: Peer, member: H) -> H | None:
        """Add `member`, which waits for its client. Returns the displaced member, already removed."""
        displaced = self.displaced_by(peer)
        if displaced is not None:
            self.remove(*displaced)
        self._peers.setdefault(peer, _Members()).waiting[member] = None
        self._counts.change(peer, +1)
        self._size += 1
        return None if displaced is None else displaced[1]

    def remove(self, peer: Peer, member: H) -> None:
        """Remove `member`; does nothing if it was displaced."""
        members = self._peers.get(peer)
        if members is None or not (member in members.waiting or member in members.busy):
            return
        members.waiting.pop(member, None)
        members.busy.pop(member, None)
        self._counts.change(peer, -1)
        self._size -= 1
        if not members.waiting and not members.busy:
            del self._peers[peer]

    def waits(self, peer: Peer, member: H) -> None:
        """`member` begins to wait for its client."""
        members = self._peers.get(peer)
        if members is None or (member not in members.waiting and member not in members.busy):
            return
        members.busy.pop(member, None)
        members.waiting.pop(member, None)  # so that it moves to the end
        members.waiting[member] = None

    def is_busy(self, peer: Peer, member: H) -> None:
        """`member` is being served: its client waits for us."""
        members = self._peers.get(peer)
        if members is not None and member in members.waiting:
            del members.waiting[member]
            members.busy[member] = None


class _Queue(Generic[T]):
    __slots__ = ("again", "first")

    def __init__(self) -> None:
        # Ordered: taking from either end costs the same, and so does taking from between.
        self.first: OrderedDict[T, None] = OrderedDict()
        self.again: OrderedDict[T, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.first) + len(self.again)


class FairQueue(Generic[T]):
    """Decides who is next: peers take turns; of a peer's items, new ones come before repeated ones.

    Every third time it is the newest item, else the oldest: neither a crowd that was there before nor one that keeps
    coming delays another client behind the same address. At most `most` wait; for one too many, the newest of the peer
    with the most is turned away.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._waiting = 0
        self._given = 0
        self._counts = _Counts()
        self._peers: dict[Peer, _Queue[T]] = {}

    def __len__(self) -> int:
        return self._waiting

    def holds(self, peer: Peer) -> bool:
        """Whether an item of `peer` waits."""
        return peer in self._peers

    @property
    def next_peer(self) -> Peer | None:
        """Whose turn it is; None if nothing waits."""
        return next(iter(self._peers), None)

    def items(self) -> list[T]:
        """All that wait at this moment."""
        return [item for queue in self._peers.values() for item in (*queue.first, *queue.again)]

    def add(self, peer: Peer, item: T, *, again: bool = False) -> T | None:
        """Add `item`. Returns the one that is turned away for it, possibly `item` itself."""
        queue = self._peers.setdefault(peer, _Queue())
        (queue.again if again else queue.first)[item] = None
        self._counts.change(peer, +1)
        self._waiting += 1
        if self._waiting <= self.most:
            return None
        heaviest = self._counts.heaviest()
        queue = self._peers[heaviest]
        turned_away, _ = (queue.again or queue.first).popitem()
        self._taken(heaviest)
        return turned_away

    def next(self) -> T | None:
        """The next item; None if nothing waits."""
        if not self._peers:
            return None
        peer, queue = next(iter(self._peers.items()))
        lane = queue.first or queue.again
        self._given += 1
        taken, _ = lane.popitem(last=self._given % 3 == 0)
        self._taken(peer)
        if peer in self._peers:
            self._peers[peer] = self._peers.pop(peer)  # behind the others
        return taken

    def discard(self, peer: Peer, item: T) -> None:
        """`item` no longer waits."""
        queue = self._peers.get(peer)
        for lane in () if queue is None else (queue.first, queue.again):
            if item in lane:
                del lane[item]
                self._taken(peer)
                return

    def _taken(self, peer: Peer) -> None:
        self._counts.change(peer, -1)
        self._waiting -= 1
        if not self._peers[peer]:
            del self._peers[peer]
