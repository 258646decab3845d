"""The Merkle tree of RFC 6962 (section 2.1): its hashes, growth, and what proofs consist of.

A leaf's index counts from 0. A `Subtree` is a complete one: `2^height` leaves, aligned to their
number, so that its root never changes once its last leaf is there. Every hash of RFC 6962 is the
root of such a subtree or of a row of them from large to small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

LEAF, NODE = b"\x00", b"\x01"
"""What is put before the bytes of a leaf and of a node, so that neither passes for the other."""

EMPTY = sha256().digest()
"""The root of a tree without leaves."""

KEPT = 8
"""Roots of subtrees are kept at every so many levels."""


class Subtree(NamedTuple):
    """The leaves `number * 2^height` up to, and without, `(number + 1) * 2^height`."""

    height: int
    number: int


Roots = Callable[[Subtree], bytes]
Sibling = Sequence[Subtree]
"""One hash of a proof: the root over these subtrees, which lie beside each other."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one leaf."""
    return sha256(LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of what stands above two subtrees."""
    return sha256(NODE + left + right).digest()


def joined(roots: Iterable[bytes]) -> bytes:
    """The root over complete subtrees that lie beside each other, larger ones first."""
    ordered = list(roots)
    if not ordered:
        return EMPTY
    root = ordered.pop()
    while ordered:
        root = node_hash(ordered.pop(), root)
    return root


def cover(first: int, last: int) -> list[Subtree]:
    """The complete subtrees that make up the leaves `first` up to, and without, `last`.

    `first` must be a multiple of a power of two that is at least `last - first`, or 0, as it is
    for every part into which RFC 6962 divides a tree.
    """
    parts: list[Subtree] = []
    while first < last:
        height = (last - first).bit_length() - 1
        parts.append(Subtree(height, first >> height))
        first += 1 << height
    return parts


class Growing:
    """A tree that leaves are added to; keeps no more than the roots along its right edge."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """`edge` are the roots of `cover(0, size)`."""
        self.size = size
        self._edge = list(edge)

    @property
    def root(self) -> bytes:
        return joined(self._edge)

    @property
    def edge(self) -> list[bytes]:
        """The roots of `cover(0, size)`."""
        return list(self._edge)

    def append(self, count: int, edge: Sequence[bytes]) -> None:
        """Add so many leaves at once; `edge` are the roots of `cover(0, count)` over them.

        The size must be a multiple of a power of two that is at least `count`.
        """
        for part, root in zip(cover(0, count), edge, strict=True):
            self._push(part.height, root, [])

    def extend(self, leaves: Sequence[bytes]) -> list[tuple[Subtree, bytes]]:
        """Add hashed leaves; returns the subtrees of kept heights that are complete now."""
        complete: list[tuple[Subtree, bytes]] = []
        at = 0
        while at < len(leaves):
            height = (len(leaves) - at).bit_length() - 1
            if self.size:
                height = min(height, (self.size & -self.size).bit_length() - 1)
            row = leaves[at : at + (1 << height)]
            for level in range(1, height + 1):
                pairs = zip(row[::2], row[1::2], strict=True)
                row = [sha256(NODE + left + right).digest() for left, right in pairs]
                if level % KEPT == 0:
                    first = self.size >> level
                    complete += [(Subtree(level, first + n), r) for n, r in enumerate(row)]
            self._push(height, row[0], complete)
            at += 1 << height
        return complete

    def _push(self, height: int, root: bytes, complete: list[tuple[Subtree, bytes]]) -> None:
        level = height
        while self.size >> level & 1:
            root = node_hash(self._edge.pop(), root)
            level += 1
            if level % KEPT == 0:
                complete.append((Subtree(level, self.size >> level), root))
        self._edge.append(root)
        self.size += 1 << height


def inclusion(index: int, size: int) -> list[Sibling]:
    """What the proof that leaf `index` is in the tree of `size` leaves consists of (2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    siblings: list[Sibling] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            siblings.append(cover(middle, last))
            last = middle
        else:
            siblings.append(cover(first, middle))
            first = middle
    return siblings[::-1]


def consistency(earlier: int, size: int) -> list[Sibling]:
    """What the proof consists of that the tree of `size` continues that of `earlier` (2.1.2)."""
    if not 0 < earlier <= size:
        raise ValueError(f"a tree of {size} continues none of {earlier}")
    siblings: list[Sibling] = []
    first, last, whole = 0, size, True
    while earlier < last:
        middle = first + _split(last - first)
        if earlier <= middle:
            siblings.append(cover(middle, last))
            last = middle
        else:
            siblings.append(cover(first, middle))
            first, whole = middle, False
    if not whole:
        siblings.append(cover(first, last))
    return siblings[::-1]


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2).

    None when it has too few hashes or too many.
    """
    node, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    return root if last == 0 else None


def parts_of(siblings: Iterable[Sibling]) -> Iterator[Subtree]:
    """Every subtree whose root a proof needs."""
    for sibling in siblings:
        yield from sibling
