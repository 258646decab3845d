"""What a post decides, without any server."""

from datetime import timedelta

import pytest

from application.social.posts import (
    CreatePost,
    RecordOutcomes,
    RetryPost,
    SchedulePost,
    StartPublication,
    WithdrawPost,
)
from domain.kernel import Conflict
from domain.social.networks import Network
from domain.social.posts import Outcome, OutcomeStatus, Post, PostStatus
from tests.kernel import NOW, at, given, heard, said, when

LATER = NOW + timedelta(hours=1)
TWITTER, INSTAGRAM = Network.TWITTER, Network.INSTAGRAM
HELLO = CreatePost(content="Hello", platforms=["twitter"])
BOTH = CreatePost(content="Hello", platforms=["twitter", "facebook"])
START = StartPublication(due=NOW)
OUT = Outcome(OutcomeStatus.PUBLISHED, "sandbox", network_post_id="n1", url="https://x/1", at=LATER)
NO = Outcome(OutcomeStatus.FAILED, "sandbox", code="bad_body", message="The network said no.")
SILENCE = Outcome(OutcomeStatus.UNCONFIRMED, "sandbox", message="No answer.")


def outcomes(attempt=1, **by_network):
    return RecordOutcomes(
        attempt=attempt, outcomes={Network(name): o for name, o in by_network.items()}
    )


def started(*networks, attempt=1, status=PostStatus.PUBLISHING):
    return said(Post.PublicationStarted, attempt=attempt, networks=networks, status=status)


def kinds(events):
    return [event.kind for event in events]


def test_a_post_without_an_instant_is_due_now():
    with at():
        events = heard(HELLO.handle())
    assert kinds(events) == [Post.Drafted, Post.Scheduled]
    assert events[1] == said(Post.Scheduled, at=NOW)


def test_a_post_can_be_moved_once_and_again():
    post = given(HELLO)
    assert when(post, SchedulePost(scheduled_for=LATER)) == [said(Post.Rescheduled, at=LATER)]
    assert when(post, SchedulePost(scheduled_for=LATER)) == []


def test_withdrawing_twice_changes_nothing():
    post = given(HELLO)
    assert when(post, WithdrawPost(reason="Wrong day")) == [
        said(Post.Withdrawn, reason="Wrong day", of_campaign=False)
    ]
    assert when(post, WithdrawPost()) == []


@pytest.mark.parametrize("command", [SchedulePost(scheduled_for=LATER), START, RetryPost()])
def test_a_withdrawn_post_stays_withdrawn(command):
    with pytest.raises(Conflict) as refusal:
        when(given(HELLO, WithdrawPost()), command)
    assert refusal.value.facts == {"status": PostStatus.WITHDRAWN}


def test_the_intention_comes_before_the_outcome():
    post = given(HELLO)
    assert when(post, START) == [started(TWITTER)]
    assert post.status is PostStatus.PUBLISHING
    assert kinds(when(post, outcomes(twitter=OUT))) == [Post.PublishedOn, Post.Published]
    assert (post.status, post.published_at) == (PostStatus.PUBLISHED, LATER)


def test_publishing_cannot_start_twice():
    with pytest.raises(Conflict):
        when(given(HELLO, START), START)


def test_an_instant_that_was_moved_starts_nothing():
    with pytest.raises(Conflict):
        when(given(HELLO, SchedulePost(scheduled_for=LATER)), START)


def test_one_network_is_enough_and_only_the_others_are_tried_again():
    post = given(BOTH, START)
    events = when(post, outcomes(twitter=OUT, facebook=NO))
    assert kinds(events) == [Post.PublishedOn, Post.RefusedBy, Post.Published]
    again = when(post, RetryPost())
    assert again == [started(Network.FACEBOOK, attempt=2, status=PostStatus.PUBLISHED)]
    assert post.status is PostStatus.PUBLISHED
    assert kinds(when(post, outcomes(attempt=2, facebook=OUT))) == [Post.PublishedOn]


def test_a_post_that_no_network_takes_has_failed_and_says_why():
    post = given(HELLO, START)
    assert kinds(when(post, outcomes(twitter=NO))) == [Post.RefusedBy, Post.Failed]
    assert post.error == "twitter: The network said no."


def test_silence_is_not_failure_and_is_settled_later():
    post = given(HELLO, START)
    assert kinds(when(post, outcomes(twitter=SILENCE))) == [Post.LeftUnconfirmed]
    assert post.status is PostStatus.UNCONFIRMED
    assert not post.settled
    assert when(post, outcomes(twitter=SILENCE)) == []
    assert kinds(when(post, outcomes(twitter=OUT))) == [Post.PublishedOn, Post.Published]


def test_an_unconfirmed_network_is_never_tried_again_blindly():
    with pytest.raises(Conflict):
        when(given(HELLO, START, outcomes(twitter=SILENCE)), RetryPost())


@pytest.mark.parametrize(
    "late", [outcomes(twitter=OUT), outcomes(twitter=NO), outcomes(7, twitter=NO)]
)
def test_answers_that_come_twice_or_too_late_change_nothing(late):
    assert when(given(HELLO, START, outcomes(twitter=OUT)), late) == []


def test_what_a_networks_rules_forbid_is_reported_for_it_alone():
    post = given(CreatePost(content="Hello", platforms=["instagram", "twitter"]))
    refused = post.outcomes[INSTAGRAM]
    assert (refused.status, refused.code) == (OutcomeStatus.FAILED, "media_required")
    assert when(post, START) == [started(TWITTER)]


def test_a_post_against_every_networks_rules_has_failed_at_once():
    with at():
        post = CreatePost(content="Hello", platforms=["instagram"]).handle()
    assert kinds(heard(post)) == [Post.Drafted, Post.Failed]
    assert post.error.startswith("instagram: ")
