"""What a leaf of the ledger is: one stored row, every column of it, in one unambiguous form.

The form is PostgreSQL's own for a row in a binary COPY: the number of columns (2 bytes), and for
each its length (4 bytes) and its bytes, numbers big-endian, instants as microseconds since
2000-01-01 UTC. It is documented, has one way only to write a row, and comes from the server as
it is, so that hashing the log costs little more than reading it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from struct import Struct
from typing import Any

from psycopg import AsyncConnection, Connection

from domain.positions import GREATEST

COPY = (
    "COPY (SELECT position, stream_id, version, tenant, topic, state, recorded_at FROM log.events"
    " WHERE position > {} AND position <= {} ORDER BY position) TO STDOUT (FORMAT binary)"
)
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
SHORTEST = len(HEADER) + len(END)
"""What is longer is a row: seven lengths and three numbers take more."""

_position = Struct(">q").unpack_from
POSITION_AT = 6
"""Where the position's eight bytes begin: behind the number of columns and its own length."""


def position_of(entry: bytes | memoryview) -> int:
    """The position that a row says it has."""
    position: int = _position(entry, POSITION_AT)[0]
    return position


def read(
    connection: Connection[Any], since: int = -GREATEST, upto: int = GREATEST
) -> Generator[bytes, None, None]:
    """The rows behind `since` and up to `upto`, in the order of their positions."""
    with (
        connection.cursor() as cursor,
        cursor.copy(COPY.format(since, upto).encode()) as copy,
    ):
        # Straight from libpq: the driver's own iteration costs as much as hashing a row.
        next_piece = connection.pgconn.get_copy_data
        first = bytes(copy.read())
        yield from _row(first)
        if first == HEADER + END:
            copy.read()
            return
        while True:
            size, piece = next_piece(0)
            if size > SHORTEST:
                yield piece  # type: ignore[misc]
            elif size > 0 and bytes(piece) != END:
                yield from _row(piece)
            else:
                copy.read()  # the end, or the error
                return


async def read_async(
    connection: AsyncConnection[Any], since: int, upto: int
) -> AsyncIterator[bytes]:
    """The same."""
    async with (
        connection.cursor() as cursor,
        cursor.copy(COPY.format(since, upto).encode()) as copy,
    ):
        async for piece in copy:
            for row in _row(piece):
                yield row


def _row(piece: Any) -> Iterator[bytes]:
    """The server sends each row as one piece; the header may come with the first, or alone."""
    row = bytes(piece)
    if row.startswith(HEADER):
        row = row[len(HEADER) :]
    if row not in (b"", END):
        yield row
