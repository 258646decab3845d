"""A batch of the log, and what it does to read models; the same for live tables and rebuilds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, errors
from psycopg.rows import tuple_row

from infrastructure.event_log.codec import StoredEvent, decoded
from infrastructure.event_log.recent import Recent
from infrastructure.personal_data.opening import opened
from infrastructure.read_models.flush import Prepared, prepared
from projections.kernel import ReadModel, Rows

BYTES = 8 * 1024 * 1024
"""Event states read at once, so that a batch of large events stays a small one in memory."""

_READ = """
SELECT position, stream_id, version, tenant, topic, state, recorded_at
FROM (SELECT *, sum(octet_length(state)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING)
                - octet_length(state) AS before
      FROM log.events WHERE position > %s AND position <= %s ORDER BY position LIMIT %s) e
WHERE before < %s ORDER BY position
"""

POISON = (
    errors.DataError,
    errors.IntegrityError,
    errors.InternalError,
    errors.NotSupportedError,
    errors.ProgramLimitExceeded,
    errors.ProgrammingError,
)
"""Errors of the database that the same events would bring about again and again."""


class Poisoned(Exception):
    """Some event of a batch cannot be folded; the cause tells why."""


async def read(
    connection: AsyncConnection[Any],
    since: int,
    upto: int,
    limit: int,
    recent: Recent | None = None,
) -> Sequence[StoredEvent]:
    """The next events after `since`, not beyond `upto`: at most `limit`, and about `BYTES`. In
    `recent` they are noted as they are stored."""
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(_READ, (since, upto, limit, BYTES), prepare=True)
    stored = [StoredEvent(*row) for row in await cursor.fetchall()]
    if recent is not None:
        recent.note(stored)
    return await opened(connection, stored)


def fold(models: Sequence[ReadModel], events: Sequence[StoredEvent]) -> list[Prepared]:
    """The statements that `events` come down to, each event decoded once. Raises `Poisoned`."""
    pending: dict[ReadModel, Rows] = {}
    interested: dict[str, list[tuple[ReadModel, Rows]]] = {}
    try:
        for stored in events:
            topic = stored.topic
            if (of_topic := interested.get(topic)) is None:
                of_topic = interested[topic] = [
                    (model, pending.setdefault(model, Rows(model.tables)))
                    for model in models
                    if topic in model.interests
                ]
            if of_topic:
                event = decoded(stored)
                for model, rows in of_topic:
                    model.fold(event, rows, stored.position)
        return [statement for rows in pending.values() for statement in prepared(rows)]
    except Exception as error:
        raise Poisoned from error


async def carry_out(connection: AsyncConnection[Any], statements: Sequence[Prepared]) -> None:
    """Within the caller's transaction (and pipeline, if there is one)."""
    for sql, params in statements:
        await connection.execute(sql.encode(), params, prepare=True)
