"""Bringing in posts that were published before Tidings was there."""

from application.kernel import Command
from application.social.posts import CreatePost
from application.social.publishing import BeginEngagement, ReportEngagement
from domain.kernel import now
from domain.social.engagement import Engagement
from domain.social.networks import Network
from domain.social.posts import Outcome, Post


class ImportPost(Command):
    """A post that is out already, and where the networks keep it. Nothing is published."""

    post: CreatePost
    outcomes: dict[Network, Outcome]

    def handle(self) -> Post:
        post = self.post.handle()
        post.start_publication(post.scheduled_for or now())
        post.record(post.attempt, self.outcomes)
        return post


class ImportEngagement(Command):
    """What networks reported of a post, report by report."""

    begin: BeginEngagement
    later: list[ReportEngagement]

    def handle(self) -> Engagement:
        engagement = self.begin.handle()
        for report in self.later:
            report.handle(engagement)
        return engagement
