"""The workers of a rebuild: processes for a long history, threads for a short one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import asdict

from infrastructure import programs
from infrastructure.read_models import shard
from infrastructure.read_models.shard import Stopped, Task, Unfoldable
from infrastructure.read_models.watch import NotShareable

WORTH_A_PROCESS = 20_000
"""Events from which on workers are processes: one takes about half a second to start."""


class WorkerLost(Exception):
    """A worker was killed (or ran out of memory), or lost its connection."""


async def load(tasks: list[Task], report: Callable[[int, int], None]) -> None:
    """Carry out all `tasks`; `report` is told the shard and the position it has come to.

    Raises `NotShareable`, `Unfoldable` or `WorkerLost`; then, or when cancelled, every worker has
    ended before this returns.
    """
    one = _in_process if tasks[0].upto >= WORTH_A_PROCESS else _in_thread
    running = [asyncio.create_task(one(task, report)) for task in tasks]
    try:
        uses = await asyncio.gather(*running)
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    _compare(uses)


def _compare(uses: list[dict[str, str]]) -> None:
    agreed: dict[str, str] = {}
    for each in uses:
        for table, use in each.items():
            if agreed.setdefault(table, use) != use:
                raise NotShareable(table)


async def _in_thread(task: Task, report: Callable[[int, int], None]) -> dict[str, str]:
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def at(position: int) -> None:
        if stop.is_set():
            raise Stopped
        loop.call_soon_threadsafe(report, task.shard, position)

    work = asyncio.ensure_future(asyncio.to_thread(shard.load, task, at))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(work, return_exceptions=True)
        raise


async def _in_process(task: Task, report: Callable[[int, int], None]) -> dict[str, str]:
    process = await asyncio.create_subprocess_exec(
        *programs.command(shard.__name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=programs.environment(),
    )
    assert process.stdin and process.stdout
    try:
        # By the pipe, not as an argument: the URL may hold a password.
        process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
        await process.stdin.drain()
        async for line in process.stdout:
            match json.loads(line):
                case {"at": position}:
                    report(task.shard, position)
                case {"uses": uses}:
                    return dict(uses)
                case {"not_shareable": table}:
                    raise NotShareable(table)
                case {"unfoldable": account}:
                    raise Unfoldable(account)
                case {"lost": why}:
                    raise WorkerLost(f"worker {task.shard + 1} of {task.shards}: {why}")
        raise WorkerLost(f"worker {task.shard + 1} of {task.shards} ended without a word")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.stdin.close()
        await process.communicate()  # until it has ended and its other pipes are closed
