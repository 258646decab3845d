"""What the endpoints of the audit answer."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel

from application.compliance.time_travel import said
from application.compliance.trail import REFUSED
from infrastructure.event_log.codec import StoredEvent
from infrastructure.read_models.registry import ModelStatus
from projections.compliance.audit import KINDS


class AuditEntry(BaseModel):
    """Who did what to what, when, from where. Events have a position, refusals a status."""

    id: str
    at: datetime
    source: Literal["event", "refusal"]
    outcome: Literal["success", "refused"]
    actor: str | None
    action: str
    resource: str
    resource_kind: str
    address: str | None
    request_id: str
    position: int | None = None
    version: int | None = None
    caused_by: str | None = None
    method: str | None = None
    status: int | None = None
    reason: str | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> "AuditEntry":
        event = row["source"] == 1
        return cls(
            id=f"{'evt' if event else 'ref'}_{row['number']}",
            at=row["at"],
            source="event" if event else "refusal",
            outcome="success" if event else "refused",
            actor=row["actor"],
            action=row["action"] or REFUSED[row["status"]],
            resource=row["resource"],
            resource_kind=KINDS[row["action"]] if event else "endpoint",
            address=None if row["address"] is None else str(row["address"]),
            request_id=row["request_id"],
            position=row["number"] if event else None,
            version=row["version"],
            caused_by=row["causation_id"],
            method=row["method"],
            status=row["status"],
            reason=row["reason"],
        )


class AuditLogResponse(BaseModel):
    """One page of the trail, the latest first; `next_cursor` leads to the one before it."""

    success: bool = True
    entries: list[AuditEntry]
    next_cursor: str | None


class HistoryEntry(BaseModel):
    """One event of an aggregate. `data` is what it says, personal data as it is stored."""

    position: int
    version: int
    at: datetime
    action: str
    actor: str
    request_id: str
    caused_by: str | None
    data: dict[str, Any]

    @classmethod
    def of(cls, stored: StoredEvent) -> "HistoryEntry":
        state = orjson.loads(stored.state)
        return cls(
            position=stored.position,
            version=stored.version,
            at=stored.recorded_at,
            action=stored.topic,
            actor=state["actor"],
            request_id=state["correlation_id"],
            caused_by=state["causation_id"],
            data=said(state),
        )


class HistoryResponse(BaseModel):
    """The events of one aggregate in order; `next_after` is given while there are more."""

    success: bool = True
    aggregate_id: UUID
    events: list[HistoryEntry]
    next_after: int | None


class AggregateResponse(BaseModel):
    """An aggregate as it was after `version` of its events."""

    success: bool = True
    aggregate_id: UUID
    kind: str
    version: int
    at: datetime
    state: dict[str, Any]


class ProjectionEntry(BaseModel):
    """Where a read model stands; `build` tells how far a rebuild beside it is."""

    name: str
    version: int
    position: int
    state: str
    lag: int
    lag_seconds: float
    error: dict[str, Any] | None
    build: dict[str, Any] | None
    updated_at: datetime

    @classmethod
    def of(cls, model: ModelStatus) -> "ProjectionEntry":
        build = model.build
        shown_build = build and {name: getattr(build, name) for name in build.__slots__}
        values = {name: getattr(model, name) for name in model.__slots__ if name != "build"}
        return cls(**values, build=shown_build)


class ProjectionsResponse(BaseModel):
    """Every read model there is."""

    success: bool = True
    projections: list[ProjectionEntry]


class RebuildResponse(BaseModel):
    """The job that will do it. How far it is, `GET /audit/projections` tells under `build`."""

    success: bool = True
    job_id: str
    projection: str
    status: Literal["queued"] = "queued"


class CheckpointResponse(BaseModel):
    """A signed head of the tree. `checkpoint` is the text to keep elsewhere."""

    success: bool = True
    origin: str
    size: int
    root: str
    checkpoint: str
    keys: list[str]


class ProofResponse(BaseModel):
    """The proof that `entry` is leaf `position - 1` of the tree of `size` (RFC 6962, 2.1.1).

    `leaf_hash` is SHA-256 of a zero byte and `entry`; hashes and bytes are in base64.
    """

    success: bool = True
    position: int
    size: int
    entry: str
    leaf_hash: str
    proof: list[str]
    root: str
    checkpoint: str


class ConsistencyResponse(BaseModel):
    """The proof that the tree of `size` continues that of `earlier` (RFC 6962, 2.1.2)."""

    success: bool = True
    earlier: int
    size: int
    proof: list[str]
    root: str
    checkpoint: str


class VerifyResponse(BaseModel):
    """Whether every sealed event is what was sealed; else where the first fault begins."""

    valid: bool
    first_bad_position: int | None
    checked: int
    unsealed: int
    reason: str | None
