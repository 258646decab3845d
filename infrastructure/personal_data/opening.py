"""Opening stored events: the personal data of everybody whose key there is, put back in place.

Whoever reads rows of the log opens them before they are decoded. Rows without personal data, and
batches without such rows, pass as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from psycopg import AsyncConnection, Connection
from psycopg.rows import tuple_row

from infrastructure.event_log.codec import StoredEvent
from infrastructure.personal_data import keyring
from infrastructure.personal_data.keyring import LOOK
from infrastructure.personal_data.sealing import SEALED, Altered, PersonKey, Place, SealedState

log = structlog.get_logger()

_EPOCH = datetime.fromtimestamp(0, UTC)


async def opened(
    connection: AsyncConnection[Any], events: Sequence[StoredEvent]
) -> Sequence[StoredEvent]:
    """The same rows, ready to be decoded; one query at most, when keys are not at hand.

    Raises `KeyUnusable`. Personal data that was altered stays sealed: its event is unreadable.
    """
    sealed = _sealed(events)
    if not sealed:
        return events
    ring, wanted = keyring.current(), _ids(sealed.values())
    keys, missing = ring.held(wanted)
    if missing is not None:
        began = monotonic()
        cursor = connection.cursor(row_factory=tuple_row, binary=True)
        await cursor.execute(LOOK, [missing])
        fetched = ring.looked(missing, await cursor.fetchall(), began)
        keys = {id: key for id, key in keys.items() if not ring.erased(id)} | fetched
    return _put_back(events, sealed, keys)


async def opened_states(
    connection: AsyncConnection[Any], rows: list[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """The same for rows of topic, stream, version, tenant and state."""
    if not any(row[4].startswith(SEALED) for row in rows):
        return rows
    events = [
        StoredEvent(0, stream_id, version, tenant, topic, state, _EPOCH)
        for topic, stream_id, version, tenant, state in rows
    ]
    return [
        (*row[:4], each.state)
        for row, each in zip(rows, await opened(connection, events), strict=True)
    ]


def opened_sync(
    connection: Connection[Any], events: Sequence[StoredEvent], *, mask: str | None = None
) -> Sequence[StoredEvent]:
    """The same for a connection that waits; with `mask` in place of the texts there are."""
    sealed = _sealed(events)
    if not sealed:
        return events
    ring, wanted = keyring.current(), _ids(sealed.values())
    keys, missing = ring.held(wanted)
    if missing is not None:
        began = monotonic()
        cursor = connection.cursor(row_factory=tuple_row, binary=True)
        cursor.execute(LOOK, [missing])
        fetched = ring.looked(missing, cursor.fetchall(), began)
        keys = {id: key for id, key in keys.items() if not ring.erased(id)} | fetched
    return _put_back(events, sealed, keys, mask)


def place_of(stored: StoredEvent) -> Place:
    """What the personal data of a row is bound to."""
    return Place(stored.topic, stored.stream_id, stored.version, stored.tenant)


def _sealed(events: Sequence[StoredEvent]) -> dict[int, SealedState]:
    sealed = {}
    for n, each in enumerate(events):
        if each.state.startswith(SEALED):
            try:
                sealed[n] = SealedState(place_of(each), each.state)
            except Altered as error:
                _left_sealed(error)
    return sealed


def _ids(states: Iterable[SealedState]) -> set[UUID]:
    return {id for state in states for id, _, _ in state.sealed}


def _put_back(
    events: Sequence[StoredEvent],
    sealed: dict[int, SealedState],
    keys: dict[UUID, PersonKey],
    mask: str | None = None,
) -> Sequence[StoredEvent]:
    rows = list(events)
    for n, state in sealed.items():
        try:
            clear = state.opened(keys) if mask is None else state.masked(keys, mask)
        except Altered as error:
            _left_sealed(error)
        else:
            rows[n] = rows[n]._replace(state=clear)
    return rows


def _left_sealed(error: Altered) -> None:
    log.error("personal_data.altered", where=str(error))
