"""What campaigns decide, where their posts go and what their links say: without any server."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest
from hypothesis import given as suppose
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from application.social.best_times import BestTimes
from application.social.campaigning import keep_to_dates
from application.social.campaigns import (
    AdvanceCampaign,
    CampaignRequest,
    CancelCampaign,
    CancelCampaignRequest,
    CreateCampaign,
    ExtendCampaign,
    ExtendRequest,
    RecordSpending,
    SettlePost,
)
from application.social.posts import CreatePost
from application.social.schedules import Surroundings
from application.social.tracking import TrackedUrl, slug, tracked, with_links
from application.webhooks.catalogue import BY_TOPIC
from domain.kernel import Conflict, Invalid
from domain.money import amount_of, minor_units
from domain.social.campaigns import Campaign, CampaignStatus, Ending
from domain.social.networks import Network
from domain.social.posts import Post, PostStatus
from domain.social.schedules import DISTANCE, Calendar, Taken
from infrastructure.settings import UnusableSetting, load
from tests.kernel import NOW, at, heard, said, when

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


# Its life ---------------------------------------------------------------------------------------


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


# Money ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "currency", "minor"),
    [
        (0.1, "EUR", 10),
        (1200, "JPY", 1200),
        (1.005, "BHD", 1005),
        (99999999999.99, "EUR", 9999999999999),
    ],
)
def test_a_budget_is_kept_in_minor_units(budget, currency, minor):
    raw = asked().model_dump(mode="json") | {"budget": budget, "content_plan": []}
    request = CampaignRequest.model_validate_json(TypeAdapter(dict).dump_json(raw))
    (set_up,) = made(request, currency=currency)[0].collect_events()
    assert (set_up.budget, set_up.currency) == (minor, currency)


def test_an_amount_has_no_more_decimals_than_its_currency():
    for budget, currency in ((Decimal("1.005"), "EUR"), (Decimal("0.5"), "JPY")):
        with pytest.raises(Invalid) as error:
            made(asked(budget=budget), currency=currency)
        assert (error.value.field, error.value.reason) == ("budget", "too_many_decimals")


def test_the_currency_is_one_that_there_is(tmp_path):
    def currency(**environment):
        return load(environment, tmp_path, "postgresql://x", "redis://x").currency

    assert (currency(), currency(DEFAULT_CURRENCY="JPY")) == ("USD", "JPY")
    for wrong in ("XXQ", "eur"):
        with pytest.raises(UnusableSetting, match="DEFAULT_CURRENCY"):
            currency(DEFAULT_CURRENCY=wrong)


@suppose(st.integers(-(10**15), 10**15), st.sampled_from(["JPY", "EUR", "BHD", "CLF"]))
def test_minor_units_and_amounts_are_the_same_money(minor, currency):
    assert minor_units(amount_of(Decimal(minor), currency), currency) == minor


def test_spending_is_added_up_and_corrected_but_never_below_nothing():
    it, _ = campaign()
    pay, too_much = (RecordSpending(amount=Decimal(text)) for text in ("12.50", "-20"))
    assert when(it, pay) == [said(Campaign.Spent, amount=Decimal(1250), note="")]
    with at(), pytest.raises(Invalid, match="taken back"):
        too_much.handle(it)
    assert when(it, RecordSpending(amount=Decimal("-2.50")))
    assert it.spent == 1000


# Where its posts go -----------------------------------------------------------------------------


def test_entries_share_the_campaign_in_their_order():
    found = moments(*({"content": f"Post {n}"} for n in range(5)))
    assert found == sorted(found)
    for n, moment in enumerate(found):
        assert START + n * 2 * DAY <= moment <= START + (n + 1) * 2 * DAY
        assert 7 <= moment.hour < 22


def test_a_chosen_moment_is_kept_and_the_others_go_around_it():
    mine = START + 3 * DAY + timedelta(minutes=17)
    found = moments({"content": "One"}, {"content": "Two", "scheduled_for": mine})
    assert found[1] == mine
    assert abs(found[0] - mine) >= DISTANCE


def test_what_others_have_taken_is_left_alone():
    free = moments({"content": "One"})[0]
    (post,) = [
        each
        for each in made(asked({"content": "One"}), taken=[Taken(X, free)])
        if isinstance(each, Post)
    ]
    assert abs(post.scheduled_for - free) >= DISTANCE


def test_a_short_campaign_fills_the_distance_and_no_more():
    entries = [{"content": f"Post {n}"} for n in range(7)]
    found = sorted(moments(*entries, start_date=NOW, end_date=NOW + HOUR))
    assert all(NOW <= moment <= NOW + HOUR for moment in found)
    assert all(b - a >= DISTANCE for a, b in pairwise(found))
    more = [*entries, {"content": "Too much"}]
    assert refused(*more, start_date=NOW, end_date=NOW + HOUR) == ("end_date", "does_not_fit")


def test_a_campaign_of_an_instant_has_room_for_one_post():
    assert moments(start_date=START, end_date=START) == [START]


def test_nothing_is_placed_in_the_part_that_has_passed():
    found = moments(*({"content": f"Post {n}"} for n in range(4)), start_date=NOW - 30 * DAY)
    assert all(NOW <= moment <= END for moment in found)


def test_the_calendar_takes_the_moments_on_every_network():
    *_, calendar = made(asked(platforms=["twitter", "facebook"]))
    assert {taken.network for taken in calendar.since(0)} == {X, FACEBOOK}


@pytest.mark.parametrize(
    ("entries", "changes", "field", "code"),
    [
        ([{"content": "a", "scheduled_for": START - HOUR}], {}, "0.scheduled_for", "outside_range"),
        ([{"content": "a", "scheduled_for": END + HOUR}], {}, "0.scheduled_for", "outside_range"),
        (
            [{"idea": "x"}, {"content": "a", "scheduled_for": NOW - HOUR}],
            {"start_date": NOW - DAY},
            "1.scheduled_for",
            "in_the_past",
        ),
        (
            [{"content": text, "scheduled_for": START + HOUR} for text in "ab"],
            {},
            "1.scheduled_for",
            "too_close",
        ),
        ([{"content": "a", "platforms": ["linkedin"]}], {}, "0.platforms.0", "not_in_campaign"),
        ([{"content": "a", "link": "shop"}], {}, "0.link", "unknown_link"),
        ([{"content": "a", "scheduled_at": "soon"}], {}, "0.scheduled_at", "misspelt"),
        ([{"content": "a", "platform": "twitter"}], {}, "0.platform", "misspelt"),
    ],
)
def test_an_entry_that_cannot_be_is_named(entries, changes, field, code):
    assert refused(*entries, **changes) == (f"content_plan.{field}", code)


def test_an_end_in_the_past_is_refused():
    assert refused(start_date=NOW - 2 * DAY, end_date=NOW - DAY) == ("end_date", "in_the_past")


# What its posts say -----------------------------------------------------------------------------


def test_hashtags_and_links_get_into_the_texts_of_each_network():
    (post,) = posts_of(
        {
            "content": "Blue is back",
            "link": "shop",
            "hashtags": ["Blue"],
            "media_urls": ["https://x.example/a.jpg"],
        },
        platforms=["twitter", "linkedin", "instagram"],
        hashtags=["#Spring"],
        tracking_urls={"shop": SHOP},
    )
    assert post.content == "Blue is back"
    assert post.hashtags == ("Spring", "Blue")
    for network in (X, LINKEDIN):
        assert tracked(SHOP, network, "Spring sale") in post.texts[network]
    assert "https://" not in post.texts[INSTAGRAM]
    assert all("#spring" in text.lower() for text in post.texts.values())
    assert not post.problems


def test_without_optimisation_the_text_stays_and_the_rest_is_put_after_it():
    (post,) = posts_of(
        {"content": "Blue  is back!!!", "link": "shop"},
        hashtags=["Spring"],
        tracking_urls={"shop": SHOP},
        ai_optimization=False,
    )
    assert post.texts[X] == f"Blue  is back!!! {tracked(SHOP, X, 'Spring sale')} #Spring"
    assert not post.optimised


def test_an_address_in_the_text_is_tracked_where_it_stands():
    known = {SHOP: tracked(SHOP, X, "Spring")}
    text = f"See {SHOP}, or https://other.example.com/."
    for wanted in (None, SHOP):
        found = with_links(text, X, known, wanted)
        assert found == f"See {known[SHOP]}, or https://other.example.com/."
    assert with_links(found, X, known, SHOP) == found


def test_extra_keys_are_kept_as_they_are():
    (set_up,) = made(asked({"owner": "Bo", "week": 3, "ideas": [{"a": None}]}))[0].collect_events()
    assert set_up.plan[0].given == {"owner": "Bo", "week": 3, "ideas": [{"a": None}]}


def test_reach_adds_up_what_posts_on_each_network_reach():
    request = asked(
        {"content": "One"},
        {"content": "Two", "platforms": ["twitter"]},
        {"content": "No picture", "platforms": ["instagram"]},
        {"idea": "x"},
        platforms=["twitter", "linkedin", "instagram"],
    )
    typical = {X: 100.4, LINKEDIN: 50.0, INSTAGRAM: 9000.0}
    assert made(request, typical=typical)[0].estimated_reach == 251
    assert made(request, typical={FACEBOOK: 3.0})[0].estimated_reach is None


# Links ------------------------------------------------------------------------------------------


def test_a_tracked_link_says_where_it_comes_from():
    assert tracked(SHOP, X, "Spring sale 2026!") == (
        "https://shop.example.com/spring?colour=blue&utm_source=twitter&utm_medium=social"
        "&utm_campaign=spring_sale_2026#top"
    )
    own = "https://shop.example.com/?utm_source=newsletter&utm_campaign=May"
    assert tracked(own, X, "Spring") == f"{own}&utm_medium=social"


def test_slugs():
    assert slug("  Très   chic – Été 2026 ") == "très_chic_été_2026"
    assert slug("春のセール") == "春のセール"
    assert slug("🎉") == "🎉"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a",
        "example.com",
        "https:/example.com",
        "https://example.com/a b",
        " https://example.com/",
        "https://ann:secret@example.com/",
        "https://example.com/?utm_source=",
        "https://example.com/?utm_medium=a&utm_medium=b",
        "javascript:alert(1)",
        "https://",
    ],
)
def test_what_cannot_be_tracked_is_refused(url):
    with pytest.raises(ValidationError):
        TypeAdapter(TrackedUrl).validate_python(url)


_words = st.text("abcXYZ019-_.~%é", max_size=8)
_parameters = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "utm_source", "utm_medium", "utm_campaign", "q[]"]), _words
    )
)
_fragments = st.none() | st.text("abc/?=&", max_size=8)


@st.composite
def addresses(draw):
    query = "&".join(f"{name}={value}" for name, value in draw(_parameters))
    mark = draw(st.sampled_from(["", "?"])) if not query else "?"
    fragment = draw(_fragments)
    end = "" if fragment is None else f"#{fragment}"
    return f"https://example.com/{draw(_words)}{mark}{query}{end}"


@suppose(addresses(), st.sampled_from(Network), st.text(min_size=1).filter(str.strip))
def test_tracking_loses_nothing_and_once_is_enough(url, network, name):
    found = tracked(url, network, name)
    assert tracked(found, network, name) == found
    before, after = urlsplit(url), urlsplit(found)
    assert (before[:3], before.fragment) == (after[:3], after.fragment)
    assert after.query.startswith(before.query)
    given = parse_qsl(before.query, keep_blank_values=True)
    shown = parse_qsl(after.query, keep_blank_values=True)
    assert shown[: len(given)] == given
    wanted = {"utm_source": network.value, "utm_medium": "social", "utm_campaign": slug(name)}
    added = dict(shown[len(given) :])
    assert added == {n: value for n, value in wanted.items() if n not in dict(given)}
    assert len(shown) == len(given) + len(added)


def test_posts_of_campaigns_are_posts_like_any_others():
    (post,) = posts_of({"content": "Hello", "location": "Lyon", "mentions": ["@ann"]})
    with at():
        other = CreatePost(
            content="Hello",
            platforms=["twitter"],
            scheduled_for=post.scheduled_for,
            location="Lyon",
            mentions=["ann"],
        ).handle()
    drafted, *then = heard(post)
    alone, *alike = heard(other)
    assert drafted.says == {**alone.says, "of_campaign": True}
    assert then == alike
