"""Jobs: policies turn events into them, a queue in the same database carries them out.

procrastinate is the queue. Jobs for later wait in `work.timers` until their hour. A job whose
worker died is given to another one within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import procrastinate
import psycopg
import structlog
from procrastinate.jobs import Job as Queued
from psycopg import AsyncConnection

from application.kernel import Job, Policy
from domain.kernel import DomainEvent
from infrastructure import database, metrics, notify
from infrastructure.event_log.codec import StoredEvent, decoded
from infrastructure.follower import Follower
from infrastructure.notify import News, heard
from infrastructure.stored_json import stored_json

log = structlog.get_logger()

Work = Callable[..., Awaitable[Iterable[Job]]]
"""What carries out a job: takes its arguments by name, returns the jobs that come of it."""

HEARTBEAT = 2.0
STALLED = 8.0
"""Seconds between signs of life of a worker, and after which it counts as dead."""

LOOK = 1.0
"""Seconds at most between two looks for timers whose hour has come; of those that come before the
next look a notice is given."""

REMIND = 10.0
"""Seconds in which one reminder of the same thing is enough."""
MOST_REMINDERS = 10_000
"""Reminders that are kept in mind."""

RETRY = procrastinate.RetryStrategy(max_attempts=12, exponential_wait=2)

JOBS = "jsonb_to_recordset(%s::jsonb) AS t(due timestamptz, name text, arguments jsonb, lock text)"
LATER = "INSERT INTO work.timers (due, name, arguments, lock) SELECT t.* FROM {source}"
DEFER = (
    "SELECT jobs.procrastinate_defer_jobs_v1(ARRAY(SELECT ROW('default', t.name, 0, t.lock, NULL,"
    " t.arguments, NULL)::jobs.procrastinate_job_to_defer_v1 FROM {source}))"
)

RING = (
    "WITH rung AS (DELETE FROM work.timers WHERE id IN (SELECT id FROM work.timers"
    " WHERE due <= now() ORDER BY due LIMIT 500 FOR UPDATE SKIP LOCKED)"
    " RETURNING name, arguments, lock) "
)


async def defer(connection: AsyncConnection[Any], jobs: Sequence[Job]) -> None:
    """Put jobs in the queue, or among the timers, in the transaction of `connection`."""
    now = datetime.now(UTC)
    at_once = [job for job in jobs if job.at is None or job.at <= now]
    later = [job for job in jobs if job.at is not None and job.at > now]
    if at_once:
        await connection.execute(DEFER.format(source=JOBS), (_rows(at_once),))
    if later:
        await connection.execute(LATER.format(source=JOBS), (_rows(later),))
    if any(job.at < now + timedelta(seconds=LOOK) for job in later if job.at):
        await connection.execute("SELECT pg_notify('tidings_timers', '')")


def _rows(jobs: Sequence[Job]) -> str:
    """Jobs as JSON: one document is quicker to make and to read than an array for each column."""
    return stored_json(
        [
            {"due": job.at, "name": job.name, "arguments": job.arguments, "lock": job.lock}
            for job in jobs
        ]
    )


class Reminders:
    """Which reminders are worth a job. Belongs to one follower."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[int, float]] = {}

    def wanted(self, job: Job, position: int) -> bool:
        """Whether an event at `position` needs this job. One that has been left out was preceded
        by another that was not; an event that comes again, since its batch was not committed,
        gets what it got before."""
        if job.reminder is None:
            return True
        before, at = self._given.get(job.reminder, (position, 0.0))
        if before < position and monotonic() - at < REMIND:
            return False
        if len(self._given) >= MOST_REMINDERS:
            self._given.clear()
        self._given[job.reminder] = position, monotonic()
        return True


def policies(rules: Mapping[type[DomainEvent], Policy]) -> Follower:
    """The follower that turns events into jobs."""
    reminders = Reminders()

    async def handle(connection: AsyncConnection[Any], events: Sequence[StoredEvent]) -> None:
        jobs: list[Job] = []
        for stored in events:
            event = decoded(stored)
            jobs += (
                job for job in rules[type(event)](event) if reminders.wanted(job, stored.position)
            )
        await defer(connection, jobs)

    return Follower("policies", tuple(kind.TOPIC for kind in rules), handle)


async def ring(url: str) -> None:
    """Move timers into the queue when their hour has come; any number of processes may."""
    news = News()
    async with heard(url, notify.TIMERS, news.hear):
        while True:
            try:
                async with await database.connect(url, "timers") as connection:
                    while True:
                        await news.within(await _ring_once(connection))
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("timers.interrupted", error=type(error).__name__)
                await database.rest(1.0)


async def _ring_once(connection: AsyncConnection[Any]) -> float:
    """Defer what is due; seconds until the next timer, at most one."""
    async with connection.transaction():
        await connection.execute(RING + DEFER.format(source="rung AS t"))
        cursor = await connection.execute(
            "SELECT extract(epoch FROM min(due) - clock_timestamp())::float8 FROM work.timers"
        )
        row = await cursor.fetchone()
    seconds = row[0] if row and row[0] is not None else LOOK
    return float(min(max(seconds, 0.005), LOOK))


def queue(url: str, work: Mapping[str, Work]) -> procrastinate.App:
    """The queue with everything that may be in it."""
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(
            conninfo=url,
            min_size=1,
            max_size=8,
            kwargs={
                "options": f"-c search_path=jobs,public -c role={database.ROLE}",
                "application_name": "tidings-jobs",
            },
        )
    )
    for name, carry_out in work.items():
        app.task(name=name, retry=RETRY)(_task(app, name, carry_out))
    return app


def _task(app: procrastinate.App, name: str, carry_out: Work) -> Callable[..., Awaitable[None]]:
    async def task(**arguments: Any) -> None:
        try:
            jobs = list(await carry_out(**arguments))
        except Exception as error:
            metrics.jobs_done.labels(name, "failed").inc()
            log.warning("job.failed", job=name, error=type(error).__name__, reason=str(error)[:200])
            raise
        metrics.jobs_done.labels(name, "done").inc()
        if jobs:
            pool = app.connector.pool  # type: ignore[attr-defined]
            async with pool.connection() as connection, connection.transaction():
                await defer(connection, jobs)

    return task


async def work_off(app: procrastinate.App, *, concurrency: int = 16) -> None:
    """Carry out jobs until cancelled, and take over those of dead workers."""
    async with app.open_async(), asyncio.TaskGroup() as group:
        group.create_task(_rescue(app))
        group.create_task(
            app.run_worker_async(
                concurrency=concurrency,
                install_signal_handlers=False,
                fetch_job_polling_interval=1.0,
                abort_job_polling_interval=5.0,
                shutdown_graceful_timeout=5.0,
                update_heartbeat_interval=HEARTBEAT,
                stalled_worker_timeout=STALLED,
                delete_jobs="successful",
            )
        )


async def _rescue(app: procrastinate.App) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT)
        try:
            stalled: Iterable[Queued] = await app.job_manager.get_stalled_jobs(
                seconds_since_heartbeat=STALLED
            )
            for job in stalled:
                log.warning("job.rescued", job=job.task_name)
                await app.job_manager.retry_job(job)
        except procrastinate.exceptions.ConnectorException as error:
            log.warning("jobs.interrupted", error=type(error).__name__)
