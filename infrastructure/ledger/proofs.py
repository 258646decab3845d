"""Proofs from what is kept of the tree: bounded reads, whatever the size of the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from infrastructure.ledger import tree
from infrastructure.ledger.checkpoints import Checkpoint
from infrastructure.ledger.tree import KEPT, Subtree

HASH = 32
"""Bytes of one hash."""


class Incomplete(Exception):
    """Hashes of the tree are missing from the database."""


async def origin(connection: AsyncConnection[Any]) -> str:
    """Who this log is."""
    row = await (await connection.execute("SELECT origin FROM ledger.identity")).fetchone()
    assert row is not None
    return str(row[0])


async def head(connection: AsyncConnection[Any], size: int | None = None) -> Checkpoint | None:
    """The last seal's checkpoint, or that of `size`; None when there is no such seal."""
    cursor = await connection.execute(
        "SELECT i.origin, s.size, s.root, s.signature FROM ledger.seals s, ledger.identity i"
        " WHERE %(size)s::bigint IS NULL OR s.size = %(size)s ORDER BY s.size DESC LIMIT 1",
        {"size": size},
    )
    row = await cursor.fetchone()
    return Checkpoint(*row) if row else None


async def inclusion(connection: AsyncConnection[Any], index: int, size: int) -> list[bytes]:
    """The hashes that prove leaf `index` to be in the tree of `size` (RFC 6962, 2.1.1)."""
    return await _hashes(connection, tree.inclusion(index, size))


async def consistency(connection: AsyncConnection[Any], earlier: int, size: int) -> list[bytes]:
    """The hashes that prove the tree of `size` to continue that of `earlier` (2.1.2)."""
    return await _hashes(connection, tree.consistency(earlier, size))


async def root(connection: AsyncConnection[Any], size: int) -> bytes:
    """The root of the tree of `size`, from what is kept."""
    edge = tree.cover(0, size)
    known = await roots(connection, edge)
    return tree.joined(known[part] for part in edge)


async def leaf(connection: AsyncConnection[Any], index: int) -> bytes:
    """The hash that was sealed for a leaf."""
    part = Subtree(0, index)
    return (await roots(connection, [part]))[part]


async def _hashes(
    connection: AsyncConnection[Any], siblings: Sequence[tree.Sibling]
) -> list[bytes]:
    known = await roots(connection, tree.parts_of(siblings))
    return [tree.joined(known[part] for part in sibling) for sibling in siblings]


async def roots(
    connection: AsyncConnection[Any], parts: Iterable[Subtree]
) -> Mapping[Subtree, bytes]:
    """The roots of complete subtrees: each from at most 128 hashes that are kept."""
    wanted = list(parts)
    kept = await _kept(connection, wanted)
    made = {}
    for part in wanted:
        level, spread = divmod(part.height, KEPT)
        first = part.number << spread
        growing = tree.Growing()
        try:
            growing.extend([kept[level, n] for n in range(first, first + (1 << spread))])
        except KeyError as missing:
            raise Incomplete(f"a hash of level {level} is missing: {missing}") from None
        made[part] = growing.root
    return made


async def _kept(
    connection: AsyncConnection[Any], parts: Sequence[Subtree]
) -> dict[tuple[int, int], bytes]:
    """Hashes by level (of `KEPT` heights each) and number; leaves are at level 0."""
    levels, firsts, lasts = [], [], []
    for part in parts:
        level, spread = divmod(part.height, KEPT)
        levels.append(level)
        firsts.append(part.number << spread)
        lasts.append((part.number + 1) << spread)
    kept: dict[tuple[int, int], bytes] = {}
    async with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
        await cursor.execute(
            "SELECT s.level, s.number, s.root"
            " FROM unnest(%s::int[], %s::bigint[], %s::bigint[]) AS w (level, first, last)"
            " JOIN ledger.subtrees s ON s.level = w.level"
            " AND s.number >= w.first AND s.number < w.last"
            " UNION ALL SELECT 0, greatest(w.first, s.since), substr(s.leaves,"
            " (greatest(w.first - s.since, 0) * 32 + 1)::int,"
            " ((least(w.last, s.size) - greatest(w.first, s.since)) * 32)::int)"
            " FROM unnest(%s::int[], %s::bigint[], %s::bigint[]) AS w (level, first, last)"
            " CROSS JOIN LATERAL (SELECT * FROM ledger.seals s WHERE s.size > w.first"
            "  AND s.since < w.last AND w.level = 0 ORDER BY s.size LIMIT 256) s",
            [levels, firsts, lasts] * 2,
        )
        for level, number, hashes in await cursor.fetchall():
            for n in range(0, len(hashes), HASH):
                kept[level, number + n // HASH] = hashes[n : n + HASH]
    return kept
