"""Where and when a campaign's posts go, what they cost, and what they say."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given as suppose
from hypothesis import strategies as st
from pydantic import TypeAdapter

from application.social.campaigns import (
    CampaignRequest,
    RecordSpending,
)
from application.social.tracking import tracked, with_links
from domain.kernel import Invalid
from domain.money import amount_of, minor_units
from domain.social.campaigns import Campaign
from domain.social.posts import Post
from domain.social.schedules import DISTANCE, Taken
from infrastructure.settings import UnusableSetting, load
from tests.kernel import NOW, at, said, when
from tests.social.campaign_plans import (
    DAY,
    END,
    FACEBOOK,
    HOUR,
    INSTAGRAM,
    LINKEDIN,
    SHOP,
    START,
    X,
    asked,
    campaign,
    made,
    moments,
    posts_of,
    refused,
)


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
