"""Rebuilding a read model because somebody asked for it: as a job, beside the live tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import structlog

from application.kernel import Job
from infrastructure.read_models.rebuild import RebuildFailed, RebuildRefused, rebuild
from projections.kernel import ReadModel

log = structlog.get_logger()

REBUILD = "audit.rebuild_projection"
"""The job's name."""


def rebuild_job(name: str, id: str) -> Job:
    """The job that builds the read model `name` anew; one of each at a time."""
    return Job(REBUILD, {"name": name, "id": id}, lock=f"rebuild:{name}")


def rebuilding(url: str, models: Iterable[ReadModel]) -> Callable[..., Awaitable[Iterable[Job]]]:
    """What carries out that job. A failure is told by the read model's status and not repeated:
    the same events would fail again, and the tables in use stay as they are."""
    known = {model.name: model for model in models}

    async def carry_out(name: str, id: str) -> Iterable[Job]:
        try:
            await rebuild(url, known[name])
        except (RebuildRefused, RebuildFailed) as error:
            log.warning("rebuild.not_done", model=name, job=id, reason=str(error))
        return ()

    return carry_out
