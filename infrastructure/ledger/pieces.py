"""Pieces of the log, each computed again by itself: what the parts of a verification find.

A piece is a complete subtree: as many positions as a power of two, aligned to it. So pieces need
nothing of each other, and whoever has the roots of all of them in order has the tree.

As a program it takes its share as a line of JSON on standard input, and reports on standard
output, a line of JSON for each piece. It ends when its standard input does: with whoever started
it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import Connection

from domain.positions import GREATEST
from infrastructure import database
from infrastructure.ledger import entries
from infrastructure.ledger.tree import LEAF, Growing
from infrastructure.programs import end_with_the_other_side

PIECE = 2**16
"""Positions in a piece: a quarter of a second of work."""

CHUNK = 4096
"""Rows that are looked at together."""


@dataclass(frozen=True, slots=True)
class Share:
    """The pieces `first`, `first + step` and so on of the log at `url`, of `size` positions each.

    `sealed` leaves are there to compare rows with; `stops` are sizes at which the tree is wanted.
    """

    url: str = field(repr=False)
    sealed: int
    stops: Sequence[int]
    size: int = PIECE
    first: int = 0
    step: int = 1


@dataclass(frozen=True, slots=True)
class Bad:
    """What does not hold: the `position` alone, or from there at most to `upto`."""

    position: int
    reason: str
    upto: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """`rows` of a piece hold; `edge` are the roots of the subtrees that they make up.

    `at` has the same for each of the stops among them, by the size of the whole tree. Fewer rows
    than a piece has positions: the log ends there, or `bad` says what does not hold.
    """

    rows: int
    edge: list[bytes]
    at: dict[int, list[bytes]]
    bad: Bad | None = None


def examined(share: Share) -> Generator[Piece, None, None]:
    """Compute the pieces of `share` again, up to the first that is not whole."""
    with database.connect_sync(share.url, "verify-rows") as connection:
        since, whole = share.first * share.size, True
        while whole:
            piece = _examined(connection, share, since)
            whole = piece.rows == share.size
            since += share.step * share.size
            yield piece


def _examined(connection: Connection[Any], share: Share, since: int) -> Piece:
    leaves = _leaves(connection, since, min(since + share.size, share.sealed))
    stops = [stop for stop in share.stops if since < stop <= since + share.size]
    growing, at, bad = Growing(), dict[int, list[bytes]](), None
    # Below the first position there is nothing, and somebody may have put something there.
    with closing(entries.read(connection, since or -GREATEST, since + share.size)) as rows:
        while bad is None and (chunk := list(islice(rows, CHUNK))):
            done = growing.size
            hashed, bad = _compared(chunk, since + done, leaves[32 * done :])
            for stop in [s for s in stops if since + done < s <= since + done + len(hashed)]:
                growing.extend(hashed[growing.size - done : stop - since - done])
                at[stop] = growing.edge
            growing.extend(hashed[growing.size - done :])
    if bad is None and growing.size < share.size:
        bad = _hole(connection, since + growing.size)
    return Piece(growing.size, growing.edge, at, bad)


_SEALS = """
SELECT since, leaves FROM ledger.seals
WHERE since >= (SELECT max(since) FROM ledger.seals WHERE since <= %s) AND since < %s
ORDER BY since
"""


def _leaves(connection: Connection[Any], since: int, upto: int) -> memoryview:
    """The sealed leaves of the positions behind `since` up to `upto`, 32 bytes each."""
    if since >= upto:
        return memoryview(b"")
    found = connection.execute(_SEALS, [since, upto], binary=True).fetchall()
    first = found[0][0] if found else since
    leaves = memoryview(b"".join(each for _, each in found))
    return leaves[32 * (since - first) : 32 * (upto - first)]


class _Compared(NamedTuple):
    leaves: Sequence[bytes]
    bad: Bad | None


def _compared(chunk: Sequence[bytes], done: int, sealed: memoryview) -> _Compared:
    """The hashes of the rows behind position `done` up to the first that does not hold."""
    leaves = [sha256(LEAF + row).digest() for row in chunk]
    wanted = sealed[: 32 * len(chunk)]
    # Rows come in the order of positions, which are unique: both ends right, all are.
    if (
        entries.position_of(chunk[0]) == done + 1
        and entries.position_of(chunk[-1]) == done + len(chunk)
        and b"".join(leaves[: len(wanted) // 32]) == wanted
    ):
        return _Compared(leaves, None)
    for n, row in enumerate(chunk):
        position, expected = entries.position_of(row), done + n + 1
        if position > expected:
            return _Compared(leaves[:n], Bad(expected, "it is missing from the log"))
        if position < expected:
            return _Compared(leaves[:n], Bad(position, "there never was such a position"))
        if n < len(wanted) // 32 and leaves[n] != wanted[32 * n : 32 * n + 32]:
            return _Compared(leaves[:n], Bad(expected, "the row is not the one that was sealed"))
    return _Compared(leaves, None)


def _hole(connection: Connection[Any], last: int) -> Bad | None:
    """Whether rows go on somewhere behind `last`, where this piece of them ended.

    The very next one is no hole: it was added meanwhile.
    """
    row = connection.execute(
        "SELECT min(position) FROM log.events WHERE position > %s", [last]
    ).fetchone()
    following = row[0] if row else None
    if following is None or following == last + 1:
        return None
    return Bad(last + 1, "it is missing from the log")


def _main() -> None:
    share = msgspec.json.decode(sys.stdin.buffer.readline(), type=Share)
    end_with_the_other_side()
    try:
        for piece in examined(share):
            sys.stdout.buffer.write(msgspec.json.encode(piece) + b"\n")
            sys.stdout.buffer.flush()
    except psycopg.Error as error:
        sys.exit(f"verification: {type(error).__name__}")


if __name__ == "__main__":
    _main()
