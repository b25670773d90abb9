"""The Merkle tree of RFC 6962, section 2.1, over lines that are only ever added; its beginning may be forgotten."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

EMPTY_ROOT: Final = hashlib.sha256().digest()


def leaf_hash(content: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """Leaves by their index, from `first` on. Of what came before only `peaks` are known: the roots of the perfect
    subtrees, the largest first, into which the binary digits of `first` divide it."""

    def __init__(self, first: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if first < 0 or len(peaks) != first.bit_count():
            raise ValueError(f"{len(peaks)} peaks do not make a tree of {first} leaves")
        self.first = first
        self.size = first
        self._peaks = list(peaks)
        self._known = dict(zip(_subtrees(first), peaks, strict=True))

    @property
    def peaks(self) -> tuple[bytes, ...]:
        return tuple(self._peaks)

    def add(self, content: bytes) -> None:
        start, width, node = self.size, 1, leaf_hash(content)
        self._known[start, start + 1] = node
        while self.size & width:  # a subtree of this width is waiting for its right neighbour
            start, width = start - width, 2 * width
            node = node_hash(self._peaks.pop(), node)
            self._known[start, start + width] = node
        self._peaks.append(node)
        self.size += 1

    def root(self, size: int | None = None) -> bytes:
        """The root when it had `size` leaves, from `first` on; now, if that is not given."""
        size = self.size if size is None else size
        if not self.first <= size <= self.size:
            raise ValueError(f"the root of {size} leaves is not known")
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The audit path of a leaf in the tree of `size` leaves (section 2.1.1), from the leaf upwards."""
        if not self.first <= index < size <= self.size:
            raise ValueError(f"leaf {index} of {size} is not known")
        path: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        return path[::-1]

    def _range(self, start: int, end: int) -> bytes:
        """The root of the leaves `start` to `end`. Perfect subtrees are known, from when they were completed."""
        known = self._known.get((start, end))
        if known is not None:
            return known
        middle = start + _split(end - start)
        return node_hash(self._range(start, middle), self._range(middle, end))


def root_by_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """The root of the tree of `size` leaves that the audit path of the leaf hash leads to (RFC 9162, section 2.1.3.2);
    None if no path of such a leaf has that length."""
    if not 0 <= index < size:
        return None
    node, last = leaf, size - 1
    for other in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            node = node_hash(other, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, other)
        index, last = index >> 1, last >> 1
    return node if last == 0 else None


def _split(width: int) -> int:
    """The largest power of two below `width`."""
    return 1 << ((width - 1).bit_length() - 1)


def _subtrees(size: int) -> Iterator[tuple[int, int]]:
    start = 0
    for digit in reversed(range(size.bit_length())):
        if size >> digit & 1:
            yield start, start + (1 << digit)
            start += 1 << digit
