"""Bringing in posts that were published before Tidings was there."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.kernel import Command
from application.social.posts import CreatePost
from application.social.publishing import BeginEngagement, ReportEngagement
from application.social.trend_watching import NoteLooks
from domain.kernel import now
from domain.social.engagement import Engagement
from domain.social.networks import Network
from domain.social.posts import Outcome, Post
from domain.social.trends import TrendDay


class ImportPost(Command):
    """A post that is out already, and where the networks keep it. Nothing is published."""

    post: CreatePost
    outcomes: dict[Network, Outcome]

    def handle(self) -> Post:
        post = self.post.handle()
        post.start_publication(post.scheduled_for or now())
        post.record(post.attempt, self.outcomes)
        return post


@dataclass(frozen=True)
class ImportTrends:
    """What a network listed as rising on a day of the past, look by look."""

    network: Network
    looks: Sequence[NoteLooks]

    def handle(self) -> TrendDay:
        day = TrendDay(network=self.network, day=self.looks[0].at.date())
        for look in self.looks:
            look.handle(day)
        return day


class ImportEngagement(Command):
    """What networks reported of a post, report by report."""

    begin: BeginEngagement
    later: list[ReportEngagement]

    def handle(self) -> Engagement:
        engagement = self.begin.handle()
        for report in self.later:
            report.handle(engagement)
        return engagement
