"""A campaign's life: what may be asked, and what it decides."""

from uuid import uuid4

import pytest

from application.social.best_times import BestTimes
from application.social.campaigning import keep_to_dates
from application.social.campaigns import (
    AdvanceCampaign,
    CancelCampaign,
    CancelCampaignRequest,
    ExtendCampaign,
    ExtendRequest,
)
from application.social.schedules import Surroundings
from application.webhooks.catalogue import BY_TOPIC
from domain.kernel import Conflict
from domain.social.campaigns import Campaign, CampaignStatus, Ending
from domain.social.posts import Post, PostStatus
from domain.social.schedules import Calendar
from tests.kernel import NOW, at, heard, said, when
from tests.social.campaign_plans import (
    DAY,
    END,
    HOUR,
    START,
    X,
    asked,
    campaign,
    kinds,
    made,
    settled,
)


def test_the_clock_starts_and_ends_it():
    it, _ = campaign()
    assert it.status is CampaignStatus.SCHEDULED
    assert when(it, AdvanceCampaign(at=START), instant=START - HOUR) == [
        said(Campaign.Started, name="Spring sale")
    ]
    assert when(it, AdvanceCampaign(at=START), instant=START) == []
    ended = said(Campaign.Completed, name="Spring sale", total_posts=1, because=Ending.END_REACHED)
    assert when(it, AdvanceCampaign(at=END), AdvanceCampaign(at=END), instant=END) == [ended]
    assert it.status is CampaignStatus.COMPLETED


def test_a_clock_that_comes_early_changes_nothing():
    it, _ = campaign()
    assert when(it, AdvanceCampaign(at=NOW), instant=START - HOUR) == []


def test_a_clock_that_comes_after_the_end_catches_up():
    it, _ = campaign()
    late = AdvanceCampaign(at=START)
    assert kinds(when(it, late, instant=END + DAY)) == [Campaign.Started, Campaign.Completed]
    assert when(it, late, AdvanceCampaign(at=END), instant=END + DAY) == []


def test_what_has_started_already_is_active_at_once():
    it = made(asked(start_date=NOW - DAY))[0]
    assert it.status is CampaignStatus.ACTIVE
    assert kinds(heard(it)) == [Campaign.SetUp, Campaign.Started]


@pytest.mark.parametrize("entry", [{"idea": "Ask the shop"}, {"content": None, "owner": "Bo"}])
def test_a_plan_without_content_is_a_draft_that_no_clock_touches(entry):
    it, posts = campaign(entry)
    assert (it.status, posts, it.total_posts) == (CampaignStatus.DRAFT, [], 0)
    assert when(it, AdvanceCampaign(at=END), instant=END) == []
    assert campaign(content_plan=[])[0].status is CampaignStatus.DRAFT


def test_posts_that_no_network_takes_leave_it_a_draft():
    it, posts = campaign({"content": "No picture"}, platforms=["instagram"])
    assert (it.status, posts, it.total_posts) == (CampaignStatus.DRAFT, [], 1)


def test_it_is_completed_when_every_post_is_out():
    it, (first, second) = campaign({"content": "One"}, {"content": "Two"})
    when(it, AdvanceCampaign(at=START), instant=START)
    out = said(Campaign.PostSettled, post_id=first, status=PostStatus.PUBLISHED)
    assert when(it, settled(first, PostStatus.PUBLISHED)) == [out]
    assert when(it, settled(first, PostStatus.PUBLISHED)) == []
    events = when(it, settled(second, PostStatus.PUBLISHED))
    assert kinds(events) == [Campaign.PostSettled, Campaign.Completed]
    assert events[1].says["because"] is Ending.ALL_POSTS_OUT
    assert when(it, AdvanceCampaign(at=END), instant=END) == []


def test_a_post_that_was_taken_back_is_not_waited_for():
    it, (first, second) = campaign({"content": "One"}, {"content": "Two"})
    assert kinds(when(it, settled(first, PostStatus.WITHDRAWN))) == [Campaign.PostSettled]
    events = when(it, settled(second, PostStatus.PUBLISHED))
    assert kinds(events) == [Campaign.PostSettled, Campaign.Started, Campaign.Completed]


def test_without_any_post_out_it_goes_on_until_its_end():
    it, (only,) = campaign()
    assert kinds(when(it, settled(only, PostStatus.WITHDRAWN))) == [Campaign.PostSettled]
    assert it.status is CampaignStatus.SCHEDULED


def test_a_post_of_another_campaign_is_none_of_its_business():
    it, _ = campaign()
    assert when(it, settled(uuid4(), PostStatus.PUBLISHED)) == []


def test_a_draft_that_gets_a_post_is_started_by_the_clock():
    it, _ = campaign({"idea": "Later"})
    more = ExtendRequest(content_plan=[{"content": "Hello"}])
    with at():
        around = Surroundings([], BestTimes({}, NOW), None)
        changed = ExtendCampaign(more, it, around, {X: 40.0}).handle()
    assert [type(each) for each in changed] == [Campaign, Post, Calendar]
    (extended,) = it.collect_events()
    assert (extended.first, extended.status) == (1, CampaignStatus.SCHEDULED)
    assert it.estimated_reach == 40
    assert [job.at for job in keep_to_dates(extended)] == [START, END]
    assert kinds(when(it, AdvanceCampaign(at=START), instant=START)) == [Campaign.Started]


def test_what_is_over_takes_no_more_posts():
    it, _ = campaign()
    around = Surroundings([], BestTimes({}, NOW), None)
    more = ExtendRequest(content_plan=[{"content": "Hello"}])
    with at(END + DAY), pytest.raises(Conflict, match="past its end"):
        ExtendCampaign(more, it, around, {}).handle()
    when(it, AdvanceCampaign(at=END), instant=END)
    with at(END), pytest.raises(Conflict, match="completed"):
        ExtendCampaign(more, it, around, {}).handle()


def test_cancelling_takes_back_what_has_not_gone_out():
    it, first, second, _ = made(asked({"content": "One"}, {"content": "Two"}))
    with at(START):
        second.start_publication(second.scheduled_for)
        cancel = CancelCampaign(CancelCampaignRequest(reason="Storm"), it, [first, second])
        it.collect_events()
        assert cancel.handle() == [it, first]
        assert cancel.handle() == [it]
    assert heard(it) == [said(Campaign.Cancelled, reason="Storm", withdrawn=(first.id,))]
    assert (first.status, it.status) == (PostStatus.WITHDRAWN, CampaignStatus.CANCELLED)
    assert when(it, AdvanceCampaign(at=END), instant=END) == []
    assert kinds(when(it, settled(second.id, PostStatus.PUBLISHED))) == [Campaign.PostSettled]
    assert it.status is CampaignStatus.CANCELLED


def test_what_is_completed_cannot_be_cancelled():
    it, _ = campaign()
    when(it, AdvanceCampaign(at=END), instant=END)
    with at(), pytest.raises(Conflict):
        CancelCampaign(CancelCampaignRequest(), it, []).handle()


def test_only_what_can_be_published_has_a_clock():
    (set_up,) = made(asked())[0].collect_events()
    jobs = list(keep_to_dates(set_up))
    assert [(job.name, job.at) for job in jobs] == [
        ("social.advance_campaign", START),
        ("social.advance_campaign", END),
    ]
    (draft,) = made(asked({"idea": "x"}))[0].collect_events()
    assert list(keep_to_dates(draft)) == []


def test_what_it_says_in_public():
    def public(it):
        return [
            (each.webhook.name, each.payload(event).model_dump())
            for event in it.collect_events()
            for each in BY_TOPIC.get(event.TOPIC, ())
        ]

    it = made(asked())[0]
    id = f"camp_{it.id.hex}"
    ((name, data),) = public(it)
    assert name == "social.campaign.created"
    assert data == {
        "campaign_id": id,
        "name": "Spring sale",
        "objective": "traffic",
        "platforms": ["twitter"],
        "status": "scheduled",
        "start_date": START,
        "end_date": END,
        "created_at": NOW,
    }
    with at(END):
        it.advance(END)
    started, completed = public(it)
    assert started == (
        "social.campaign.started",
        {"campaign_id": id, "name": "Spring sale", "status": "active", "started_at": END},
    )
    assert completed[0] == "social.campaign.completed"
    assert (completed[1]["total_posts"], completed[1]["completed_at"]) == (1, END)
    drafts = [public(made(asked({"idea": "x"}))[0]), public(made(asked(start_date=NOW))[0])]
    assert [said[0][1]["status"] for said in drafts] == ["draft", "active"]
