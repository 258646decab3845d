"""Endpoint 8 of the engagement contract, and how an answer has fared."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, PrivateAttr

from api.kernel import EVERYONE, WRITERS, AtDesk, AtReads, Router
from api.paths import inner_id, path_id
from api.waiting import WithPatience
from application.kernel import Answer, public_id
from application.social.responses import RespondToMention, respond
from domain.social.networks import Network
from domain.social.responses import (
    Response,
    ResponseMode,
    ResponseStatus,
    ResponseTone,
)
from projections.social.responses import response_detail

router = Router(prefix="/api/v1/social/responses", tags=["Social responses"])

ResponseId = Annotated[UUID, path_id("resp", "response")]


class SocialAutoResponseResponse(BaseModel):
    """An answer as it stands after the call. `posted_to_platform` is true once the network has
    said so; until then `posted_at` is the instant of the acceptance. `success` is false when the
    network has refused it, and another answer may be given. `ai_confidence` runs from 0 to 1."""

    success: bool
    mention_id: str
    response_id: str
    response_content: str
    posted_to_platform: bool
    sentiment_improvement: float | None
    ai_confidence: float | None
    posted_at: datetime

    @classmethod
    def of(cls, response: Response) -> Self:
        return cls(
            success=response.status is not ResponseStatus.REFUSED,
            mention_id=public_id("men", response.mention_id),
            response_id=public_id("resp", response.id),
            response_content=response.draft.text,
            posted_to_platform=response.status is ResponseStatus.POSTED,
            sentiment_improvement=None,  # the addressee has not spoken since
            ai_confidence=response.draft.confidence,
            posted_at=response.posted_at or response.modified_on,
        )


class SocialResponseDetail(BaseModel):
    """An answer as it stands now. `provider` is who took or refused it: a network by its name, or
    the sandbox. `writer` has written the text, null when a person has. `sentiment_improvement`
    (-2 to 2) is null as long as its addressee has not mentioned the brand again."""

    response_id: str
    mention_id: str
    platform: Network
    response_mode: ResponseMode
    tone: ResponseTone
    include_brand_voice: bool
    template_id: str | None
    writer: str | None
    ai_confidence: float | None
    response_content: str
    status: ResponseStatus
    provider: str | None
    url: str | None
    error: dict[str, Any] | None
    sentiment_improvement: float | None
    posted_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime

    _version: int = PrivateAttr()

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        error = {"code": row["code"], "message": row["message"]}
        detail = cls(
            response_id=public_id("resp", row["id"]),
            mention_id=public_id("men", row["mention_id"]),
            platform=row["network"],
            response_mode=row["mode"],
            include_brand_voice=row["branded"],
            ai_confidence=row["confidence"],
            response_content=row["text"],
            error=error if row["message"] is not None else None,
            created_by=row["author"],
            **{name: row[name] for name in _SAME},
        )
        detail._version = row["version"]
        return detail


_SAME = ("tone", "template_id", "writer", "status", "provider", "url", "sentiment_improvement",
         "posted_at", "created_at", "updated_at")  # fmt: skip


@router.post("", id="social.responses.create", roles=WRITERS, limit="200/hour")
async def create_response(
    command: RespondToMention, desk: AtDesk, patience: WithPatience
) -> Answer[SocialAutoResponseResponse]:
    """Answer a mention, once, where it was made.

    The answer is accepted at once; the reply waits up to a second for the network
    (`Prefer: respond-async` or `wait=` change that). What the network refuses for certain may be
    answered anew. The mode `ai_generated` is served by the embedded writer: rules and phrases, no
    language model.
    """
    mention_id = inner_id("men", "mention", command.mention_id)
    answer = await respond(desk, mention_id, command, SocialAutoResponseResponse.of)
    return await patience.for_outcome(
        desk, Response, answer, lambda response: response.settled, SocialAutoResponseResponse.of
    )


@router.get("/{resp_id}", id="social.responses.read", roles=EVERYONE, limit="300/hour")
async def read_response(id: ResponseId, reads: AtReads) -> SocialResponseDetail:
    """One answer and what became of it."""
    return SocialResponseDetail.of(await reads.one(response_detail(id), "response"))
