"""Verification: the tree computed again from the rows, and the first position that does not hold.

What is compared with what:

1. The rows with the leaves that were sealed. This names the very position of a change, deletion,
   insertion, exchange or truncation.
2. The root over the rows with the last seal, and its signature. Only the signing key makes one,
   so rows and leaves cannot be rewritten together. When the last seal does not hold, every seal
   is tried in order, and the first position that the first bad one covers is named.
3. The root over the rows with checkpoints that were kept elsewhere. They also catch a rewrite by
   somebody who has the key, and seals that were cut off together with their rows.

The rows come in pieces and nothing is kept of them but hashes: memory does not grow with the log.
A long log is shared by several processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from infrastructure import database
from infrastructure.ledger.checkpoints import Checkpoint, Keys, NotTrusted, parse
from infrastructure.ledger.pieces import PIECE, Bad, Share
from infrastructure.ledger.sharing import in_turn
from infrastructure.ledger.tree import EMPTY, Growing, joined

WORTH_PROCESSES = 4 * PIECE
"""Sealed events from which on others help: a process takes half a second to start."""

MOST = 4
"""Processes at most: the server has as much to do for each."""

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
class _Walk:
    """How far the rows have been followed."""

    tree: Growing = field(default_factory=Growing)
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY})
    bad: Bad | None = None


def verify(
    url: str,
    public: Sequence[bytes],
    kept: Sequence[str] = (),
    *,
    processes: int | None = None,
    piece: int = PIECE,
) -> Verdict:
    """Compute the whole ledger of the database at `url` again.

    `public` are the keys whose signatures count, `kept` are checkpoints from elsewhere (each any
    number of notes). The work is shared by as many `processes`, this one among them (one for each
    processor by default, if the log is long), in pieces of so many positions, a power of two.

    Raises `NotTrusted` for a kept checkpoint that is not of this ledger, and `Unfinished` when a
    process is lost.
    """
    with database.connect_sync(url, "verify-seals") as seals, seals.transaction():
        seals.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        keys = Keys(_origin(seals), public)
        head = _head(seals)
        checkpoints = [point for notes in kept for point in _trusted(keys, notes)]
        sealed = head.size if head else 0
        gap = _gap(seals, sealed)
        stops = sorted({sealed, *(point.size for point in checkpoints)} - {0})
        whole = Share(url, gap.position - 1 if gap else sealed, stops, piece)
        walk = _follow(whole, processes or _worth(sealed), sealed, gap)
        bad = _judge(seals, keys, walk, head, checkpoints)
        return Verdict(
            valid=bad is None,
            first_bad_position=bad.position if bad else None,
            checked=min(sealed, walk.tree.size),
            unsealed=max(0, walk.tree.size - sealed),
            upto=bad.upto if bad else None,
            reason=bad.reason if bad else None,
        )


def _worth(sealed: int) -> int:
    return min(MOST, os.cpu_count() or 1) if sealed >= WORTH_PROCESSES else 1


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


_GAP = """
SELECT since, before FROM (
    SELECT since, lag(size, 1, 0::bigint) OVER (ORDER BY since) AS before
    FROM ledger.seals WHERE size <= %s
) AS chain WHERE since <> before ORDER BY since LIMIT 1
"""


def _gap(connection: Connection[Any], sealed: int) -> Bad | None:
    """Where a seal does not begin at the end of the one before it."""
    row = connection.execute(_GAP, [sealed]).fetchone()
    if row is None:
        return None
    since, before = row
    if since > before:
        return Bad(before + 1, "its seal is missing", since)
    return Bad(max(since, 0) + 1, "more than one seal is of it", before)


def _seals(
    connection: Connection[Any], sealed: int
) -> Iterator[tuple[int, int, bytes, bytes, bytes]]:
    with connection.cursor(name="seals", binary=True) as cursor:
        cursor.itersize = 64
        cursor.execute(SEALS.format(sealed).encode())
        yield from cursor


def _follow(whole: Share, processes: int, sealed: int, gap: Bad | None) -> _Walk:
    """Hash every row, until one does not hold."""
    walk = _Walk()
    with closing(in_turn(whole, processes)) as pieces:
        for piece in pieces:
            for stop, edge in piece.at.items():
                walk.roots[stop] = joined([*walk.tree.edge, *edge])
            walk.tree.append(piece.rows, piece.edge)
            walk.bad = piece.bad
            if gap and walk.tree.size >= gap.position:
                break
    if walk.bad is None and walk.tree.size < whole.sealed:
        walk.bad = Bad(walk.tree.size + 1, "the log ends before what is sealed", sealed)
    if gap:
        walk.bad = _earlier(walk.bad, gap)
    return walk


def _earlier(one: Bad | None, other: Bad) -> Bad:
    return one if one and one.position <= other.position else other


def _judge(
    connection: Connection[Any],
    keys: Keys,
    walk: _Walk,
    head: Checkpoint | None,
    kept: Sequence[Checkpoint],
) -> Bad | None:
    bad = walk.bad
    if head and (bad or not _holds(keys, head, walk)):
        bad = _first_bad_seal(connection, keys, head.size, bad) or bad
    good = max((p.size for p in kept if walk.roots.get(p.size) == p.root), default=0)
    for point in sorted(kept, key=lambda each: each.size):
        if point.size > walk.tree.size and bad is None:
            end = walk.tree.size + 1
            bad = Bad(end, "the log ends before a checkpoint that was kept", point.size)
        elif point.size <= walk.tree.size and walk.roots.get(point.size) != point.root:
            reason = f"the rows are not those of the checkpoint that was kept of {point.size}"
            below = max((p.size for p in kept if p.size < point.size and p.size <= good), default=0)
            bad = _earlier(bad, Bad(below + 1, reason, point.size))
    return bad


def _holds(keys: Keys, head: Checkpoint, walk: _Walk) -> bool:
    try:
        keys.check(head)
    except NotTrusted:
        return False
    return walk.roots.get(head.size) == head.root


def _first_bad_seal(
    connection: Connection[Any], keys: Keys, sealed: int, bad: Bad | None
) -> Bad | None:
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
            return Bad(since + 1, f"its seal proves nothing: {reason}", size)
        if growing.root != root:
            if bad and bad.position <= size and bad.upto is None:
                return None  # the leaf of this very position was changed
            return Bad(since + 1, "its seal was made for other rows", size)
    return None
