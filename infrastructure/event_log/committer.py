"""Group commit: one writer per process appends whatever queued while the last commit ran.

There is no timer: a lone command is committed at once, and under load the batches grow by
themselves. Each command is answered on its own, whatever happens to its neighbours.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import structlog
from eventsourcing.persistence import IntegrityError
from psycopg import AsyncConnection

from application.kernel import Appended, Decision
from domain.kernel import Invalid, Unavailable
from infrastructure import database, metrics
from infrastructure.event_log import codec
from infrastructure.personal_data.sealing import Keys

log = structlog.get_logger()

APPEND = (
    "SELECT command, outcome, at, earlier FROM log.append(%b::uuid[], %b::bigint[], %b::text[],"
    " %b::bytea[], %b::int[], %b::text[], %b::text[], %b::bytea[], %b::bytea[], %b::bytea[])"
)


LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,  # a server that is no longer the primary
    TimeoutError,
    OSError,
)
"""After these another connection is tried, with the same batch."""


class Row(NamedTuple):
    stream_id: UUID
    version: int
    topic: str
    state: bytes


@dataclass(slots=True)
class Waiting:
    """A decision in the queue, already encoded so that a bad one fails before it gets here.

    `until` is the instant (of the event loop's clock) after which it is no longer begun.
    """

    decision: Decision
    rows: Sequence[Row]
    answered: asyncio.Future[Appended]
    until: float


class Committer:
    """The one writer of a process. `submit` from its event loop only.

    `capacity` bounds the queue (commands), `batch` one commit; beyond the capacity, and when
    the database has not answered for `patience` seconds, commands are refused `Unavailable`.
    None waits for ever, whatever happens to the database, the writer or its event loop.
    """

    def __init__(
        self, url: str, *, capacity: int = 10_000, batch: int = 256, patience: float = 10.0
    ) -> None:
        self.url, self.capacity, self.batch, self.patience = url, capacity, batch, patience
        self.queues: OrderedDict[str, deque[Waiting]] = OrderedDict()
        self.queued = 0
        self.wake = asyncio.Event()
        self.closing = False
        self.connection: AsyncConnection[Any] | None = None
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.connection = await database.connect(self.url, "append")
        self.task = asyncio.create_task(self._run(), name="group-commit")

    async def close(self) -> None:
        """Commit what is queued, for `patience` seconds at most; then let go of the connection."""
        self.closing = True
        self.wake.set()
        if self.task:
            await self.task
        await self._disconnect()

    def submit(self, decision: Decision, keys: Keys | None = None) -> asyncio.Future[Appended]:
        """Queue a decision. The future answers when its commit is durable. `keys` are those of the
        persons whose data its events hold.

        It raises the library's `IntegrityError` when another command took one of the versions,
        `Invalid` when the idempotency key stands for another request, and `Unavailable`.
        """
        if self.closing or self.task is None or self.task.done():
            raise Unavailable("The service is shutting down.", code="shutting_down")
        if self.queued >= self.capacity:
            raise Unavailable("Too many commands are waiting for the log.", code="overloaded")
        rows = [
            Row(e.originator_id, e.originator_version, e.TOPIC, codec.encode(e, keys))
            for e in decision.events
        ]
        loop = asyncio.get_running_loop()
        waiting = Waiting(decision, rows, loop.create_future(), loop.time() + self.patience)
        self.queues.setdefault(decision.tenant, deque()).append(waiting)
        self.queued += 1
        self.wake.set()
        return waiting.answered

    async def _run(self) -> None:
        try:
            while not (self.closing and self.queued == 0):
                if self.queued == 0:
                    self.wake.clear()
                    await self.wake.wait()
                    continue
                self._give_up_on_the_late()
                if batch := self._take():
                    await self._commit(batch)
        finally:
            # Also when the event loop ends under it: nobody is left waiting for an answer.
            for queue in self.queues.values():
                for waiting in queue:
                    _refuse(waiting, _not_begun())
            self.queues.clear()
            self.queued = 0

    def _give_up_on_the_late(self) -> None:
        """Refuse what has waited too long behind a database that does not answer."""
        now = asyncio.get_running_loop().time()
        for tenant, queue in list(self.queues.items()):
            while queue and queue[0].until < now:
                _refuse(queue.popleft(), _not_begun())
                self.queued -= 1
            if not queue:
                del self.queues[tenant]

    def _take(self) -> list[Waiting]:
        """The next batch: one command of each tenant in turn, so that none starves another.

        What clashes with the batch itself (a version or key twice) waits for the next one,
        where the database can see its rival.
        """
        batch: list[Waiting] = []
        claimed: set[Any] = set()
        held: list[Waiting] = []
        while self.queues and len(batch) + len(held) < self.batch:
            tenant, queue = self.queues.popitem(last=False)
            waiting = queue.popleft()
            if queue:
                self.queues[tenant] = queue
            decision = waiting.decision
            claims: set[Any] = {(row.stream_id, row.version) for row in waiting.rows}
            if decision.key:
                claims.add((tenant, decision.key))
            if claimed.isdisjoint(claims):
                claimed |= claims
                batch.append(waiting)
            else:
                held.append(waiting)
        for waiting in reversed(held):
            self.queues.setdefault(waiting.decision.tenant, deque()).appendleft(waiting)
        self.queued -= len(batch)
        return batch

    async def _commit(self, batch: list[Waiting]) -> None:
        try:
            outcomes = await self._append_surely(batch)
        except Unavailable as refusal:
            for waiting in batch:
                _refuse(waiting, refusal)
        except psycopg.Error as error:
            # The database will not take it as it is: find the culprit, spare the rest.
            if len(batch) == 1:
                log.error("append.refused", error=type(error).__name__, sqlstate=error.sqlstate)
                _refuse(batch[0], error)
                return
            for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
                await self._commit(half)
        except BaseException as error:
            for waiting in batch:
                _refuse(waiting, _outcome_unknown())
            if not isinstance(error, Exception):
                raise
            log.error("append.failed", exc_info=error)
            await self._disconnect()
        else:
            for waiting, outcome in zip(batch, outcomes, strict=True):
                _answer(waiting, outcome)

    async def _append_surely(self, batch: list[Waiting]) -> list[tuple[str, int, bytes | None]]:
        """Append, and when the connection is lost meanwhile, append the same again.

        The log recognises rows that it already holds by their content, so that a commit whose
        answer got lost is found out, and never doubled.
        """
        deadline = asyncio.get_running_loop().time() + self.patience
        pause = 0.05
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    if self.connection is None:
                        self.connection = await database.connect(self.url, "append")
                    return await self._append(batch)
            except LOST as e:
                await self._disconnect()
                log.warning("append.connection_lost", error=type(e).__name__)
                if asyncio.get_running_loop().time() + pause >= deadline:
                    raise _outcome_unknown() from e
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    async def _append(self, batch: list[Waiting]) -> list[tuple[str, int, bytes | None]]:
        assert self.connection is not None
        rows = [row for waiting in batch for row in waiting.rows]
        decisions = [waiting.decision for waiting in batch]
        with metrics.append_seconds.time():
            cursor = self.connection.cursor(binary=True)
            await cursor.execute(
                APPEND,
                (
                    [row.stream_id for row in rows],
                    [row.version for row in rows],
                    [row.topic for row in rows],
                    [row.state for row in rows],
                    [n for n, waiting in enumerate(batch) for _ in waiting.rows],
                    [d.tenant for d in decisions],
                    [d.caller for d in decisions],
                    [d.key for d in decisions],
                    [d.request for d in decisions],
                    [d.answer for d in decisions],
                ),
                prepare=True,
            )
            outcomes: dict[int, tuple[str, int, bytes | None]] = {
                command: (outcome, at, earlier) async for command, outcome, at, earlier in cursor
            }
        metrics.append_batch_size.observe(len(batch))
        return [outcomes[n] for n in range(len(batch))]

    async def _disconnect(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()


def _not_begun() -> Unavailable:
    return Unavailable("The event log does not answer.", code="log_unavailable", retry_after=2)


def _outcome_unknown() -> Unavailable:
    return Unavailable(
        "The event log did not answer; the command may have been carried out."
        " Repeat it with the same Idempotency-Key.",
        code="outcome_unknown",
        retry_after=2,
    )


def _refuse(waiting: Waiting, error: BaseException) -> None:
    if not waiting.answered.done():
        waiting.answered.set_exception(error)


def _answer(waiting: Waiting, outcome: tuple[str, int, bytes | None]) -> None:
    if waiting.answered.done():  # the caller has gone away; the commit stands
        return
    match outcome:
        case ("stored", position, _):
            waiting.answered.set_result(Appended(position, None))
        case ("replayed", position, answer):
            waiting.answered.set_result(Appended(position, answer))
        case ("mismatched", _, _):
            waiting.answered.set_exception(key_mismatch())
        case _:
            waiting.answered.set_exception(IntegrityError("The stream has moved on."))


def key_mismatch() -> Invalid:
    """The same Idempotency-Key with another body."""
    return Invalid(
        "This Idempotency-Key was used with another request.",
        field="Idempotency-Key",
        code="idempotency_key_reused",
    )
