"""What is said in public of mentions and their answers."""

from typing import Annotated

from application.kernel import public_id
from application.social.webhooks.networks import Platform, network_of
from application.webhooks.public import (
    INTERNAL,
    SOME_ID,
    Emission,
    Emissions,
    Instant,
    Payload,
    Webhook,
    like,
)
from domain.social.brand_voice import BrandVoice
from domain.social.keywords import BrandKeywords
from domain.social.mentions import Mention, Priority
from domain.social.response_templates import ResponseTemplate
from domain.social.responses import Response

MentionId = Annotated[str, like(f"men_{SOME_ID}")]


class MentionDetected(Payload):
    """Somebody has mentioned the brand, and it matters: only high priority is told."""

    mention_id: MentionId
    platform: Platform
    sentiment: Annotated[str, like("negative")]
    priority: Annotated[str, like("high")]


class ResponsePosted(Payload):
    """An answer to a mention has been posted."""

    response_id: Annotated[str, like(f"resp_{SOME_ID}")]
    mention_id: MentionId
    platform: Platform
    response_mode: Annotated[str, like("manual")]
    posted_to_platform: Annotated[bool, like(True)]
    posted_at: Instant


MENTION_DETECTED = Webhook("social.mention.detected", MentionDetected)

RESPONSE_POSTED = Webhook("social.response.posted", ResponsePosted)


def _mentioned(event: Mention.Detected) -> MentionDetected:
    return MentionDetected(
        mention_id=public_id("men", event.originator_id),
        platform=event.network,
        sentiment=event.tone,
        priority=event.priority,
    )


def _urgent(event: Mention.Detected) -> bool:
    return event.priority is Priority.HIGH


def _responded(event: Response.Posted) -> ResponsePosted:
    return ResponsePosted(
        response_id=public_id("resp", event.originator_id),
        mention_id=public_id("men", event.mention_id),
        platform=event.network,
        response_mode=event.mode,
        posted_to_platform=True,
        posted_at=event.at,
    )


WEBHOOKS = (
    MENTION_DETECTED,
    RESPONSE_POSTED,
)

EMISSIONS: Emissions = {
    BrandKeywords.Chosen: INTERNAL,
    BrandKeywords.Changed: INTERNAL,
    Mention.Detected: [Emission(MENTION_DETECTED, _mentioned, when=_urgent, about=network_of)],
    Mention.Answered: INTERNAL,
    Mention.Dismissed: INTERNAL,
    Response.Drafted: INTERNAL,
    Response.Redrafted: INTERNAL,
    Response.PostingStarted: INTERNAL,
    Response.Posted: [Emission(RESPONSE_POSTED, _responded, about=network_of)],
    Response.RefusedBy: INTERNAL,
    Response.LeftUnconfirmed: INTERNAL,
    ResponseTemplate.Written: INTERNAL,
    ResponseTemplate.Rewritten: INTERNAL,
    ResponseTemplate.Discarded: INTERNAL,
    BrandVoice.Adopted: INTERNAL,
    BrandVoice.Changed: INTERNAL,
}
