"""What may be asked of a tenant's brand voice."""

from dataclasses import dataclass
from typing import Annotated, TypeVar

from eventsourcing.persistence import IntegrityError
from pydantic import AfterValidator, BaseModel, Field

from application.kernel import Answer, Command, Desk
from application.screens import SingleLine
from domain.social.brand_voice import NO_RULES, BrandVoice, Formality, WritingRules

M = TypeVar("M", bound=BaseModel)


def _words(words: dict[str, str]) -> dict[str, str]:
    if len({word.strip().casefold() for word in words}) < len(words):
        raise ValueError("A word stands there twice")
    return {word.strip(): instead.strip() for word, instead in words.items()}


Word = Annotated[SingleLine, Field(max_length=100, pattern=r"\S")]
Words = Annotated[
    dict[Word, Annotated[SingleLine, Field(max_length=100)]],
    Field(max_length=200),
    AfterValidator(_words),
]


class SetBrandVoice(Command):
    """The writing rules that answers follow: all of them, in place of those before.

    `forbidden`: words that are not used, each with what stands in its place ("" leaves it out).
    `spelling`: words as others spell them, each with how the brand does. `formality`: `neutral`
    leaves it to the tone. `brand` is what templates call `{{ brand }}`.
    """

    brand: Annotated[SingleLine, Field(min_length=1, max_length=100)] | None = None
    formality: Formality = Formality.NEUTRAL
    emoji: bool = True
    sign_off: Annotated[SingleLine, Field(min_length=1, max_length=80)] | None = None
    forbidden: Words = Field(default_factory=dict)
    spelling: Words = Field(default_factory=dict)

    @property
    def rules(self) -> WritingRules:
        return WritingRules(
            self.brand,
            self.formality,
            self.emoji,
            self.sign_off,
            dict(self.forbidden),
            dict(self.spelling),
        )

    def handle(self, voice: BrandVoice) -> None:
        voice.change(self.rules)


@dataclass(frozen=True)
class AdoptBrandVoice:
    """The first rules of a tenant."""

    request: SetBrandVoice

    def handle(self) -> BrandVoice:
        return BrandVoice(self.request.rules)


async def set_voice(desk: Desk, request: SetBrandVoice) -> Answer[SetBrandVoice]:
    """Carry out the request, whether it is the tenant's first or not."""
    id = BrandVoice.create_id(desk.tenant)
    if await desk.log.load(BrandVoice, id) is None:
        try:
            return await desk.create(AdoptBrandVoice(request), shown)
        except IntegrityError:
            pass  # another one was first just now, so these come after
    return await desk.change(BrandVoice, id, request, shown)


async def rules_of(desk: Desk) -> WritingRules:
    """The tenant's rules; none as long as nobody has set any."""
    voice = await desk.log.load(BrandVoice, BrandVoice.create_id(desk.tenant))
    return NO_RULES if voice is None else voice.rules


def shown(voice: BrandVoice) -> SetBrandVoice:
    """The rules as they were set."""
    return as_set(voice.rules)


def as_set(rules: WritingRules) -> SetBrandVoice:
    """The request that sets these rules."""
    return SetBrandVoice.model_construct(**vars(rules))
