"""The log behind the interfaces of the `eventsourcing` library.

With `PERSISTENCE_MODULE=infrastructure.event_log.library` an `Application` of the library writes
to and reads from our log, under the same guarantees: positions in the order of commits, no holes,
nothing passed by a reader. Its events are those of one tenant, `TENANT`; it sees everybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventsourcing import postgres
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProcessRecorder,
    StoredEvent,
)

from infrastructure.event_log.committer import APPEND

TENANT = "library"
LOCK = 7361018431
"""The advisory lock of `log.append`."""
ATTEMPTS = 3


class _InOurSchema(postgres.PostgresDatastore):
    """The same pool, with the log's schema; closing is left to whom the pool belongs."""

    def __init__(self, of: postgres.PostgresDatastore) -> None:
        vars(self).update(vars(of) | {"schema": "log"})

    def __del__(self) -> None:
        """Nothing is its own."""


class LogRecorder(postgres.PostgresApplicationRecorder):
    """Reads `log.stored_events`, a view of the log, and writes by `log.append`.

    The schema is made by the migration, never by a recorder.
    """

    def __init__(self, datastore: postgres.PostgresDatastore, **_: Any) -> None:
        super().__init__(_InOurSchema(datastore), events_table_name="stored_events")
        self.sql_create_statements = []
        self.channel_name = "tidings_log"

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        """Append events, all or nothing; returns their positions.

        Raises `IntegrityError` when a version of a stream is taken, as the library wants it also
        for the very same event. After a lost connection it is not: then it is our own.
        """
        versions = {(each.originator_id, each.originator_version) for each in stored_events}
        if len(versions) < len(stored_events):
            raise IntegrityError("a version occurs twice")
        if not stored_events:
            return []
        for attempt in range(ATTEMPTS):
            try:
                return self._append(stored_events, ours=attempt > 0)
            except (InterfaceError, OperationalError):
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _append(self, stored_events: Sequence[StoredEvent], ours: bool) -> Sequence[int]:
        arguments = (
            [each.originator_id for each in stored_events],
            [each.originator_version for each in stored_events],
            [each.topic for each in stored_events],
            [each.state for each in stored_events],
            [0] * len(stored_events),
            [TENANT],
            [None],
            [None],
            [None],
            [None],
        )
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK], prepare=True)
            cursor.execute("SELECT coalesce(max(position), 0) AS head FROM log.events")
            head = (cursor.fetchone() or {})["head"]
            cursor.execute(APPEND.encode(), arguments, binary=True, prepare=True)
            row = cursor.fetchone() or {}
        if row["outcome"] != "stored" or (row["at"] <= head and not ours):
            raise IntegrityError("The stream has moved on.")
        return list(range(row["at"] - len(stored_events) + 1, row["at"] + 1))


class Factory(postgres.PostgresFactory):
    """What the library makes an application's recorders with."""

    application_recorder_class = LogRecorder

    def application_recorder(self) -> ApplicationRecorder:
        return LogRecorder(self.datastore)

    def process_recorder(self) -> ProcessRecorder:
        """There is none: see `infrastructure.follower`."""
        raise NotImplementedError("Followers of the log keep their own positions.")
