"""A campaign's content plan: what its entries look like, and the posts that come of them.

An entry with `content` becomes a post. One without is a note: kept and shown, never published.
Besides the fields below an entry may hold whatever its authors want to keep with it (who writes
it, which product it is about), also kept and shown. Only what looks like one of the fields,
misspelt, is refused, since it would be silently without effect.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from application.instants import Instant
from application.screens import ScreenedText
from application.social.best_times import BestTimes
from application.social.placement import Frame, Occupied, Wish, place
from application.social.posts import Hashtag, Mention, Networks, WebAddress, write
from application.social.tracking import by_network, with_links
from domain.kernel import Invalid
from domain.screens import ScreenRefused, screen_text
from domain.social.campaigns import Entry
from domain.social.networks import Network
from domain.social.posts import Post, PostStatus
from domain.social.schedules import Frequency, Strategy

T = TypeVar("T")

DEEPEST, LONGEST = 10, 5000
"""Levels of what is kept in free form, and characters of a text in it."""

MOST_ENTRIES = 100
"""Entries in one request."""

SECOND = timedelta(seconds=1)
UTC_ZONE = ZoneInfo("UTC")


def _kept(value: Any, level: int = 1) -> Any:
    """Free form as it can be kept: every text of it screened."""
    if level > DEEPEST:
        raise ValueError(f"It is nested more than {DEEPEST} levels deep")
    match value:
        case str():
            screened(value)
        case bool() | None:
            pass
        case float() if not math.isfinite(value):
            raise ValueError("A number that is one")
        case int() if abs(value) >= 2**63:
            raise ValueError("A number of at most 64 bits")
        case dict():
            for key, inner in value.items():
                screened(key)
                _kept(inner, level + 1)
        case list():
            for inner in value:
                _kept(inner, level + 1)
    return value


def screened(text: str) -> str:
    """The text. Raises what a request field of that text would be refused with."""
    if len(text) > LONGEST:
        raise ValueError(f"A text of at most {LONGEST} characters")
    try:
        return screen_text(text)
    except ScreenRefused as refused:
        # The message must not be read as a template, whatever a screen puts into it.
        raise PydanticCustomError(refused.code, "{reason}", {"reason": refused.message}) from None


def _unique(items: list[T]) -> list[T]:
    return list(dict.fromkeys(items))


FreeForm = Annotated[Any, AfterValidator(_kept)]
FreeKey = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(screened)]
Hashtags = Annotated[list[Hashtag], Field(max_length=100), AfterValidator(_unique)]
Mentions = Annotated[list[Mention], Field(max_length=100), AfterValidator(_unique)]


class PlanEntry(BaseModel):
    """One entry. `platforms` are some of the campaign's, by default all; without
    `scheduled_for` it gets the best free moment of its share of the campaign; `link` names one of
    `tracking_urls`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, FreeForm] = Field(init=False)

    content: Annotated[ScreenedText, Field(min_length=1, max_length=5000)] | None = None
    platforms: Networks | None = None
    scheduled_for: Instant | None = None
    media_urls: Annotated[list[WebAddress], Field(max_length=50)] | None = None
    hashtags: Hashtags | None = None
    mentions: Mentions | None = None
    location: Annotated[ScreenedText, Field(max_length=200)] | None = None
    link: Annotated[str, Field(max_length=100)] | None = None


Plan = Annotated[list[PlanEntry], Field(max_length=MOST_ENTRIES)]


@dataclass(frozen=True)
class Brief:
    """What the posts of a campaign have in common. Instants are UTC."""

    name: str
    networks: tuple[Network, ...]
    hashtags: tuple[str, ...]
    addresses: Mapping[str, str]
    optimised: bool
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Planned:
    """A plan as it is stored, and its posts."""

    entries: list[Entry]
    posts: list[Post]

    def reach(self, typical: Mapping[Network, float]) -> int | None:
        """How many people its posts can be expected to reach, those reached twice counted twice:
        the sum of what a post `typical`ly reaches on each of their networks. None when that is
        known of none of them."""
        known = [
            typical[network]
            for post in self.posts
            if post.status is PostStatus.SCHEDULED
            for network in post.networks
            if network in typical and not post.problems.get(network)
        ]
        return round(sum(known)) if known else None


def planned(
    brief: Brief, plan: Sequence[PlanEntry], now: datetime, occupied: Occupied, times: BestTimes
) -> Planned:
    """The entries and their posts, each at its moment; `occupied` holds those too afterwards.

    Raises `Invalid` naming the field (`content_plan.<n>.<field>`, `end_date`).
    """
    for n, entry in enumerate(plan):
        _check(brief, n, entry)
    wishes = {
        n: Wish(_networks(brief, entry), entry.scheduled_for)
        for n, entry in enumerate(plan)
        if entry.content is not None
    }
    moments = spread(wishes, _frame(brief), now, occupied, times)
    tracked = by_network(brief.addresses, brief.networks, brief.name)
    tracked_as = {
        network: {url: tracked[name][network] for name, url in brief.addresses.items()}
        for network in brief.networks
    }
    posts = {n: _post(brief, plan[n], at, tracked_as) for n, at in moments.items()}
    entries = [
        Entry(
            entry.model_dump(mode="json", exclude_unset=True),
            posts[n].id if n in posts else None,
            n in posts and posts[n].status is PostStatus.SCHEDULED,
        )
        for n, entry in enumerate(plan)
    ]
    return Planned(entries, [posts[n] for n in sorted(posts)])


def spread(
    wishes: Mapping[int, Wish], frame: Frame, now: datetime, occupied: Occupied, times: BestTimes
) -> dict[int, datetime]:
    """A moment for each wish. Chosen ones are kept; the range is shared out among the others in
    order, and each gets the best full hour of (the first week of) its share, else the next moment
    that keeps the distance."""
    found = _chosen({n: wish for n, wish in wishes.items() if wish.at}, frame, now, occupied, times)
    begin = max(frame.start, now)
    rest = [n for n in wishes if n not in found]
    for k, n in enumerate(rest):
        share = (frame.end - begin) / len(rest)
        part = replace(frame, start=begin + k * share, end=begin + (k + 1) * share)
        try:
            found[n] = place([wishes[n]], part, now, occupied, times)[0].at
        except Invalid:
            # The share is too short or too full; what matters then is that it lies in the range.
            found[n] = _next(wishes[n], [part.start, begin], frame.end, occupied)
    return found


def _chosen(
    wishes: Mapping[int, Wish], frame: Frame, now: datetime, occupied: Occupied, times: BestTimes
) -> dict[int, datetime]:
    if not wishes:
        return {}
    order = list(wishes)
    try:
        places = place(list(wishes.values()), frame, now, occupied, times)
    except Invalid as refused:
        _, number, name = refused.field.split(".")  # posts.<n>.scheduled_for
        raise _invalid(order[int(number)], name, refused.message, refused.reason) from None
    return {n: each.at for n, each in zip(order, places, strict=True)}


def _next(wish: Wish, since: Sequence[datetime], end: datetime, occupied: Occupied) -> datetime:
    for instant in since:
        full = instant if instant.microsecond == 0 else instant.replace(microsecond=0) + SECOND
        at = occupied.next_free(wish.networks, min(full, end))
        if at <= end:
            occupied.take(wish.networks, at)
            return at
    message = "The posts do not fit between the campaign's start and end."
    raise Invalid(message, field="end_date", code="does_not_fit")


def _frame(brief: Brief) -> Frame:
    # Readers' hours are taken for those of UTC: a campaign has no time zone.
    strategy = Strategy.AI_OPTIMAL if brief.optimised else Strategy.PEAK_HOURS
    return Frame(strategy, Frequency.WEEKLY, UTC_ZONE, brief.starts_at, brief.ends_at)


def _networks(brief: Brief, entry: PlanEntry) -> tuple[Network, ...]:
    return brief.networks if entry.platforms is None else tuple(entry.platforms)


def _check(brief: Brief, n: int, entry: PlanEntry) -> None:
    for key in entry.model_extra or ():
        if meant := get_close_matches(key.lower(), PlanEntry.model_fields, n=1, cutoff=0.8):
            message = f"Do you mean {meant[0]}?"
            raise _invalid(n, key, message, "misspelt")
    for k, network in enumerate(entry.platforms or ()):
        if network not in brief.networks:
            message = "It is not one of the campaign's platforms."
            raise _invalid(n, f"platforms.{k}", message, "not_in_campaign")
    if entry.link is not None and entry.link not in brief.addresses:
        raise _invalid(n, "link", "There is no such name in tracking_urls.", "unknown_link")


def _invalid(n: int, field: str, message: str, code: str) -> Invalid:
    return Invalid(message, field=f"content_plan.{n}.{field}", code=code)


def _post(
    brief: Brief,
    entry: PlanEntry,
    at: datetime,
    tracked_as: Mapping[Network, Mapping[str, str]],
) -> Post:
    """The post of an entry, with the campaign's hashtags and links in its texts."""
    assert entry.content is not None
    wanted = None if entry.link is None else brief.addresses[entry.link]
    post = write(
        entry.content,
        {
            network: with_links(entry.content, network, tracked_as[network], wanted)
            for network in _networks(brief, entry)
        },
        media=entry.media_urls or (),
        hashtags=_unique([*brief.hashtags, *(entry.hashtags or ())]),
        mentions=entry.mentions or (),
        location=entry.location,
        optimised=brief.optimised,
        of_campaign=True,
    )
    post.schedule(at)
    return post
