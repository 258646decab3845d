"""A rebuild that is cancelled or killed leaves everything as it was."""

import asyncio
import contextlib
import os
import signal
import time

import psycopg
import pytest

from infrastructure.read_models import shard, workers
from infrastructure.read_models.rebuild import (
    RebuildCancelled,
    RebuildInterrupted,
    rebuild,
)
from tests.infrastructure.read_side import (
    administering,
    builds,
    caught_up,
    enrolled,
    everything,
    opened,
    program,
    projecting,
    rebuilt,
    until,
    write,
)
from tests.rooms import Accounts, SlowAccounts


def untouched(admin: psycopg.Connection, before: tuple[bytes, bytes]) -> None:
    """Neither the tables in use nor anything else tells of a rebuild that was given up."""
    assert everything(admin) == before
    assert builds(admin) == []
    assert admin.execute("SELECT count(*) FROM read.builds WHERE error IS NULL").fetchone() == (0,)


@pytest.mark.parametrize(("how", "processes"), [("event", False), ("event", True), ("task", True)])
def test_a_cancelled_rebuild_leaves_nothing(database_url, monkeypatch, how, processes):

    async def give_up() -> None:
        cancel = asyncio.Event()
        begun = asyncio.Event()
        work = asyncio.create_task(
            rebuild(
                database_url,
                SlowAccounts(),
                cancel=cancel,
                on_progress=lambda now: begun.set() if now.phase == "folding" else None,
            )
        )
        await asyncio.wait_for(begun.wait(), 10)
        await asyncio.sleep(0.3)
        if how == "event":
            cancel.set()
            with pytest.raises(RebuildCancelled):
                await work
        else:
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

    asyncio.run(rebuilt_live(database_url))
    with administering(database_url) as admin:
        before = everything(admin)
        with monkeypatch.context() as given_up:
            given_up.setattr(workers, "WORTH_A_PROCESS", 0 if processes else 10**9)
            asyncio.run(give_up())
        untouched(admin, before)
        asyncio.run(rebuilt(database_url))
        assert everything(admin) == before


async def rebuilt_live(url: str, accounts: int = 1500) -> None:
    """Both read models live, over a history that takes `SlowAccounts` seconds."""
    await enrolled(url)
    async with projecting(url):
        write(url, opened(accounts))
        await caught_up(url)


def test_a_rebuild_can_be_cancelled_while_it_waits_for_a_long_query(database_url):
    async def give_up() -> None:
        cancel, waiting = asyncio.Event(), asyncio.Event()
        work = asyncio.create_task(
            rebuild(
                database_url,
                Accounts(),
                cancel=cancel,
                on_progress=lambda now: waiting.set() if now.phase == "switching" else None,
            )
        )
        await asyncio.wait_for(waiting.wait(), 10)
        await asyncio.sleep(0.15)
        cancel.set()
        with pytest.raises(RebuildCancelled):
            await work

    asyncio.run(rebuilt_live(database_url, 10))
    with administering(database_url) as admin:
        before = everything(admin)
        with administering(database_url) as slow, slow.transaction():
            slow.execute("SELECT count(*) FROM read.accounts")
            asyncio.run(give_up())
            untouched(admin, before)


@pytest.mark.parametrize("who", ["the next rebuild", "a projector"])
def test_what_a_killed_rebuild_leaves_is_swept_up(database_url, who):
    async def project() -> None:
        async with projecting(database_url):
            await until(database_url, lambda now: now["accounts"].build is None)

    asyncio.run(rebuilt_live(database_url))
    with administering(database_url) as admin:
        before = everything(admin)
        with program("rebuild", database_url) as process:
            process.stdout.readline()
            time.sleep(0.3)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert len(builds(admin)) == 1
        assert everything(admin) == before
        _wait_until_gone(admin)
        asyncio.run(project() if who == "a projector" else rebuilt(database_url))
        untouched(admin, before)


def _wait_until_gone(admin: psycopg.Connection) -> None:
    """The workers of a rebuild end with it."""
    end = time.monotonic() + 5
    while admin.execute(
        "SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name LIKE 'tidings-rebuild%'"
    ).fetchall():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_rebuild_whose_worker_is_killed_fails_and_changes_nothing(database_url, monkeypatch):
    monkeypatch.setattr(workers, "WORTH_A_PROCESS", 0)

    async def kill() -> None:
        work = asyncio.create_task(rebuild(database_url, SlowAccounts()))
        with administering(database_url) as admin:
            while not admin.execute(
                "SELECT FROM pg_stat_activity WHERE application_name = 'tidings-rebuild-write'"
                " AND datname = current_database()"
            ).fetchall():
                await asyncio.sleep(0.02)
        for child in _children():
            os.kill(child, signal.SIGKILL)
            break
        with pytest.raises(RebuildInterrupted, match="ended without a word"):
            await work

    asyncio.run(rebuilt_live(database_url))
    with administering(database_url) as admin:
        before = everything(admin)
        asyncio.run(kill())
        untouched(admin, before)


def _children() -> list[int]:
    """Processes that run the module of the workers and were started by this one."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit():
                with (
                    open(f"/proc/{entry}/cmdline", "rb") as command,
                    open(f"/proc/{entry}/stat") as stat,
                ):
                    parent = int(stat.read().rpartition(")")[2].split()[1])
                    if parent == os.getpid() and shard.__name__.encode() in command.read():
                        found.append(int(entry))
    return found
