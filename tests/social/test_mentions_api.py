"""Mentions over real HTTP: heard in the background, filtered, counted, erased."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from domain.personal import ERASED
from infrastructure.read_models.rebuild import rebuild
from projections.social.mentions import Mentions
from tests.infrastructure.read_side import contents
from tests.site import PATIENT, eventually

MENTIONS = "/api/v1/social/mentions"
KEYWORDS = f"{MENTIONS}/keywords"
POSTS = "/api/v1/social/posts"
PLATFORMS = "/api/v1/social/platforms"


def publish(ann, *platforms):
    post = {"content": "Our new line is out", "platforms": [*platforms]}
    answer = ann.post(POSTS, json=post, headers=PATIENT)
    assert answer.json()["status"] == "published"


def heard_since(site, ann, tenant, days, *platforms):
    """Post on these networks, as if that had been so many days ago, and hear what people say."""
    publish(ann, *platforms)
    asked = "SELECT count(*) FROM work.listening WHERE tenant = %s AND provider = 'sandbox'"
    eventually(lambda: site.query(asked, tenant) == [(len(platforms),)])
    site.query(
        "UPDATE work.listening SET since = since - %s, due = now(), turn = turn + 1, cursor = NULL"
        " WHERE tenant = %s",
        timedelta(days=days),
        tenant,
    )
    asked = "SELECT count(cursor), sum(cursor::int) FROM work.listening WHERE tenant = %s"

    def everything():
        ((answered, told),) = site.query(asked, tenant)
        body = look(ann)
        return answered == len(platforms) and told == body["total_mentions"] and body

    return eventually(everything, 20)


def look(client, **asked):
    answer = client.get(MENTIONS, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_who_posts_hears_what_is_said_of_them(site, ann, tenant):
    hook = {"url": "https://shop.invalid/hook", "events": ["social.mention.detected"]}
    assert ann.post("/api/v1/webhooks/endpoints", json=hook).status_code == 200
    body = heard_since(site, ann, tenant, 20, "twitter", "linkedin")
    assert body["success"] is True
    assert 150 < body["total_mentions"] == sum(body["sentiment_breakdown"].values())
    assert set(body["sentiment_breakdown"]) == {"positive", "neutral", "negative"}
    shown = body["mentions"]
    assert len(shown) == 50
    assert shown == sorted(shown, key=lambda each: each["created_at"], reverse=True)
    assert {each["platform"] for each in shown} == {"twitter", "linkedin"}
    first = shown[0]
    assert first["mention_id"].startswith("men_") and first["url"].startswith("https://")
    assert first["created_at"].endswith("Z") and -1 <= first["sentiment_score"] <= 1
    assert set(first["engagement"]) == {"likes", "shares", "comments"}
    everything = look(ann, limit=100)["mentions"]
    assert tenant in everything[0]["content"]
    priorities = Counter(each["priority"] for each in everything)
    assert set(priorities) == {"high", "medium", "low"}
    assert body["trending_topics"][0].startswith("#")
    leading = body["influencer_mentions"]
    assert leading[0]["followers"] == max(each["followers"] for each in leading) >= 10_000
    assert set(leading[0]) == {*first, "followers"}
    assert body["alert_threshold_exceeded"] is True  # more than a hundred
    told = eventually(
        lambda: site.query(
            "SELECT count(*), count(DISTINCT position) FROM webhooks.deliveries"
            " WHERE tenant = %s AND name = 'social.mention.detected'", tenant
        )
    )  # fmt: skip
    urgent = site.query(
        "SELECT count(*) FROM read.mentions WHERE tenant = %s AND priority = 'high'", tenant
    )
    assert told[0][0] == told[0][1] == urgent[0][0] > 0


def test_totals_are_of_the_whole_filter_and_not_of_the_page(site, ann, tenant):
    body = heard_since(site, ann, tenant, 10, "twitter", "facebook")
    page = look(ann, limit=1)
    assert len(page["mentions"]) == 1
    for name in ("total_mentions", "sentiment_breakdown", "influencer_mentions"):
        assert page[name] == body[name]
    on = {each: look(ann, platforms=each) for each in ("twitter", "Facebook")}
    assert sum(each["total_mentions"] for each in on.values()) == body["total_mentions"]
    assert {m["platform"] for m in on["Facebook"]["mentions"]} == {"facebook"}
    assert look(ann, platforms="tiktok,pinterest")["total_mentions"] == 0
    for tone, n in body["sentiment_breakdown"].items():
        some = look(ann, sentiment_filter=tone.upper())
        assert some["total_mentions"] == some["sentiment_breakdown"][tone] == n
        assert {each["sentiment"] for each in some["mentions"]} <= {tone}
    middle = datetime.now(UTC) - timedelta(days=5)
    parts = [look(ann, date_from=middle.isoformat()), look(ann, date_to=middle.isoformat())]
    assert sum(part["total_mentions"] for part in parts) == body["total_mentions"]
    assert parts[0]["mentions"][-1]["created_at"] > parts[1]["mentions"][0]["created_at"]


def test_a_dismissed_mention_wants_no_answer(site, ann, tenant):
    heard_since(site, ann, tenant, 9, "twitter")
    waiting = eventually(
        lambda: [m for m in ann.get(MENTIONS).json()["mentions"] if m["requires_response"]]
    )
    path = f"{MENTIONS}/{waiting[0]['mention_id']}/dismiss"
    with site.client("read_only", tenant=tenant) as reader:
        assert reader.post(path, json={}).status_code == 403
    with site.client(tenant="another") as other:
        assert other.post(path, json={}).status_code == 404
    wrong = ann.post(path, json={"reason": "x" * 501})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "reason")
    assert ann.post(path, json={"reason": "A robot"}).json()["requires_response"] is False
    found = {m["mention_id"]: m for m in ann.get(MENTIONS).json()["mentions"]}
    assert found[waiting[0]["mention_id"]]["requires_response"] is False


def test_keywords_find_what_was_said(site, ann, tenant):
    everything = heard_since(site, ann, tenant, 10, "twitter")
    said = [each["content"] for each in look(ann, limit=100)["mentions"]]
    for keyword in ("Store", "new collection", "#moda", tenant):
        phrase = keyword.lower().lstrip("#")
        want = sum(f"{phrase} " in f"{text.lower()} " for text in said)
        found = look(ann, keywords=keyword, limit=100)
        assert found["total_mentions"] >= want > 0, keyword
        assert all(phrase in each["content"].lower() for each in found["mentions"])
    assert look(ann, keywords=tenant)["total_mentions"] == everything["total_mentions"]
    both = look(ann, keywords=["store", "moda"])
    apart = [look(ann, keywords=each)["total_mentions"] for each in ("store", "moda")]
    assert both["total_mentions"] == sum(apart)
    assert sum(both["sentiment_breakdown"].values()) == both["total_mentions"]
    assert look(ann, keywords="zeppelin")["mentions"] == []


def test_an_empty_period_and_an_unheard_tenant_are_zeros(ann):
    moment = datetime.now(UTC).isoformat()
    for asked in ({}, {"date_from": moment, "date_to": moment}, {"keywords": "nothing"}):
        assert look(ann, **asked) == {
            "success": True,
            "total_mentions": 0,
            "mentions": [],
            "sentiment_breakdown": {"positive": 0, "neutral": 0, "negative": 0},
            "trending_topics": [],
            "influencer_mentions": [],
            "alert_threshold_exceeded": False,
        }


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"date_from": "2024-02-01T00:00:00Z", "date_to": "2024-01-01T00:00:00Z"}, "date_to"),
        ({"date_from": "2024-02-01T00:00:00", "date_to": "2024-01-31T23:59:59"}, "date_to"),
        ({"date_from": "2090-01-01T00:00:00Z"}, "date_to"),
        ({"date_from": "yesterday"}, "date_from"),
        ({"date_to": "2024-13-01T00:00:00Z"}, "date_to"),
        ({"date_from": "0001-01-01T00:00:00+14:00"}, "date_from"),
        ({"platforms": "myspace"}, "platforms.0"),
        ({"platforms": ["twitter", ""]}, "platforms.1"),
        ({"sentiment_filter": "angry"}, "sentiment_filter"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"keywords": ""}, "keywords.0"),
        ({"keywords": "😍"}, "keywords.0"),
        ({"keywords": ["fine", "a\0b"]}, "keywords.1"),
        ({"keywords": "x" * 101}, "keywords.0"),
        ({"keywords": "'; DROP TABLE mentions; --"}, "keywords.0"),
        ({"keywords": "<script>alert(1)</script>"}, "keywords.0"),
        ({"keywords": [f"word{n}" for n in range(21)]}, "keywords"),
    ],
)
def test_bad_input_names_its_field(ann, asked, field):
    answer = ann.get(MENTIONS, params=asked)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]


def test_a_naive_time_means_utc(ann):
    moment = datetime.now(UTC).replace(tzinfo=None).isoformat()
    assert look(ann, date_from=moment, date_to=moment)["total_mentions"] == 0


def test_every_role_may_look_and_other_tenants_hear_nothing(site, ann, tenant):
    total = heard_since(site, ann, tenant, 2, "twitter")["total_mentions"]
    for role in ("super_admin", "developer", "api_user", "read_only"):
        with site.client(role, tenant=tenant, user=role) as user:
            assert look(user)["total_mentions"] >= total
            put = user.put(KEYWORDS, json={"keywords": []})
            assert put.status_code == (200 if role in ("super_admin", "developer") else 403)
    with site.client(tenant="acme-elsewhere") as eve:
        assert look(eve)["total_mentions"] == 0
        assert look(eve, keywords=tenant)["total_mentions"] == 0
    assert ann.get(MENTIONS, headers={"Authorization": "Bearer x"}).status_code == 401


def test_the_words_to_listen_for_are_the_tenants_own(site, ann, tenant):
    assert ann.get(KEYWORDS).json() == {"success": True, "keywords": []}
    chosen = {"keywords": ["#Nordlicht", "nordlicht", "  Nord   Licht ", "@Shop"]}
    answer = ann.put(KEYWORDS, json=chosen)
    assert answer.json() == {"success": True, "keywords": ["Nordlicht", "Nord Licht", "Shop"]}
    assert ann.get(KEYWORDS).json() == answer.json()
    heard_since(site, ann, tenant, 3, "twitter")
    assert look(ann, keywords="nordlicht")["total_mentions"] > 0
    again = ann.put(KEYWORDS, json={"keywords": ["Nordlicht"]}, headers={"If-Match": '"1"'})
    assert (again.status_code, again.headers["etag"]) == (200, '"2"')
    stale = ann.put(KEYWORDS, json={"keywords": []}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    for bad in ([""], ["!?"], ["x" * 101], ["a\nb\x07"], ["w"] * 21, "word"):
        refused = ann.put(KEYWORDS, json={"keywords": bad})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"].startswith("keywords")


def test_deleting_a_networks_data_takes_its_mentions(site, ann, tenant):
    heard_since(site, ann, tenant, 4, "facebook", "twitter")
    connect = {"platform": "facebook", "credentials": {"access_token": "token"}}
    assert ann.post(f"{PLATFORMS}/facebook/connect", json=connect).status_code == 200
    assert look(ann, platforms="facebook")["total_mentions"] > 0
    left = look(ann, platforms="twitter")["total_mentions"]
    gone = ann.delete(f"{PLATFORMS}/facebook", params={"delete_data": "true"})
    assert gone.json()["data_deleted"] is True
    assert look(ann, platforms="facebook")["total_mentions"] == 0
    assert look(ann, keywords=tenant, platforms="facebook")["total_mentions"] == 0
    assert look(ann, platforms="twitter")["total_mentions"] >= left
    for table in ("mentions", "mention_texts", "mention_figures", "mention_hashtags"):
        query = f"SELECT count(*) FROM read.{table} WHERE tenant = %s AND network = 'facebook'"
        assert site.query(query, tenant) == [(0,)]
    ended = "SELECT count(*) FROM work.listening WHERE tenant = %s AND network = 'facebook'"
    eventually(lambda: site.query(ended, tenant) == [(0,)])


def test_a_person_who_mentioned_the_brand_can_be_erased(site, ann, tenant):
    heard_since(site, ann, tenant, 10, "twitter")
    mine = look(ann, limit=100)["mentions"][0]
    handle, total = mine["author_handle"], look(ann)["total_mentions"]
    answer = ann.post("/api/v1/audit/erasures", json={"subject": f"twitter:{handle}"})
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    after = look(ann, limit=100)
    assert after["total_mentions"] >= total
    blank = next(m for m in after["mentions"] if m["mention_id"] == mine["mention_id"])
    assert {blank["author"], blank["author_handle"], blank["content"]} == {ERASED}
    assert blank["url"] == ""
    assert handle not in ann.get(MENTIONS, params={"limit": 100}).text
    history = f"/api/v1/audit/aggregates/{mine['mention_id'].removeprefix('men_')}/history"
    assert handle not in ann.get(history).text
    rows = site.query(
        "SELECT count(*) FROM read.mention_texts WHERE tenant = %s AND text = %s"
        " AND search @@ plainto_tsquery('simple', %s)", tenant, ERASED, tenant,
    )  # fmt: skip
    assert rows == [(0,)]


def test_rebuilt_tables_are_the_live_ones_also_after_an_erasure(site, ann, tenant):
    assert ann.put(KEYWORDS, json={"keywords": [tenant]}).status_code == 200
    heard_since(site, ann, tenant, 6, "twitter")
    site.query("DELETE FROM work.listening")
    handle = look(ann)["mentions"][0]["author_handle"]
    erased = ann.post("/api/v1/audit/erasures", json={"subject": f"twitter:{handle}"})
    assert erased.json()["status"] == "completed"
    time.sleep(0.5)  # looks that were under way
    url = site.settings.database_url
    with psycopg.connect(url, autocommit=True) as admin:
        live = [contents(admin, table) for table in Mentions.tables]
        assert all(live)
        asyncio.run(rebuild(url, Mentions()))
        assert [contents(admin, table) for table in Mentions.tables] == live
    assert look(ann)["total_mentions"] > 0
