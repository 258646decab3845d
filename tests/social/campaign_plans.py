"""Campaigns for tests: what is asked for, and what comes of it."""

from datetime import timedelta

import pytest

from application.social.best_times import BestTimes
from application.social.campaigns import (
    CampaignRequest,
    CreateCampaign,
    SettlePost,
)
from application.social.schedules import Surroundings
from domain.kernel import Invalid
from domain.social.networks import Network
from domain.social.posts import Post
from tests.kernel import NOW, at

X, FACEBOOK, INSTAGRAM, LINKEDIN = (
    Network.TWITTER,
    Network.FACEBOOK,
    Network.INSTAGRAM,
    Network.LINKEDIN,
)


DAY, HOUR = timedelta(days=1), timedelta(hours=1)


START, END = NOW + DAY, NOW + 11 * DAY


SHOP = "https://shop.example.com/spring?colour=blue#top"


def asked(*entries, **changes):
    body = {
        "name": "Spring sale",
        "objective": "traffic",
        "platforms": ["twitter"],
        "content_plan": list(entries) or [{"content": "Hello"}],
        "target_audience": {"countries": ["DE", "FR"]},
        "start_date": START,
        "end_date": END,
    }
    return CampaignRequest.model_validate({**body, **changes})


def made(request, *, taken=(), calendar=None, currency="EUR", typical=(), instant=NOW):
    """What comes of a request: the campaign, its posts, and the calendar."""
    around = Surroundings(taken, BestTimes({}, instant), calendar)
    with at(instant):
        return CreateCampaign(request, around, currency, dict(typical)).handle()


def campaign(*entries, **changes):
    """A campaign as it was set up, and the ids of its posts that can go out."""
    it = made(asked(*entries, **changes))[0]
    it.collect_events()
    return it, list(it.posts)


def posts_of(*entries, **changes):
    return [each for each in made(asked(*entries, **changes)) if isinstance(each, Post)]


def moments(*entries, **changes):
    return [post.scheduled_for for post in posts_of(*entries, **changes)]


def refused(*entries, **changes):
    """The field and code of the refusal."""
    with pytest.raises(Invalid) as error:
        made(asked(*entries, **changes))
    return error.value.field, error.value.reason


def kinds(events):
    return [event.kind for event in events]


def settled(post_id, status):
    return SettlePost(post_id=post_id, status=status)
