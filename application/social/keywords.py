"""What may be asked of a tenant's brand keywords."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from eventsourcing.persistence import IntegrityError
from pydantic import AfterValidator, BaseModel, Field

from application.kernel import Answer, Command, Desk
from application.screens import ScreenedText
from domain.social.keywords import BrandKeywords

M = TypeVar("M", bound=BaseModel)

MOST_KEYWORDS = 20
LONGEST_KEYWORD = 100


def _bare(keyword: str) -> str:
    bare = " ".join(keyword.split()).lstrip("#@＃＠")
    if not bare.isprintable():
        raise ValueError("Only printable characters")
    if not any(each.isalnum() for each in bare):
        raise ValueError("A keyword needs a letter or a digit")
    return bare


def _unique(keywords: list[str]) -> list[str]:
    return list({each.casefold(): each for each in reversed(keywords)}.values())[::-1]


Keyword = Annotated[
    ScreenedText, Field(min_length=1, max_length=LONGEST_KEYWORD), AfterValidator(_bare)
]
"""A word or a few: spaces are folded, the sign of a hashtag or mention is dropped."""

Keywords = Annotated[list[Keyword], Field(max_length=MOST_KEYWORDS), AfterValidator(_unique)]


class SetBrandKeywords(Command):
    """The words to listen for: all of them, in place of those before. None at all leaves it to
    the names of the accounts."""

    keywords: Keywords

    def handle(self, chosen: BrandKeywords) -> None:
        chosen.change(tuple(self.keywords))


@dataclass(frozen=True)
class ChooseBrandKeywords:
    """The first words of a tenant."""

    request: SetBrandKeywords

    def handle(self) -> BrandKeywords:
        return BrandKeywords(tuple(self.request.keywords))


async def set_keywords(
    desk: Desk, request: SetBrandKeywords, answer: Callable[[BrandKeywords], M]
) -> Answer[M]:
    """Carry out the request, whether it is the tenant's first or not."""
    id = BrandKeywords.create_id(desk.tenant)
    if await desk.log.load(BrandKeywords, id) is None:
        try:
            return await desk.create(ChooseBrandKeywords(request), answer)
        except IntegrityError:
            pass  # another request was first just now, so this one comes after
    return await desk.change(BrandKeywords, id, request, answer)
