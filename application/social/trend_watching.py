"""Looking at what networks list as rising, hour by hour, and telling of what matters.

Each look is an event, and the next one follows from it: so there is one look an hour for each
tenant and network, however often a job is carried out, and none is forgotten.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Protocol
from uuid import UUID

from eventsourcing.persistence import IntegrityError

from application.kernel import NO_ANSWER, Desk, Job, Log
from application.social.networks import OutcomeUnknown, SocialNetwork, SocialNetworks
from application.social.trends import Measured
from domain.social.networks import Network
from domain.social.posts import Post
from domain.social.trends import (
    WORLD,
    Rising,
    Trend,
    TrendDay,
    TrendKind,
    TrendWatch,
    week_of,
)

WATCHER = "tidings:trends"
"""The actor on what is noted about trends."""

NOT_AGAIN = timedelta(days=7)
"""A trend that lasts is not told twice within it."""

SPREAD = 900
"""Seconds after the full hour among which the looks of all tenants are spread."""


class Measures(Protocol):
    """The port to the read side."""

    async def rising(self, tenant: str) -> Sequence[Measured]:
        """What rises today, as of the head of the log, anywhere and in any industry."""
        ...


@dataclass(frozen=True)
class Want:
    """Somebody wants to know what rises in a place."""

    place: str = WORLD

    def handle(self, watch: TrendWatch) -> None:
        watch.want(self.place)


@dataclass(frozen=True)
class Begin:
    """The first wish opens the stream."""

    want: Want

    def handle(self) -> TrendWatch:
        watch = TrendWatch()
        self.want.handle(watch)
        return watch


async def want(desk: Desk, place: str = WORLD) -> None:
    """Have the networks looked at, from now on and for a while."""
    stream, wish = TrendWatch.create_id(desk.tenant), Want(place)
    if await desk.log.load(TrendWatch, stream) is None:
        try:
            await desk.create(Begin(wish), lambda _: NO_ANSWER)
            return
        except IntegrityError:
            pass  # somebody else has just begun it
    await desk.carry_out(TrendWatch, stream, wish)


@dataclass(frozen=True)
class Look:
    """What a network listed for a place; `rising` is None when it offers no list."""

    place: str
    rising: Sequence[Rising] | None
    answered: bool = True


@dataclass(frozen=True)
class NoteLooks:
    """What was seen of a network at an instant."""

    at: datetime
    provider: str
    looks: Sequence[Look]

    def handle(self, day: TrendDay) -> None:
        for look in self.looks:
            day.observe(look.place, self.at, self.provider, look.rising, answered=look.answered)


@dataclass(frozen=True)
class OpenDay:
    """The first look of a day opens its stream."""

    network: Network
    day: date
    looks: NoteLooks

    def handle(self) -> TrendDay:
        day = TrendDay(network=self.network, day=self.day)
        self.looks.handle(day)
        return day


@dataclass(frozen=True)
class Tell:
    """A trend that matters."""

    trend: Measured
    at: datetime

    def handle(self) -> Trend:
        trend = self.trend
        return Trend(
            kind=trend.kind,
            name=trend.name,
            week=week_of(self.at),
            networks=tuple(trend.networks),
            volume=trend.volume,
            growth=trend.growth,
            relevance=trend.relevance,
            score=round(trend.score, 4),
            at=self.at,
        )


@dataclass(frozen=True)
class TrendWatching:
    """What these jobs need."""

    log: Log
    networks: SocialNetworks
    measures: Measures

    def desk(self, tenant: str) -> Desk:
        return Desk(self.log, tenant, WATCHER, correlation_id="trends", follows=False)

    async def want(self, tenant: str) -> Iterable[Job]:
        """The tenant is at work on its networks (a job)."""
        await want(self.desk(tenant))
        return []

    async def observe(self, tenant: str, network: str) -> Iterable[Job]:
        """Look at what a network lists, unless this hour's look is done or nobody wants to know
        (a job)."""
        on, at = Network(network), datetime.now(UTC)
        watch = await self.log.load(TrendWatch, TrendWatch.create_id(tenant))
        if watch is None or not watch.wanted(at):
            return []
        stream = TrendDay.create_id(on, at.date(), tenant)
        day = await self.log.load(TrendDay, stream)
        places = [p for p in (WORLD, *watch.places) if day is None or day.is_open(p, at)]
        gateway = await self.networks.of(tenant, on)
        looks = await asyncio.gather(*(_look(gateway, place) for place in places))
        note = NoteLooks(at, gateway.provider, looks)
        if looks:
            await self._note(self.desk(tenant), stream, OpenDay(on, at.date(), note), day)
        return []

    async def _note(self, desk: Desk, stream: UUID, begin: OpenDay, day: TrendDay | None) -> None:
        if day is None:
            try:
                await desk.create(begin, lambda _: NO_ANSWER)
                return
            except IntegrityError:
                pass  # another process has just opened it
        await desk.carry_out(TrendDay, stream, begin.looks)

    async def detect(self, tenant: str) -> Iterable[Job]:
        """Tell of the trends that matter, each once (a job)."""
        at = datetime.now(UTC)
        for trend in await self.measures.rising(tenant):
            if trend.matters and not await self._told(tenant, trend.kind, trend.name, at):
                try:
                    await self.desk(tenant).create(Tell(trend, at), lambda _: NO_ANSWER)
                except IntegrityError:
                    continue  # another process was quicker
        return []

    async def _told(self, tenant: str, kind: TrendKind, name: str, at: datetime) -> bool:
        """Whether it was told this week, or lately in the last one."""
        for week in (week_of(at), week_of(at - timedelta(days=7))):
            trend = await self.log.load(Trend, Trend.create_id(kind, name, week, tenant))
            if trend is not None and (week == week_of(at) or at - trend.at < NOT_AGAIN):
                return True
        return False


async def _look(gateway: SocialNetwork, place: str) -> Look:
    try:
        return Look(place, await gateway.rising(place))
    except OutcomeUnknown:
        return Look(place, (), answered=False)


def want_trends(event: Post.PublishedOn) -> Iterable[Job]:
    """Who publishes will want to know what rises."""
    if not event.beside:
        lock = f"trends:{event.tenant}"
        yield Job("social.want_trends", {"tenant": event.tenant}, lock=lock, reminder=lock)


def look_at_once(
    event: TrendWatch.Began | TrendWatch.Wanted | TrendWatch.PlaceAdded,
) -> Iterable[Job]:
    """Nobody should wait for the next hour."""
    for network in Network:
        yield _observation(event.tenant, network)


def look_again(event: TrendDay.Observed) -> Iterable[Job]:
    """In the next hour; a network that offers no list is asked again in a day. From what was
    brought in afterwards nothing follows."""
    if event.place == WORLD and event.actor == WATCHER:
        hour = event.at.replace(minute=0, second=0, microsecond=0)
        wait = timedelta(hours=1 if event.offered else 24)
        later = _offset(event.tenant, event.network)
        yield _observation(event.tenant, event.network, at=hour + wait + later)
        if event.rising:
            yield Job(
                "social.detect_trends", {"tenant": event.tenant}, lock=f"trends:{event.tenant}"
            )


def _observation(tenant: str, network: Network, at: datetime | None = None) -> Job:
    return Job(
        "social.observe_trends",
        {"tenant": tenant, "network": network.value},
        at=at,
        lock=f"trends:{tenant}:{network}",
    )


def _offset(tenant: str, network: Network) -> timedelta:
    """So that not everybody asks at the full hour; the same for a tenant and network always."""
    digest = sha256(f"{tenant}\0{network}".encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:4], "big") % SPREAD)
