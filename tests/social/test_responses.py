"""The life of a response, decided without any server."""

import pytest

from application.social.policies import POLICIES
from application.social.responses import (
    BeginResponse,
    Composition,
    StartPosting,
)
from application.webhooks.catalogue import BY_TOPIC
from domain.kernel import Conflict
from domain.social.brand_voice import NO_RULES
from domain.social.responses import (
    Response,
    ResponseStatus,
)
from tests.kernel import at, said, when
from tests.social.response_rooms import (
    LATER,
    NO,
    OUT,
    SILENCE,
    THANKS,
    again,
    begun,
    mention,
    record,
)


def test_the_intention_comes_before_the_outcome():
    response = begun()
    assert response.status is ResponseStatus.DRAFTED
    assert when(response, StartPosting(number=1)) == [said(Response.PostingStarted, number=1)]
    assert response.in_doubt
    (posted,) = record(response, OUT)
    assert posted.kind is Response.Posted
    assert (response.status, response.posted_at) == (ResponseStatus.POSTED, LATER)


@pytest.mark.parametrize("outcome", [None, SILENCE, OUT])
def test_a_mention_is_answered_once(outcome):
    response = begun()
    if outcome:
        when(response, StartPosting(number=1))
        record(response, outcome)
    with pytest.raises(Conflict) as no:
        when(response, again())
    assert (no.value.reason, no.value.facts) == ("already_answered", {"status": response.status})


def test_what_was_refused_for_certain_may_be_said_otherwise():
    response = begun()
    when(response, StartPosting(number=1))
    assert [each.kind for each in record(response, NO)] == [Response.RefusedBy]
    (redrafted,) = when(response, again())
    assert (redrafted.kind, redrafted.says["number"]) == (Response.Redrafted, 2)
    assert record(response, OUT, number=1) == []  # of the first draft
    with pytest.raises(Conflict):
        when(response, StartPosting(number=1))
    when(response, StartPosting(number=2))
    assert [each.kind for each in record(response, OUT, number=2)] == [Response.Posted]


def test_sending_cannot_begin_twice():
    response = begun()
    when(response, StartPosting(number=1))
    with pytest.raises(Conflict):
        when(response, StartPosting(number=1))


def test_silence_is_settled_later_and_answers_that_come_twice_change_nothing():
    response = begun()
    assert record(response, OUT) == []  # nothing has been sent
    when(response, StartPosting(number=1))
    assert [each.kind for each in record(response, SILENCE)] == [Response.LeftUnconfirmed]
    assert record(response, SILENCE) == []
    assert [each.kind for each in record(response, OUT)] == [Response.Posted]
    for late in (OUT, NO, SILENCE):
        assert record(response, late) == []


def test_each_draft_asks_for_its_posting():
    with at():
        response = BeginResponse(Composition(THANKS, mention(), NO_RULES, None)).handle()
        (drafted,) = response.collect_events()
        response.start_posting(1)
        response.record(1, NO)
        again().handle(response)
        *_, redrafted = response.collect_events()
    for event, number in ((drafted, 1), (redrafted, 2)):
        (job,) = POLICIES[type(event)](event)
        assert (job.name, job.arguments["number"]) == ("social.post_response", number)
        assert "Thank" not in str(job)


def test_a_posted_response_is_told_without_its_text():
    response = begun()
    with at():
        response.start_posting(1)
        response.record(1, OUT)
        *_, posted = response.collect_events()
    (emission,) = BY_TOPIC[posted.TOPIC]
    assert emission.webhook.name == "social.response.posted"
    assert emission.payload(posted).model_dump() == {
        "response_id": f"resp_{response.id.hex}",
        "mention_id": f"men_{response.mention_id.hex}",
        "platform": "twitter",
        "response_mode": "manual",
        "posted_to_platform": True,
        "posted_at": LATER,
    }


def test_the_stream_is_named_after_the_mention():
    one = mention()
    assert begun(to=one).id == begun(to=one).id == Response.create_id(one.id)
