"""Verification: the tree computed again from the rows, and the first position that does not hold.

What is compared with what:

1. The rows with the leaves that were sealed. This names the very position of a change, deletion,
   insertion, exchange or truncation.
2. The root over the rows with the last seal, and its signature. Only the signing key makes one,
   so rows and leaves cannot be rewritten together. When the last seal does not hold, every seal
   is tried in order, and the first position that the first bad one covers is named.
3. The root over the rows with checkpoints that were kept elsewhere. They also catch a rewrite by
   somebody who has the key, and seals that were cut off together with their rows.

The rows come as one stream and nothing is kept of them but hashes: memory does not grow with the
log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from psycopg import Connection

from infrastructure import database
from infrastructure.ledger import entries
from infrastructure.ledger.checkpoints import Checkpoint, Keys, NotTrusted, parse
from infrastructure.ledger.tree import EMPTY, LEAF, Growing

CHUNK = 4096
"""Rows that are looked at together."""

SEALS = (
    "SELECT since, size, root, signature, leaves FROM ledger.seals WHERE size <= {} ORDER BY since"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`checked` sealed events were computed again, `unsealed` ones lie behind the last seal.

    What does not hold begins at `first_bad_position`, or between it and `upto` where no more can
    be said; `reason` is a sentence.
    """

    valid: bool
    first_bad_position: int | None
    checked: int
    unsealed: int = 0
    upto: int | None = None
    reason: str | None = None


@dataclass
class _Bad:
    position: int
    reason: str
    upto: int | None = None


@dataclass
class _Walk:
    """How far the rows have been followed."""

    tree: Growing = field(default_factory=Growing)
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY})
    bad: _Bad | None = None


def verify(url: str, public: Sequence[bytes], kept: Sequence[str] = ()) -> Verdict:
    """Compute the whole ledger of the database at `url` again.

    `public` are the keys whose signatures count, `kept` are checkpoints from elsewhere (each any
    number of notes). Raises `NotTrusted` for a kept checkpoint that is not of this ledger.
    """
    with (
        database.connect_sync(url, "verify-seals") as seals,
        database.connect_sync(url, "verify-rows") as rows,
        seals.transaction(),
    ):
        seals.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        keys = Keys(_origin(seals), public)
        head = _head(seals)
        checkpoints = [point for notes in kept for point in _trusted(keys, notes)]
        walk = _Walk()
        sealed = head.size if head else 0
        stops = sorted({sealed, *(point.size for point in checkpoints)} - {0})
        _follow(rows, walk, _leaves(seals, sealed, walk), sealed, stops)
        bad = _judge(seals, keys, walk, head, checkpoints)
        return Verdict(
            valid=bad is None,
            first_bad_position=bad.position if bad else None,
            checked=min(sealed, walk.tree.size),
            unsealed=max(0, walk.tree.size - sealed),
            upto=bad.upto if bad else None,
            reason=bad.reason if bad else None,
        )


def _origin(connection: Connection[Any]) -> str:
    row = connection.execute("SELECT origin FROM ledger.identity").fetchone()
    return str(row[0]) if row else "the origin is missing"


def _head(connection: Connection[Any]) -> Checkpoint | None:
    row = connection.execute(
        "SELECT size, root, signature FROM ledger.seals ORDER BY size DESC LIMIT 1"
    ).fetchone()
    return Checkpoint(_origin(connection), *row) if row else None


def _trusted(keys: Keys, notes: str) -> Iterator[Checkpoint]:
    """The checkpoints of a file. Signatures of others beside ours may stand below them."""
    points: dict[tuple[int, bytes], list[str]] = {}
    for point in parse(notes):
        failures = points.setdefault((point.size, point.root), [])
        try:
            keys.check(point)
        except NotTrusted as reason:
            failures.append(str(reason))
        else:
            yield point
            points[point.size, point.root] = []
    for (size, _), failures in points.items():
        if failures:
            raise NotTrusted(f"the checkpoint of size {size} proves nothing: {failures[0]}")


class _Sealed:
    """The sealed leaves as one stream, whatever the seals they came in."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._buffer = pieces, b""

    def take(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        parts, have = [self._buffer], len(self._buffer)
        while have < size and (piece := next(self._pieces, b"")):
            parts.append(piece)
            have += len(piece)
        joined = b"".join(parts)
        self._buffer = joined[size:]
        return joined[:size]


def _leaves(connection: Connection[Any], sealed: int, walk: _Walk) -> _Sealed:
    """Notes in `walk` where a seal is missing; the leaves end there."""

    def pieces() -> Iterator[bytes]:
        at = 0
        for since, size, _, _, leaves in _seals(connection, sealed):
            if since != at:
                walk.bad = _earlier(walk.bad, _Bad(at + 1, "its seal is missing", since))
                return
            at = size
            yield leaves

    return _Sealed(pieces())


def _seals(
    connection: Connection[Any], sealed: int
) -> Iterator[tuple[int, int, bytes, bytes, bytes]]:
    with connection.cursor(name="seals", binary=True) as cursor:
        cursor.itersize = 64
        cursor.execute(SEALS.format(sealed).encode())
        yield from cursor


def _follow(
    connection: Connection[Any], walk: _Walk, sealed: _Sealed, upto: int, stops: Sequence[int]
) -> None:
    """Hash every row, until one does not hold."""
    chunk: list[bytes] = []
    rows = entries.read(connection)
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            _take(walk, chunk, sealed, upto, stops)
            chunk = []
            if walk.bad:
                rows.close()  # type: ignore[attr-defined]
                return
    _take(walk, chunk, sealed, upto, stops)
    if walk.bad is None and walk.tree.size < upto:
        walk.bad = _Bad(walk.tree.size + 1, "the log ends before what is sealed", upto)


def _take(
    walk: _Walk, chunk: Sequence[bytes], sealed: _Sealed, upto: int, stops: Sequence[int]
) -> None:
    done = walk.tree.size
    leaves = [sha256(LEAF + row).digest() for row in chunk]
    wanted = sealed.take(32 * max(0, min(upto - done, len(chunk))))
    good = len(chunk)
    # Rows come in the order of positions, which are unique: both ends right, all are.
    if chunk and (
        entries.position_of(chunk[0]) != done + 1
        or entries.position_of(chunk[-1]) != done + len(chunk)
        or b"".join(leaves[: len(wanted) // 32]) != wanted
    ):
        good = _first_bad(walk, chunk, leaves, wanted)
    at = 0
    for stop in [*(s - done for s in stops if done < s <= done + good), good]:
        walk.tree.extend(leaves[at:stop])
        walk.roots[walk.tree.size] = walk.tree.root
        at = stop


def _first_bad(walk: _Walk, chunk: Sequence[bytes], leaves: Sequence[bytes], wanted: bytes) -> int:
    done = walk.tree.size
    for n, row in enumerate(chunk):
        position, expected = entries.position_of(row), done + n + 1
        if position > expected:
            bad = _Bad(expected, "it is missing from the log")
        elif position < expected:
            bad = _Bad(position, "there never was such a position")
        elif n < len(wanted) // 32 and leaves[n] != wanted[32 * n : 32 * n + 32]:
            bad = _Bad(expected, "the row is not the one that was sealed")
        else:
            continue
        walk.bad = _earlier(walk.bad, bad)
        return n
    return len(chunk)


def _earlier(one: _Bad | None, other: _Bad) -> _Bad:
    return one if one and one.position <= other.position else other


def _judge(
    connection: Connection[Any],
    keys: Keys,
    walk: _Walk,
    head: Checkpoint | None,
    kept: Sequence[Checkpoint],
) -> _Bad | None:
    bad = walk.bad
    if head and (bad or not _holds(keys, head, walk)):
        bad = _first_bad_seal(connection, keys, head.size, bad) or bad
    good = max((p.size for p in kept if walk.roots.get(p.size) == p.root), default=0)
    for point in sorted(kept, key=lambda each: each.size):
        if point.size > walk.tree.size and bad is None:
            end = walk.tree.size + 1
            bad = _Bad(end, "the log ends before a checkpoint that was kept", point.size)
        elif point.size <= walk.tree.size and walk.roots.get(point.size) != point.root:
            reason = f"the rows are not those of the checkpoint that was kept of {point.size}"
            below = max((p.size for p in kept if p.size < point.size and p.size <= good), default=0)
            bad = _earlier(bad, _Bad(below + 1, reason, point.size))
    return bad


def _holds(keys: Keys, head: Checkpoint, walk: _Walk) -> bool:
    try:
        keys.check(head)
    except NotTrusted:
        return False
    return walk.roots.get(head.size) == head.root


def _first_bad_seal(
    connection: Connection[Any], keys: Keys, sealed: int, bad: _Bad | None
) -> _Bad | None:
    """The first seal, up to what is known to be bad, whose leaves are not those it was signed
    for. Rows up to `bad` agree with the leaves."""
    growing = Growing()
    for since, size, root, signature, leaves in _seals(connection, sealed):
        if since != growing.size or (bad and since >= bad.position):
            return None  # noted before
        growing.extend([leaves[n : n + 32] for n in range(0, len(leaves), 32)])
        try:
            keys.check(Checkpoint(keys.origin, size, root, signature))
        except NotTrusted as reason:
            return _Bad(since + 1, f"its seal proves nothing: {reason}", size)
        if growing.root != root:
            if bad and bad.position <= size and bad.upto is None:
                return None  # the leaf of this very position was changed
            return _Bad(since + 1, "its seal was made for other rows", size)
    return None
