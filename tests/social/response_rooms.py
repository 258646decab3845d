"""Responses and mentions for the tests of responses."""

from datetime import timedelta
from uuid import uuid4

from application.social.response_writer import Said
from application.social.responses import (
    BeginResponse,
    Composition,
    RedraftResponse,
    RespondToMention,
)
from domain.social.brand_voice import NO_RULES
from domain.social.mentions import Mention, Priority, Tone
from domain.social.networks import Network
from domain.social.posts import Outcome, OutcomeStatus
from tests.kernel import NOW, at, heard

TWITTER = Network.TWITTER
LATER = NOW + timedelta(minutes=1)
OUT = Outcome(
    OutcomeStatus.PUBLISHED, "sandbox", network_post_id="r1", url="https://x/r1", at=LATER
)
NO = Outcome(OutcomeStatus.FAILED, "twitter", code="bad_post", message="Not like this.")
SILENCE = Outcome(OutcomeStatus.UNCONFIRMED, "twitter", message="No answer.")
THANKS = RespondToMention(mention_id="men_1", response_mode="manual", response_content="Thank you!")


def mention(text="I love it!", *, author="Amira Haddad", network=TWITTER, tenant="demo", **facts):
    with at(tenant=tenant):
        return Mention(
            **{
                "network": network,
                "network_mention_id": "m1",
                "url": None,
                "author": author,
                "author_handle": "amira",
                "followers": 10,
                "text": text,
                "written_at": NOW,
                "language": "en",
                "sentiment": 0.6,
                "tone": Tone.POSITIVE,
                "priority": Priority.LOW,
                "likes": 0,
                "shares": 0,
                "comments": 0,
                "requires_response": False,
                "keywords": (),
                "hashtags": (),
                **facts,
            }
        )


def begun(request=THANKS, to=None, rules=NO_RULES, template=None):
    with at():
        response = BeginResponse(Composition(request, to or mention(), rules, template)).handle()
    response.collect_events()
    return response


def text_of(request, to=None, rules=NO_RULES, template=None):
    return begun(request, to, rules, template).draft.text


def record(response, outcome, number=1):
    with at():
        response.record(number, outcome)
    return heard(response)


def again():
    return RedraftResponse(Composition(THANKS, mention(), NO_RULES, None))


def templated(name, template, **options):
    request = RespondToMention(mention_id="men_1", response_mode="template", template_id=name)
    return text_of(request, template=template, **options)


def heard_as(text, language="en", sentiment=0.0, author="Amira Haddad", network=TWITTER, id=None):
    return Said(id or uuid4(), network, author, text, language, sentiment)
