"""The demonstration tenant: a past to look around in, made through commands only."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from eventsourcing.persistence import IntegrityError
from rich.progress import Progress

from application.kernel import NO_ANSWER, Desk
from application.social.accounts import SANDBOX
from application.social.importing import ImportEngagement, ImportPost, ImportTrends
from application.social.networks import Receipt
from application.social.posts import CreatePost
from application.social.publishing import BeginEngagement, ReportEngagement, how_posted
from application.social.trend_watching import Look, NoteLooks, want
from domain.social.networks import Network
from domain.social.posts import Outcome, OutcomeStatus
from domain.social.trends import WORLD
from infrastructure.event_log.log import EventLog, open_log
from infrastructure.networks.sandbox import grown, sandbox_id, sandbox_url
from infrastructure.networks.sandbox_trends import listed
from infrastructure.settings import Settings

TENANT = "demo"
ACTOR = "tidings:demo"
DAYS = 60

TEXTS = (
    "The spring collection is here. Which piece is your favourite? #Fashion #Spring",
    "Behind the scenes at our workshop: every seam by hand. #Craft",
    "Free returns until the end of the month, no questions asked.",
    "We asked, you answered: the blue one is back in stock! #Restock",
    "A short guide to caring for wool, so that it lasts for years. #Sustainability",
    "Our new store opens on Saturday at ten. Coffee is on us. #OpeningDay",
    "Thank you for ten thousand followers. You are wonderful! #Community",
    "Sorry for the delays this week; parcels are moving again.",
)
NETWORKS = (
    ["twitter", "facebook"],
    ["linkedin"],
    ["facebook"],
    ["twitter", "linkedin", "facebook"],
)
LISTED_HOURS = 48
LOOKS = (timedelta(hours=1), timedelta(hours=6), timedelta(days=1), timedelta(days=4))


@dataclass(frozen=True)
class Past:
    """A post of the past: when it went out, and what it said where."""

    at: datetime
    text: str
    platforms: list[str]


def _history(today: datetime) -> Iterator[Past]:
    for n in range(DAYS):
        at = (today - timedelta(days=DAYS - n)).replace(hour=7 + n * 5 % 14, minute=n * 7 % 60)
        yield Past(at, TEXTS[n % len(TEXTS)], NETWORKS[n % len(NETWORKS)])


async def load(settings: Settings) -> int:
    async with open_log(settings, "demo") as log:
        async with log.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT EXISTS (SELECT FROM log.events WHERE tenant = %s"
                " AND topic = 'social.post.drafted')",
                [TENANT],
            )
            row = await cursor.fetchone()
        if row and row[0]:
            return 0
        await _bring_in_trends(log, datetime.now(UTC))
        history = list(_history(datetime.now(UTC)))
        with Progress(transient=True) as progress:
            for past in progress.track(history, description="Posts"):
                await _bring_in(log, past)
    return len(history)


async def _bring_in(log: EventLog, past: Past) -> None:
    """One post and what has become of it, each in one command."""
    desk = Desk(log, TENANT, ACTOR, correlation_id="demo", follows=False, at=past.at)
    outcomes = {}
    for network in map(Network, past.platforms):
        id = sandbox_id(network, f"{past.at}")
        outcomes[network] = Outcome(
            OutcomeStatus.PUBLISHED,
            "sandbox",
            network_post_id=id,
            url=sandbox_url(network, id),
            at=past.at,
        )
    post = CreatePost(
        content=past.text, platforms=list(outcomes), scheduled_for=past.at, ai_optimize=False
    )
    answer = await desk.create(ImportPost(post=post, outcomes=outcomes), lambda _: NO_ANSWER)
    assert answer.id is not None
    ages = [age for age in LOOKS if past.at + age < datetime.now(UTC)]
    first, *later = [_report(past.text, outcomes, past.at + age) for age in ages]
    begin = BeginEngagement(post_id=answer.id, report=first)
    await desk.create(ImportEngagement(begin=begin, later=later), lambda _: NO_ANSWER)


async def _bring_in_trends(log: EventLog, now: datetime) -> None:
    """What the networks listed in the last two days; from now on they are looked at. A day on
    which they have been looked at already stays as it is."""
    for network in Network:
        days: dict[date, list[NoteLooks]] = {}
        for hours in range(LISTED_HOURS, 0, -1):
            at = now - timedelta(hours=hours)
            look = NoteLooks(at, SANDBOX, [Look(WORLD, listed(network, WORLD, at))])
            days.setdefault(at.date(), []).append(look)
        for looks in days.values():
            desk = Desk(log, TENANT, ACTOR, correlation_id="demo", follows=False, at=looks[-1].at)
            with suppress(IntegrityError):
                await desk.create(ImportTrends(network, looks), lambda _: NO_ANSWER)
    await want(Desk(log, TENANT, ACTOR, correlation_id="demo", follows=False))


def _report(text: str, outcomes: dict[Network, Outcome], at: datetime) -> ReportEngagement:
    reports, posted = {}, {}
    for network, outcome in outcomes.items():
        assert outcome.network_post_id and outcome.url and outcome.at
        receipt = Receipt(outcome.network_post_id, outcome.url, outcome.at)
        figures, comments = grown(network, text, receipt, at)
        reports[network] = (figures, tuple(comments))
        posted[network] = how_posted(text, outcome.at)
    return ReportEngagement(reports=reports, at=at, posted=posted)
