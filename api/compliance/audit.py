"""The audit trail, time travel, read models and the ledger, for those who answer for a tenant."""

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from psycopg import AsyncConnection
from pydantic import Field
from uuid_utils.compat import uuid7

from api.compliance.models import (
    AggregateResponse,
    AuditEntry,
    AuditLogResponse,
    CheckpointResponse,
    ConsistencyResponse,
    HistoryEntry,
    HistoryResponse,
    ProjectionEntry,
    ProjectionsResponse,
    ProofResponse,
    RebuildResponse,
    VerifyResponse,
)
from api.kernel import ADMINS, AtReads, Router
from api.paths import in_path
from api.requests import House, house, number_of
from application.compliance.time_travel import shown
from application.instants import AnyInstant
from domain.identity import Role
from domain.kernel import Invalid, NotFound, utc
from domain.positions import GREATEST
from infrastructure.audit import streams
from infrastructure.jobs import defer
from infrastructure.read_models.registry import status
from infrastructure.read_models.requested import rebuild_job
from projections.compliance.audit import Filter, Place, trail

router = Router(prefix="/api/v1/audit", tags=["Audit"])

PageSize = Annotated[int, Field(ge=1, le=500)]
Number = Annotated[int, Field(ge=1, le=GREATEST)]


@dataclass(frozen=True)
class Auditor:
    """One caller's way to the log itself; everything is asked for their tenant alone."""

    house: House
    tenant: str

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        return self.house.log.pool.connection()


async def _auditor(request: Request) -> Auditor:
    return Auditor(house(request), request.state.caller.tenant)


def _in_path(name: str, read: Callable[[str], Any]) -> Any:
    """A part of the path, as `read` makes it; what is no such thing (None) is not there."""

    def there(text: str) -> Any:
        if (value := read(text)) is None:
            raise NotFound("There is no such thing.")
        return value

    return in_path(name, there)


def _uuid(text: str) -> UUID | None:
    """The id inside `post_0123…`, or of the bare UUID."""
    try:
        return UUID(text.rpartition("_")[2])
    except ValueError:
        return None


AsAuditor = Annotated[Auditor, Depends(_auditor)]
AggregateId = Annotated[UUID, _in_path("id", _uuid)]
Position = Annotated[int, _in_path("position", number_of)]
ProjectionName = Annotated[str, _in_path("name", str)]


@router.get("/log", id="audit.log", roles=ADMINS, limit="300/hour")
async def read_log(
    reads: AtReads,
    actor: str | None = None,
    action: str | None = None,
    resource: str | None = None,
    from_: Annotated[AnyInstant | None, Query(alias="from")] = None,
    to: AnyInstant | None = None,
    cursor: str | None = None,
    limit: PageSize = 50,
) -> AuditLogResponse:
    """Who did what to what, when, from where; the latest first. Refusals are in it too.

    `action` is a name such as `social.post.drafted` or `access.forbidden`, or the beginning of
    one up to a dot; `resource` an aggregate's id, a kind such as `social.post`, or an endpoint's
    id; `to` is exclusive.
    """
    if from_ and to and to < from_:
        raise Invalid("It lies before `from`.", field="to")
    target = None if resource is None else _uuid(resource) or resource
    wanted = Filter(actor, action, target, from_, to)
    operator = reads.caller.role is Role.SUPER_ADMIN
    rows = await reads.all(trail(wanted, limit + 1, _place(cursor), operator=operator))
    more = len(rows) > limit
    return AuditLogResponse(
        entries=[AuditEntry.of(row) for row in rows[:limit]],
        next_cursor=_cursor(rows[limit - 1]) if more else None,
    )


def _cursor(row: dict[str, Any]) -> str:
    place = f"{row['at'].isoformat()}|{row['source']}|{row['number']}"
    return urlsafe_b64encode(place.encode()).decode()


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    with suppress(ValueError, OverflowError):
        at, *numbers = urlsafe_b64decode(cursor).decode().split("|")
        source, number = map(number_of, numbers)
        if source is not None and number is not None:
            return Place(utc(datetime.fromisoformat(at)), source, number)
    raise Invalid("It is not a cursor of this list.", field="cursor")


@router.get("/aggregates/{id}/history", id="audit.history", roles=ADMINS, limit="300/hour")
async def read_history(
    id: AggregateId,
    auditor: AsAuditor,
    after: Annotated[int, Field(ge=0, le=GREATEST)] = 0,
    limit: PageSize = 100,
) -> HistoryResponse:
    """Every event of one aggregate, behind version `after`."""
    async with auditor.connection() as connection:
        found = await streams.events(connection, id, auditor.tenant, after=after, limit=limit + 1)
        if not found and after == 0:
            raise NotFound("There is no such aggregate.")
    return HistoryResponse(
        aggregate_id=id,
        events=[HistoryEntry.of(each) for each in found[:limit]],
        next_after=found[limit - 1].version if len(found) > limit else None,
    )


@router.get("/aggregates/{id}", id="audit.aggregate", roles=ADMINS, limit="300/hour")
async def read_aggregate(
    id: AggregateId,
    auditor: AsAuditor,
    version: Number | None = None,
    at: AnyInstant | None = None,
) -> AggregateResponse:
    """The aggregate as it is, or as it was at a version or an instant."""
    if version is not None and at is not None:
        raise Invalid("Ask for a version or for an instant.", field="at")
    async with auditor.connection() as connection:
        aggregate = await streams.as_it_was(connection, id, auditor.tenant, version=version, at=at)
    state = shown(aggregate)
    return AggregateResponse(
        aggregate_id=id,
        kind=state.pop("kind"),
        version=aggregate.version,
        at=aggregate.modified_on,
        state=state,
    )


@router.get("/projections", id="audit.projections", roles=ADMINS, limit="300/hour")
async def read_projections(auditor: AsAuditor) -> ProjectionsResponse:
    """Position, lag, version and state of every read model."""
    async with auditor.connection() as connection:
        models = await status(connection)
    return ProjectionsResponse(projections=[ProjectionEntry.of(each) for each in models])


@router.post(
    "/projections/{name}/rebuild",
    id="audit.rebuild",
    roles={Role.SUPER_ADMIN},
    limit="30/hour",
)
async def rebuild_projection(name: ProjectionName, auditor: AsAuditor) -> RebuildResponse:
    """Build a read model anew beside its live tables, then switch; queries go on meanwhile."""
    id = str(uuid7())
    async with auditor.connection() as connection, connection.transaction():
        if name not in {model.name for model in await status(connection)}:
            raise NotFound("There is no such projection.")
        await defer(connection, [rebuild_job(name, id)])
    return RebuildResponse(job_id=id, projection=name)


@router.get("/checkpoint", id="audit.checkpoint", roles=ADMINS, limit="300/hour")
async def read_checkpoint(auditor: AsAuditor) -> CheckpointResponse:
    """The signed head of the ledger, to be kept elsewhere."""
    head, keys = await auditor.house.ledger.head()
    return CheckpointResponse(
        origin=head.origin,
        size=head.size,
        root=_base64(head.root),
        checkpoint=head.note(),
        keys=keys.written(),
    )


@router.get("/proof/{position}", id="audit.proof", roles=ADMINS, limit="300/hour")
async def read_proof(
    position: Position, auditor: AsAuditor, size: Number | None = None
) -> ProofResponse:
    """The proof that one event is in the ledger: in its last head, or in that of `size`."""
    found = await auditor.house.ledger.inclusion(auditor.tenant, position, size)
    return ProofResponse(
        position=position,
        size=found.head.size,
        entry=_base64(found.entry),
        leaf_hash=_base64(found.leaf),
        proof=[_base64(each) for each in found.path],
        root=_base64(found.head.root),
        checkpoint=found.head.note(),
    )


@router.get("/consistency", id="audit.consistency", roles=ADMINS, limit="300/hour")
async def read_consistency(
    auditor: AsAuditor,
    earlier: Number,
    size: Number | None = None,
) -> ConsistencyResponse:
    """The proof that a later head continues an earlier one: nothing before it was changed."""
    head, proof = await auditor.house.ledger.consistency(earlier, size)
    return ConsistencyResponse(
        earlier=earlier,
        size=head.size,
        proof=[_base64(each) for each in proof],
        root=_base64(head.root),
        checkpoint=head.note(),
    )


@router.get("/verify", id="audit.verify", roles=ADMINS, limit="30/hour")
async def verify_ledger(auditor: AsAuditor) -> VerifyResponse:
    """Compute the whole ledger again, of all tenants; nothing but positions is told of others."""
    verdict = await auditor.house.ledger.verify()
    return VerifyResponse(
        valid=verdict.valid,
        first_bad_position=verdict.first_bad_position,
        checked=verdict.checked,
        unsealed=verdict.unsealed,
        reason=verdict.reason,
    )


def _base64(value: bytes) -> str:
    return b64encode(value).decode()
