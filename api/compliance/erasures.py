"""Erasing a person, and the receipts of it, for those who answer for a tenant."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Request
from pydantic import BaseModel, Field

from api.kernel import ADMINS, Router
from api.paths import path_id
from api.requests import house
from api.wiring import READ_MODELS
from application.kernel import Command, public_id
from infrastructure.personal_data.erasure import Eraser, eraser_of

router = Router(prefix="/api/v1/audit", tags=["Audit"])


class ErasureRequest(Command):
    """Whom to erase: their subject, such as `twitter:amira` for who comments there."""

    subject: str = Field(min_length=1, max_length=500)


class ErasureResponse(BaseModel):
    """`receipt` is signed with Ed25519 and names nobody; there is none while it is under way."""

    success: bool = True
    erasure_id: str
    status: Literal["running", "completed"]
    receipt: dict[str, Any] | None

    @classmethod
    def of(cls, id: UUID, receipt: Any) -> "ErasureResponse":
        status: Literal["running", "completed"] = "completed" if receipt else "running"
        return cls(erasure_id=public_id("erasure", id), status=status, receipt=receipt)


class Erasures:
    """Erasures of one tenant, by one caller."""

    def __init__(self, eraser: Eraser, tenant: str, user: str) -> None:
        self.eraser, self.tenant, self.user = eraser, tenant, user


async def _erasures(request: Request) -> Erasures:
    at_home, caller = house(request), request.state.caller
    eraser = eraser_of(at_home.settings, at_home.log, at_home.redis, READ_MODELS)
    return Erasures(eraser, caller.tenant, caller.user)


AsEraser = Annotated[Erasures, Depends(_erasures)]
ErasureId = Annotated[UUID, path_id("erasure")]


@router.post("/erasures", id="audit.erasures.create", roles=ADMINS, limit="60/hour")
async def erase(request: ErasureRequest, at: AsEraser) -> ErasureResponse:
    """Destroy a person's key and purge every copy of their data. It takes a second or two; when
    it cannot be completed now (503) it goes on by itself. Repeating it answers with the receipt."""
    receipt = await at.eraser.erase(at.tenant, request.subject, at.user)
    return ErasureResponse.of(UUID(receipt["erasure_id"]), receipt)


@router.get("/erasures/{erasure_id}", id="audit.erasures.detail", roles=ADMINS, limit="300/hour")
async def erasure(id: ErasureId, at: AsEraser) -> ErasureResponse:
    """How far an erasure is, and its receipt."""
    return ErasureResponse.of(id, await at.eraser.receipt(at.tenant, id))
