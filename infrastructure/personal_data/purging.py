"""Where copies of personal data may be beside the log and the read models, and how they go.

A room that keeps personal data elsewhere (a file, an outbox, a cache) adds its purger to
`PURGERS`. Each is called twice, before the erasure comes into the log and after it, and again
when an erasure is taken up after a crash: twice has to be once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from redis.asyncio import Redis

SURE = 8
"""Characters from which on a text is looked for within others; a shorter one only as a whole."""

LEFT = b'{"success":true,"erased":true}'
"""What an Idempotency-Key is answered from now on: the command is still not repeated."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What leads to the copies of one person's data.

    `streams`, `positions` and `requests` are where their data is in the log, and what brought it
    there; `values` are the texts themselves and `subject` is who they are, both missing when an
    erasure is taken up again.
    """

    tenant: str
    person: UUID
    streams: Sequence[UUID]
    positions: Sequence[int]
    requests: Sequence[str]
    values: Sequence[str] = field(default=(), repr=False)
    subject: str | None = field(default=None, repr=False)

    @property
    def needles(self) -> list[bytes]:
        """The texts as they are found in JSON."""
        encoded = (msgspec.json.encode(value) for value in self.values)
        return [text[1:-1] if len(text) >= SURE + 2 else text for text in encoded]


@dataclass(frozen=True, slots=True)
class Places:
    """What purgers may reach: a connection within a transaction, files, and Redis."""

    connection: AsyncConnection[Any]
    data_dir: Path
    redis: Redis


Purger = Callable[[Places, Traces], Awaitable[int]]
"""Removes what it knows of; returns how many copies there were."""


def texts(values: object) -> Iterator[str]:
    """Every text in the values of personal fields."""
    match values:
        case str():
            if values:
                yield values
        case Mapping():
            for value in values.values():
                yield from texts(value)
        case list():
            for value in values:
                yield from texts(value)


async def answers(places: Places, traces: Traces) -> int:
    """What was answered to commands about the same aggregates, within the same requests, or with
    the person's texts in it."""
    requests = [b'"correlation_id":' + msgspec.json.encode(each) for each in traces.requests]
    cursor = await places.connection.execute(
        "UPDATE log.answers a SET answer ="
        "  substring(a.answer FROM 1 FOR position('\\x0a'::bytea IN a.answer)) || %(left)s"
        " WHERE a.tenant = %(tenant)s AND position(%(left)s IN a.answer) = 0 AND ("
        "  EXISTS (SELECT FROM log.events e WHERE e.position = a.position"
        "    AND (e.stream_id = ANY (%(streams)s) OR EXISTS (SELECT FROM"
        "      unnest(%(requests)s::bytea[]) r WHERE position(r IN e.state) > 0)))"
        "  OR EXISTS (SELECT FROM unnest(%(needles)s::bytea[]) n"
        "    WHERE position(n IN a.answer) > 0))",
        {
            "tenant": traces.tenant,
            "left": LEFT,
            "streams": list(traces.streams),
            "requests": requests,
            "needles": traces.needles,
        },
    )
    return cursor.rowcount


async def snapshots(places: Places, traces: Traces) -> int:
    """States of the person's aggregates. None that remembers persons is kept, but an earlier
    release may have seen it differently."""
    cursor = await places.connection.execute(
        "DELETE FROM log.snapshots WHERE tenant = %s AND stream_id = ANY (%s)",
        (traces.tenant, list(traces.streams)),
    )
    return cursor.rowcount


async def webhook_answers(places: Places, traces: Traces) -> int:
    """What receivers answered to messages about the person: they may have sent them back. The
    messages themselves are made from the log whenever they are sent."""
    cursor = await places.connection.execute(
        "UPDATE webhooks.attempts a SET answer = NULL FROM webhooks.deliveries d"
        " WHERE d.id = a.delivery_id AND a.answer IS NOT NULL AND d.tenant = %s"
        " AND d.position = ANY (%s)",
        (traces.tenant, list(traces.positions)),
    )
    return cursor.rowcount


async def jobs(places: Places, traces: Traces) -> int:
    """Work that waits and holds the person's texts; by the rules arguments are ids."""
    cursor = await places.connection.execute(
        "DELETE FROM jobs.procrastinate_jobs WHERE status IN ('todo', 'failed')"
        " AND args ->> 'tenant' = %s AND EXISTS (SELECT FROM unnest(%s::bytea[]) n"
        "   WHERE position(n IN convert_to(args::text, 'UTF8')) > 0)",
        (traces.tenant, traces.needles),
    )
    return cursor.rowcount


async def timers(places: Places, traces: Traces) -> int:
    """The same for work of a later hour."""
    cursor = await places.connection.execute(
        "DELETE FROM work.timers WHERE arguments ->> 'tenant' = %s"
        " AND EXISTS (SELECT FROM unnest(%s::bytea[]) n"
        "   WHERE position(n IN convert_to(arguments::text, 'UTF8')) > 0)",
        (traces.tenant, traces.needles),
    )
    return cursor.rowcount


NOTES = ("refusals", "origins")
"""Tables of the schema `audit`: who was refused what, and from where changes were made."""


async def noted(connection: AsyncConnection[Any], tenant: str, subject: str) -> bool:
    """Whether there are notes of a user of this name; within a transaction."""
    await _as_tenant(connection, tenant)
    looks = " UNION ALL ".join(
        f"SELECT FROM audit.{table} WHERE tenant = %(tenant)s AND actor = %(actor)s"
        for table in NOTES
    )
    cursor = await connection.execute(
        f"SELECT EXISTS ({looks})".encode(), {"tenant": tenant, "actor": subject}
    )
    return bool((await cursor.fetchone() or (False,))[0])


async def _as_tenant(connection: AsyncConnection[Any], tenant: str) -> None:
    await connection.execute("SELECT set_config('tidings.tenant', %s, true)", [tenant])


async def audit_notes(places: Places, traces: Traces) -> int:
    """From where the person made requests, when they are a user of this very name."""
    if traces.subject is None:
        return 0
    await _as_tenant(places.connection, traces.tenant)
    gone = 0
    for table in NOTES:
        cursor = await places.connection.execute(
            f"DELETE FROM audit.{table} WHERE tenant = %s AND actor = %s".encode(),  # noqa: S608
            (traces.tenant, traces.subject),
        )
        gone += cursor.rowcount
    return gone


PURGERS: Mapping[str, Purger] = {
    "answers": answers,
    "snapshots": snapshots,
    "webhook_answers": webhook_answers,
    "jobs": jobs,
    "timers": timers,
    "audit_notes": audit_notes,
}
"""By the name that receipts count them under."""
