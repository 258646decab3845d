"""The audit trail of all time, straight from the log and the notes beside it, one by one.

It reads past row-level security, as the login role: exports are made by operators, on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from heapq import merge
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from application.compliance.trail import REFUSED, Entry
from domain.kernel import EVENTS

CHUNK = 2000
"""Rows held at a time."""

_EVENTS = r"""
SELECT e.position AS number, e.recorded_at AS at, e.tenant, s.actor, e.topic AS action,
       e.stream_id::text AS resource, host(o.address) AS address, s.correlation_id AS request_id,
       e.version, s.causation_id AS caused_by
FROM log.events e
CROSS JOIN LATERAL json_to_record(regexp_replace(
        convert_from(e.state, 'UTF8'), '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::json)
    AS s (actor text, correlation_id text, causation_id text)
LEFT JOIN audit.origins o
    ON o.tenant = e.tenant AND o.actor = s.actor AND o.request_id = s.correlation_id
WHERE (%(tenant)s::text IS NULL OR e.tenant = %(tenant)s)
  AND (%(since)s::timestamptz IS NULL OR e.recorded_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR e.recorded_at < %(until)s)
ORDER BY e.position
"""

_REFUSALS = """
SELECT r.id AS number, r.at, r.tenant, r.actor, r.endpoint AS resource,
       'endpoint' AS resource_kind, host(r.address) AS address, r.request_id, r.method, r.status,
       r.reason
FROM audit.refusals r
WHERE (%(tenant)s::text IS NULL OR r.tenant = %(tenant)s)
  AND (%(since)s::timestamptz IS NULL OR r.at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR r.at < %(until)s)
ORDER BY r.at, r.id
"""


def entries(
    url: str,
    tenant: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Entry]:
    """Events and refusals of one tenant (None: of all, and of nobody) in the order of time."""
    wanted = {"tenant": tenant, "since": since, "until": until}
    with ExitStack() as stack:
        log = stack.enter_context(psycopg.connect(url, application_name="tidings-export"))
        notes = stack.enter_context(psycopg.connect(url, application_name="tidings-export"))
        yield from merge(_events(log, wanted), _refusals(notes, wanted), key=lambda each: each.at)


def _events(connection: Connection[Any], wanted: dict[str, Any]) -> Iterator[Entry]:
    with connection.cursor(name="events", row_factory=dict_row) as cursor:
        cursor.itersize = CHUNK
        cursor.execute(_EVENTS.encode(), wanted)
        for row in cursor:
            kind = EVENTS.get(row["action"])
            known = kind.aggregate.TOPIC if kind else row["action"].rpartition(".")[0]
            yield Entry(**row, resource_kind=known)


def _refusals(connection: Connection[Any], wanted: dict[str, Any]) -> Iterator[Entry]:
    with connection.cursor(name="refusals", row_factory=dict_row) as cursor:
        cursor.itersize = CHUNK
        cursor.execute(_REFUSALS.encode(), wanted)
        for row in cursor:
            yield Entry(**row, action=REFUSED[row["status"]])
