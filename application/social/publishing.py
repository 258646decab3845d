"""Getting posts out: intention, attempt, outcome; and the engagement that follows.

Each function is a job: it may be carried out more than once, and may die at any line. What it
returns are the jobs to come.
"""

import asyncio
from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from application.kernel import NO_ANSWER, Command, Desk, Job, Log
from application.social.lateness import Plans, catch_up, is_late
from application.social.networks import (
    OutcomeUnknown,
    Publication,
    RefusedByNetwork,
    SocialNetworks,
)
from application.social.posts import RecordOutcomes, RetryPost, StartPublication
from domain.kernel import Conflict
from domain.social.engagement import Comment, Engagement, Figures, Posted
from domain.social.networks import Network
from domain.social.posts import Outcome, OutcomeStatus, Post, PostStatus
from domain.social.text import hashtags_in

ASK_AGAIN = (5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""Seconds between questions about an outcome that is unknown; then it stays unconfirmed."""

MEASURE_AT = (
    *(2, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600),
    *(days * 86400 for days in (1, 2, 3, 5, 7, 10, 14, 21, 30)),
)
"""Seconds after publication at which engagement is looked up, close at first and then wide."""


NOT_RECEIVED = "not_received"
"""The code of what a network certainly has not got: it is sent again."""

PUBLISHER = "tidings:publisher"
"""The actor on what the house does to posts."""


@dataclass(frozen=True)
class Publishing:
    """What these jobs need."""

    log: Log
    networks: SocialNetworks
    plans: Plans

    def desk(self, tenant: str, post_id: UUID, actor: str) -> Desk:
        return Desk(self.log, tenant, actor, correlation_id=post_id.hex, follows=False)

    async def publish_post(
        self, tenant: str, post_id: str, due: str, planned: int = 0
    ) -> Iterable[Job]:
        """The scheduled instant has come; a `planned` one may have passed long ago."""
        id, at = UUID(post_id), datetime.fromisoformat(due)
        desk = self.desk(tenant, id, PUBLISHER)
        if planned and is_late(at):
            post = await desk.get(Post, id)
            if post.status is PostStatus.SCHEDULED and post.scheduled_for == at:
                return [late_posts(tenant)]
        try:
            post = await desk.carry_out(Post, id, StartPublication(due=at))
        except Conflict:
            post = await desk.get(Post, id)
            if post.status is not PostStatus.PUBLISHING:
                return []  # moved, withdrawn, or done already
            # An earlier run died between intention and outcome: ask before anything else.
            return await self.settle_post(tenant, post_id, 0)
        return await self._attempt(desk, post)

    async def catch_up(self, tenant: str) -> Iterable[Job]:
        """There has been no publishing for a while."""
        desk = Desk(self.log, tenant, PUBLISHER, correlation_id="catch-up", follows=False)
        return [late_posts(tenant)] if await catch_up(self.plans, desk) else []

    async def settle_post(self, tenant: str, post_id: str, asked: int) -> Iterable[Job]:
        """Ask the networks whose outcome is unknown; publish again only what is surely missing."""
        id = UUID(post_id)
        desk = self.desk(tenant, id, PUBLISHER)
        post = await desk.get(Post, id)
        open_ones = [n for n, o in post.outcomes.items() if _in_doubt(o)]
        answers = await asyncio.gather(*(self._ask(post, network) for network in open_ones))
        found = dict(zip(open_ones, answers, strict=True))
        # The attempt has not begun there, or was to wait: it goes on, and nothing has failed.
        unsent = [n for n in open_ones if _unsent(post.outcomes[n], found[n])]
        post = await self._record(desk, post, {n: found[n] for n in found if n not in unsent})
        missing = any(outcome.code == NOT_RECEIVED for outcome in post.outcomes.values())
        if missing and post.status in (PostStatus.PUBLISHED, PostStatus.FAILED):
            post = await desk.carry_out(Post, id, RetryPost())
            return await self._attempt(desk, post, asked)
        return await self._attempt(desk, post, asked) if unsent else _after(post, asked)

    async def measure_post(self, tenant: str, post_id: str, step: int) -> Iterable[Job]:
        """Look up what people do with a post that is out."""
        id = UUID(post_id)
        desk = self.desk(tenant, id, "tidings:engagement")
        post = await desk.get(Post, id)
        out = {n: o for n, o in post.outcomes.items() if o.network_post_id}
        reports = await asyncio.gather(*(self._measure(post, n, o) for n, o in out.items()))
        known = {n: report for n, report in zip(out, reports, strict=True) if report}
        at = datetime.now(UTC)
        if known:
            posted = {n: how_posted(post.texts[n], out[n].at or at) for n in known}
            await _report(desk, id, ReportEngagement(reports=known, at=at, posted=posted))
        return _next_measure(post, step + 1)

    async def _attempt(self, desk: Desk, post: Post, asked: int = 0) -> Iterable[Job]:
        going = [n for n, o in post.outcomes.items() if o.status is OutcomeStatus.PUBLISHING]
        results = await asyncio.gather(*(self._publish(post, n, asked) for n in going))
        outcomes = {n: r for n, r in zip(going, results, strict=True) if isinstance(r, Outcome)}
        post = await self._record(desk, post, outcomes)
        pauses = [result for result in results if isinstance(result, timedelta)]
        return [*_after(post, 0), *(_settle(post, asked + 1, max(pauses)) for _ in pauses[:1])]

    async def _publish(self, post: Post, network: Network, asked: int) -> Outcome | timedelta:
        """What became of it, or the pause that the network wants first."""
        gateway = await self.networks.of(post.tenant, network)
        try:
            receipt = await gateway.publish(publication(post, network))
        except RefusedByNetwork as no:
            if no.retry_after is not None and asked < len(ASK_AGAIN):
                return timedelta(seconds=no.retry_after)
            return Outcome(OutcomeStatus.FAILED, gateway.provider, code=no.code, message=no.message)
        except OutcomeUnknown as unknown:
            return Outcome(OutcomeStatus.UNCONFIRMED, gateway.provider, message=str(unknown))
        return receipt.outcome(gateway.provider)

    async def _ask(self, post: Post, network: Network) -> Outcome:
        gateway = await self.networks.of(post.tenant, network)
        try:
            receipt = await gateway.find(publication(post, network))
        except OutcomeUnknown as unknown:
            return Outcome(OutcomeStatus.UNCONFIRMED, gateway.provider, message=str(unknown))
        if receipt is None:
            return Outcome(
                OutcomeStatus.FAILED,
                gateway.provider,
                code=NOT_RECEIVED,
                message="The network has not received it.",
            )
        return receipt.outcome(gateway.provider)

    async def _record(self, desk: Desk, post: Post, outcomes: dict[Network, Outcome]) -> Post:
        command = RecordOutcomes(attempt=post.attempt, outcomes=outcomes)
        return await desk.carry_out(Post, post.id, command)

    async def _measure(
        self, post: Post, network: Network, outcome: Outcome
    ) -> tuple[Figures, tuple[Comment, ...]] | None:
        gateway = await self.networks.of(post.tenant, network)
        assert outcome.network_post_id is not None
        try:
            figures, comments = await gateway.engagement(
                publication(post, network), outcome.network_post_id
            )
        except OutcomeUnknown:
            return None  # the next look-up reports the same totals
        return figures, tuple(comments)


class ReportEngagement(Command):
    """What the networks report of a post."""

    reports: dict[Network, tuple[Figures, tuple[Comment, ...]]]
    at: datetime
    posted: dict[Network, Posted]

    def handle(self, engagement: Engagement) -> None:
        for network, (totals, comments) in self.reports.items():
            engagement.report(network, self.at, totals, self.posted[network])
            engagement.receive(network, comments)


class BeginEngagement(Command):
    """The first report of a post opens its stream."""

    post_id: UUID
    report: ReportEngagement

    def handle(self) -> Engagement:
        engagement = Engagement(post_id=self.post_id)
        self.report.handle(engagement)
        return engagement


async def _report(desk: Desk, post_id: UUID, report: ReportEngagement) -> None:
    stream = Engagement.create_id(post_id)
    if await desk.log.load(Engagement, stream) is None:
        await desk.create(BeginEngagement(post_id=post_id, report=report), lambda _: NO_ANSWER)
    else:
        await desk.carry_out(Engagement, stream, report)


def how_posted(text: str, at: datetime) -> Posted:
    """How `text` went out at `at`: its hashtags each once, in lower case."""
    return Posted(at, tuple(dict.fromkeys(tag.lower() for tag in hashtags_in(text))))


def late_posts(tenant: str) -> Job:
    """Find new places for what is late, in the order in which it was due."""
    return Job("social.catch_up", {"tenant": tenant}, lock=f"catch_up:{tenant}")


def publication(post: Post, network: Network) -> Publication:
    """What `network` is to publish."""
    return Publication(
        post.tenant, post.id, network, post.texts[network], post.media_urls, post.location
    )


def _in_doubt(outcome: Outcome) -> bool:
    return outcome.status in (OutcomeStatus.PUBLISHING, OutcomeStatus.UNCONFIRMED)


def _unsent(before: Outcome, found: Outcome) -> bool:
    return before.status is OutcomeStatus.PUBLISHING and found.code == NOT_RECEIVED


def _after(post: Post, asked: int) -> Iterable[Job]:
    unknown = any(o.status is OutcomeStatus.UNCONFIRMED for o in post.outcomes.values())
    if unknown and asked < len(ASK_AGAIN):
        yield _settle(post, asked + 1, timedelta(seconds=ASK_AGAIN[asked]))


def _settle(post: Post, asked: int, wait: timedelta) -> Job:
    return Job(
        "social.settle_post",
        {"tenant": post.tenant, "post_id": post.id.hex, "asked": asked},
        at=datetime.now(UTC) + wait,
        lock=f"post:{post.id}",
    )


def _next_measure(post: Post, step: int) -> Iterable[Job]:
    """The next look that lies ahead; those that were missed are made up for by one."""
    if post.published_at is not None:
        age = (datetime.now(UTC) - post.published_at).total_seconds()
        step = max(step, bisect(MEASURE_AT, age))
        if step < len(MEASURE_AT):
            yield measure(post.tenant, post.id, post.published_at, step)


def measure(tenant: str, post_id: UUID, published_at: datetime, step: int) -> Job:
    """The `step`-th look at a post's engagement."""
    return Job(
        "social.measure_post",
        {"tenant": tenant, "post_id": post_id.hex, "step": step},
        at=published_at + timedelta(seconds=MEASURE_AT[step]),
    )
