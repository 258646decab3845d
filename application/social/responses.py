"""What may be asked of responses to mentions."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar
from uuid import UUID

from eventsourcing.persistence import IntegrityError
from pydantic import BaseModel, Field, ValidationInfo, field_validator

from application.kernel import Answer, Command, Desk
from application.screens import ScreenedText
from application.social import response_templates, response_writer
from application.social.brand_voice import rules_of
from application.social.response_writer import WRITER, Said
from domain.kernel import Aggregate, Conflict, Invalid
from domain.personal import ERASED
from domain.social.brand_voice import NO_RULES, WritingRules, in_voice, signed
from domain.social.mentions import Mention
from domain.social.networks import Network
from domain.social.posts import Outcome
from domain.social.response_templates import MissingVariable, filled
from domain.social.responses import (
    REPLY_MAX,
    Draft,
    Response,
    ResponseMode,
    ResponseTone,
    reply_length,
)
from domain.social.text import links

M = TypeVar("M", bound=BaseModel)

NAMES = {
    Network.FACEBOOK: "Facebook",
    Network.INSTAGRAM: "Instagram",
    Network.TWITTER: "X",
    Network.LINKEDIN: "LinkedIn",
    Network.TIKTOK: "TikTok",
    Network.PINTEREST: "Pinterest",
}
"""What people call the networks."""


class RespondToMention(Command):
    """Answer a mention, with a text of one's own, a template, or one that is written for it.

    `response_content` goes with `manual` and `template_id` with `template`; the other modes leave
    them unread. `tone` is that of a text that is written.
    """

    mention_id: str
    response_mode: ResponseMode = ResponseMode.AI_GENERATED
    response_content: Annotated[ScreenedText, Field(max_length=8000)] | None = Field(
        default=None, validate_default=True
    )
    template_id: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, validate_default=True
    )
    tone: ResponseTone = ResponseTone.PROFESSIONAL
    include_brand_voice: bool = True

    @field_validator("response_content")
    @classmethod
    def _content_of_manual(cls, text: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("response_mode") is ResponseMode.MANUAL and not (text or "").strip():
            raise ValueError("The mode manual needs a text")
        return text

    @field_validator("template_id")
    @classmethod
    def _template_of_template(cls, name: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("response_mode") is ResponseMode.TEMPLATE and not name:
            raise ValueError("The mode template needs a template")
        return name

    @property
    def culprit(self) -> str:
        """The field that a text has come from."""
        match self.response_mode:
            case ResponseMode.MANUAL:
                return "response_content"
            case ResponseMode.TEMPLATE:
                return "template_id"
            case ResponseMode.AI_GENERATED:
                return "include_brand_voice"


@dataclass(frozen=True)
class Composition:
    """The request with what a text is made of: the tenant's rules, whether they are to be applied
    or not, and the text of the template."""

    request: RespondToMention
    mention: Mention
    rules: WritingRules
    template: str | None

    def draft(self) -> Draft:
        """The text as it is to go out. Raises `Invalid`, naming the field that it came from."""
        asked = self.request
        text, writer, confidence = self._text()
        if not text.strip():
            message = "The brand voice leaves nothing of the text."
            raise Invalid(message, field=asked.culprit, code="empty_response")
        length, room = reply_length(self.mention.network, text), REPLY_MAX[self.mention.network]
        if length > room:
            message = f"{length} characters; a reply on {self.mention.network} has at most {room}."
            raise Invalid(message, field=asked.culprit, code="text_too_long")
        return Draft(
            text=text,
            mode=asked.response_mode,
            tone=asked.tone,
            branded=asked.include_brand_voice,
            template_id=asked.template_id if self.template is not None else None,
            writer=writer,
            confidence=confidence,
        )

    def _text(self) -> tuple[str, str | None, float | None]:
        asked = self.request
        match asked.response_mode:
            case ResponseMode.MANUAL:
                return self._branded(asked.response_content or ""), None, None
            case ResponseMode.TEMPLATE:
                return self._branded(self._filled(self.template or "")), None, None
            case ResponseMode.AI_GENERATED:
                rules = self.rules if asked.include_brand_voice else NO_RULES
                written = response_writer.write(said_in(self.mention), asked.tone, rules)
                return written.text, WRITER, written.confidence

    def _branded(self, text: str) -> str:
        if not self.request.include_brand_voice:
            return text.strip()
        return signed(in_voice(text, self.rules), self.rules.sign_off)

    def _filled(self, template: str) -> str:
        author, handle = author_of(self.mention), handle_of(self.mention)
        values = {
            "author": author,
            "first_name": response_writer.first_name(author or "") or author,
            "handle": f"@{handle}" if handle else None,
            "network": NAMES[self.mention.network],
            "brand": self.rules.brand,
        }
        try:
            return filled(template, values)
        except MissingVariable as missing:
            raise Invalid(
                f"The template needs {missing.name}, which is not known here.",
                field="template_id",
                code="missing_variable",
            ) from None


@dataclass(frozen=True)
class BeginResponse:
    """The first answer to a mention."""

    composition: Composition

    def handle(self) -> Response:
        return Response.to(self.composition.mention, self.composition.draft())


@dataclass(frozen=True)
class RedraftResponse:
    """Another answer, to a mention whose network has refused the last one."""

    composition: Composition

    def handle(self, response: Response) -> None:
        response.redraft(self.composition.draft())


class StartPosting(Command):
    """Commit the intention before the network is called."""

    number: int

    def handle(self, response: Response) -> None:
        response.start_posting(self.number)


@dataclass(frozen=True)
class RecordReply:
    """What the network made of a reply. The mention is answered from the moment it is out."""

    response: Response
    mention: Mention
    number: int
    outcome: Outcome
    response_id: str

    def handle(self) -> Sequence[Aggregate]:
        self.response.record(self.number, self.outcome)
        if self.response.posted_at is not None:
            self.mention.answer(self.response_id, self.response.posted_at)
        return self.response, self.mention


async def respond(
    desk: Desk, mention_id: UUID, request: RespondToMention, answer: Callable[[Response], M]
) -> Answer[M]:
    """Decide on the answer to a mention; sending it follows.

    Raises `NotFound` (also for another tenant's), `Conflict` when it has an answer already or is
    being answered, and `Invalid` for a text that cannot be sent.
    """
    mention = await desk.get(Mention, mention_id)
    if ERASED in (mention.text, mention.author_handle):
        raise Conflict("The author of the mention has been erased.", code="erased")
    template = None
    if request.response_mode is ResponseMode.TEMPLATE:
        name = request.template_id or ""
        template = await response_templates.text_of(
            desk, name, mention.language[:2], named=author_of(mention) is not None
        )
    composition = Composition(request, mention, await rules_of(desk), template)
    id = Response.create_id(mention_id)
    if await desk.log.load(Response, id) is None:
        try:
            return await desk.create(BeginResponse(composition), answer)
        except IntegrityError:
            pass  # somebody else was quicker: the answer is now theirs
    return await desk.change(Response, id, RedraftResponse(composition), answer)


def handle_of(mention: Mention) -> str | None:
    """The author's handle; None where the network tells a number or URN instead."""
    handle = mention.author_handle.removeprefix("@")
    return handle if re.fullmatch(r"[\w.-]{1,50}", handle) and not handle.isdigit() else None


def author_of(mention: Mention) -> str | None:
    """What to call the author: their name in one line, else their handle. A name with a link or
    tag in it is none: it would be spread in the brand's name."""
    name = " ".join(mention.author.split())
    if not name or len(name) > 60 or links(name) or re.search("[@#]|://", name):
        return handle_of(mention)
    return name


def said_in(mention: Mention) -> Said:
    """A mention as the writer takes it."""
    return Said(
        mention.id,
        mention.network,
        mention.author,
        mention.text,
        mention.language,
        mention.sentiment,
    )
