"""Who mentions an account: each network against a local server that answers as documented."""

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from application.kernel import NO_ANSWER
from application.social.networks import OutcomeUnknown, Watch
from domain.social.connections import ConnectionStatus
from tests.social.fake_networks import (
    FAKES,
    HANGS_AFTER,
    LOST_AFTER,
    LOST_BEFORE,
    TWICE,
    graph_error,
    refuses,
)
from tests.social.fake_networks.mentioning import MENTIONING, Mentioned
from tests.social.test_adapters import BAD, LIMITED, playing

EVERY = sorted(MENTIONING)
ASKS = {
    "facebook": "GET /v22.0/page-1/tagged",
    "instagram": "GET /v22.0/ig-1/tags",
    "linkedin": "GET /rest/organizationalEntityNotifications",
    "twitter": "GET /2/users/42/mentions",
}
NOW = datetime.now(UTC).replace(microsecond=0)
SINCE = NOW - timedelta(days=3)


@pytest.fixture(scope="module")
def database(create_database, template):
    return create_database(template)


@pytest.fixture(autouse=True)
def told(monkeypatch):
    for name, fake in MENTIONING.items():
        monkeypatch.setitem(FAKES, name, fake)


def said(n, text="Love the shop &amp; its tea!", **more):
    given = {"author": "amira", "at": NOW - timedelta(hours=n), **more}
    return Mentioned(f"urn:li:share:{n}", text.replace("&amp;", "&"), **given)


@asynccontextmanager
async def mentioned(name, database, *mentions, **environment):
    """An account of which these things are said."""
    async with playing(name, database, connected=False, **environment) as case:
        await case.connect(**({"account_id": "77"} if name == "linkedin" else {}))
        case.fake.mentioned = list(mentions)
        yield case


async def hear(case, cursor=None, words=()):
    watch = Watch(case.tenant, case.network, words, SINCE, cursor)
    return await (await case.account()).mentions(watch)


@pytest.mark.parametrize("name", EVERY)
def test_mentions_are_told_with_all_that_is_known_of_them(name, database):
    async def run():
        async with mentioned(name, database, said(1), said(2)) as case:
            heard = await hear(case)
            assert heard.offered
            first = next(each for each in heard.mentions if each.id == "urn:li:share:1")
            assert (len(heard.mentions), first.text) == (2, "Love the shop & its tea!")
            assert first.at == NOW - timedelta(hours=1)
            assert first.url.startswith("https://")
            known = {
                "facebook": ("", "", 0, 4, 3, 3),
                "instagram": ("amira", "amira", 0, 4, 0, 3),
                "linkedin": ("", "urn:li:person:amira", 0, 0, 0, 0),
                "twitter": ("Amira", "amira", 12_000, 4, 3, 3),
            }[name]
            found = (first.author, first.handle, first.followers)
            assert (*found, first.likes, first.shares, first.comments) == known

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_the_cursor_leads_on_from_what_was_heard(name, database):
    async def run():
        async with mentioned(name, database, said(5), said(30), said(2000)) as case:
            heard = await hear(case)
            assert sorted(each.id for each in heard.mentions) == [
                "urn:li:share:30",
                "urn:li:share:5",
            ]
            assert datetime.fromisoformat(heard.cursor) == NOW - timedelta(hours=5)
            again = await hear(case, heard.cursor)
            assert again.cursor == heard.cursor
            case.fake.mentioned.append(said(1))
            later = await hear(case, heard.cursor)
            new = {each.id for each in later.mentions} - {each.id for each in heard.mentions}
            assert new == {"urn:li:share:1"}
            assert datetime.fromisoformat(later.cursor) == NOW - timedelta(hours=1)
            case.fake.mentioned.clear()
            empty = await hear(case, later.cursor)
            assert (list(empty.mentions), empty.cursor) == ([], later.cursor)

    asyncio.run(run())


@pytest.mark.parametrize("name", ["facebook", "instagram", "twitter"])
def test_several_pages_are_one_answer_and_a_flood_is_not_endless(name, database):
    async def run():
        many = [said(1, at=NOW - timedelta(minutes=n)) for n in range(25)]
        many = [Mentioned(f"m{n}", each.text, each.at, each.author) for n, each in enumerate(many)]
        async with mentioned(name, database, *many) as case:
            case.fake.per_page = 10
            heard = await hear(case)
            assert [each.id for each in heard.mentions] == [f"m{n}" for n in range(25)]
            assert len(case.fake.calls(ASKS[name])) == 3
            case.fake.per_page = 1
            assert len((await hear(case)).mentions) == 10  # pages of one look

    asyncio.run(run())


def test_linkedin_reads_the_oldest_posts_first_and_so_many_at_once(database, monkeypatch):
    monkeypatch.setattr("infrastructure.networks.mentions.POSTS", 3)

    async def run():
        gone = said(9, text="")
        async with mentioned("linkedin", database, *map(said, range(1, 9)), gone) as case:
            heard, ids = None, []
            for _ in range(4):
                heard = await hear(case, heard and heard.cursor)
                ids += [each.id.rpartition(":")[2] for each in heard.mentions]
            assert list(dict.fromkeys(ids)) == ["8", "7", "6", "5", "4", "3", "2", "1"]

    asyncio.run(run())


def test_linkedin_tells_nothing_of_members_nor_tiktok_and_pinterest_of_anybody(database):
    async def run():
        for name in ("linkedin", "tiktok", "pinterest"):
            async with playing(name, database) as case:
                asked = len(case.fake.asked)
                heard = await hear(case, "earlier")
                assert (list(heard.mentions), heard.cursor, heard.offered) == ([], "earlier", False)
                assert len(case.fake.asked) == asked

    asyncio.run(run())


@pytest.mark.parametrize("name", ["facebook", "linkedin", "twitter"])
def test_what_the_account_itself_says_is_no_mention(name, database):
    async def run():
        own = said(1, author="")
        async with mentioned(name, database, own, said(2), said(3, repost=True)) as case:
            found = [each.id for each in (await hear(case)).mentions]
            others = ["urn:li:share:3", "urn:li:share:2"] if name == "linkedin" else None
            assert found == (
                others or ["urn:li:share:2", "urn:li:share:3"][: 1 + (name != "twitter")]
            )

    asyncio.run(run())


def test_x_is_searched_for_the_brands_words_too(database):
    async def run():
        async with mentioned("twitter", database, said(1)) as case:
            case.fake.searched = [said(1), said(2, "Nord Licht is fine"), said(3, "Nothing")]
            assert len((await hear(case)).mentions) == 1
            assert not case.fake.calls("GET /2/tweets/search/recent")
            heard = await hear(case, words=('Nord" Licht', "Nord Licht", *["x" * 90] * 20))
            assert [each.id for each in heard.mentions] == ["urn:li:share:1", "urn:li:share:2"]

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("fault", ["lost before", "lost after", "hangs", "fails", "lies", "bad"])
def test_a_network_that_does_not_tell_is_asked_again_later(name, fault, database):
    faults = {
        "lost before": LOST_BEFORE,
        "lost after": LOST_AFTER,
        "hangs": HANGS_AFTER,
        "fails": refuses(503, {"message": "Unavailable"}),
        "lies": refuses(200, {"data": "nothing", "elements": 7}),
        "bad": BAD[name],
    }

    async def run():
        async with mentioned(name, database, said(1)) as case:
            case.fake.fails(ASKS[name], *[faults[fault]] * 2)  # reads are tried twice
            with pytest.raises(OutcomeUnknown) as unknown:
                await hear(case)
            assert "token-1" not in str(unknown.value)
            case.fake.faults.clear()
            assert [each.id for each in (await hear(case)).mentions] == ["urn:li:share:1"]
            assert await case.states() == [ConnectionStatus.ACTIVE]

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_an_answer_that_comes_twice_is_one_answer(name, database):
    async def run():
        async with mentioned(name, database, said(1)) as case:
            case.fake.fails(ASKS[name], TWICE)
            for _ in range(2):
                assert [each.id for each in (await hear(case)).mentions] == ["urn:li:share:1"]

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_a_network_that_wants_a_pause_is_left_alone(name, database):
    async def run():
        async with mentioned(name, database, said(1)) as case:
            case.fake.fails(ASKS[name], LIMITED[name])
            with pytest.raises(OutcomeUnknown):
                await hear(case)
            so_far = len(case.fake.asked)
            with pytest.raises(OutcomeUnknown, match="pause"):
                await hear(case)
            assert len(case.fake.asked) == so_far
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute("DELETE FROM work.network_pauses")
            assert len((await hear(case)).mentions) == 1

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_tokens_that_are_no_more_end_the_connection(name, database):
    async def run():
        async with mentioned(name, database, said(1)) as case:
            case.fake.tokens, case.fake.refreshed = set(), 9
            with pytest.raises(OutcomeUnknown):
                await hear(case)
            assert await case.states() == [ConnectionStatus.EXPIRED]
            with pytest.raises(OutcomeUnknown, match="connected anew"):
                await hear(case)

    asyncio.run(run())


async def show(case, id):
    return await (await case.account()).mention(id)


@pytest.mark.parametrize(
    ("name", "comment", "id", "known"),
    [
        ("facebook", False, "900_5", ("", "https://fb/900_5", 4, 3, 3)),
        ("facebook", True, "5_7", ("", "https://fb/5_7", 4, 0, 3)),
        ("instagram", False, "5", ("amira", "https://ig/5", 4, 0, 3)),
        ("instagram", True, "5_7", ("amira", None, 4, 0, 0)),
    ],
)
def test_what_the_webhook_names_is_shown_with_all_that_is_known_of_it(
    name, comment, id, known, database
):
    async def run():
        async with mentioned(name, database) as case:
            below = id.rpartition("_")[2] if name == "instagram" else id
            case.fake.noticed = [
                Mentioned(below, "Love it!", NOW - timedelta(hours=1), "amira", comment=comment)
            ]
            heard = await show(case, id)
            assert (heard.id, heard.text, heard.at) == (id, "Love it!", NOW - timedelta(hours=1))
            figures = (heard.likes, heard.shares, heard.comments)
            assert (heard.handle, heard.url, *figures) == known

    asyncio.run(run())


def test_a_field_that_instagram_does_not_show_there_is_done_without(database):
    async def run():
        async with mentioned("instagram", database) as case:
            case.fake.noticed = [said(1, at=NOW), Mentioned("7", "Hm.", NOW, "bo", comment=True)]
            case.fake.noticed[0] = dataclasses.replace(case.fake.noticed[0], id="5")
            for id, name in (("5", "amira"), ("5_7", "")):
                case.fake.fails("GET /v22.0/ig-1", graph_error(100, "Nonexisting field."))
                heard = await show(case, id)
                assert (heard.id, heard.handle, heard.url) == (id, name, None)

    asyncio.run(run())


@pytest.mark.parametrize("name", sorted(FAKES))
def test_networks_that_tell_nothing_show_nothing(name, database):
    async def run():
        async with playing(name, database) as case:
            asked = len(case.fake.asked)
            if name not in ("facebook", "instagram"):
                assert await show(case, "5") is None
                assert len(case.fake.asked) == asked
            await case.connecting.disconnect(
                case.desk, case.network, lambda *_: NO_ANSWER, delete_data=True, revoke_tokens=False
            )
            assert await show(case, "5") is None  # the sandbox

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "asks"), [("facebook", "GET /v22.0/*"), ("instagram", "GET /v22.0/ig-1")]
)
@pytest.mark.parametrize("fault", ["hangs", "lies", "limits", "not permitted"])
def test_a_mention_that_is_not_shown_is_unknown(name, asks, fault, database):
    faults = {
        "hangs": HANGS_AFTER,
        "lies": refuses(200, {"mentioned_media": {"timestamp": "soon"}, "created_time": []}),
        "limits": LIMITED[name],
        "not permitted": graph_error(10, "The app needs a permission."),
    }

    async def run():
        async with mentioned(name, database) as case:
            case.fake.noticed = [Mentioned("5", "Love it!", NOW, "amira")]
            case.fake.fails(asks, *[faults[fault]] * 2)
            with pytest.raises(OutcomeUnknown):
                await show(case, "5")
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute("DELETE FROM work.network_pauses")
            case.fake.faults.clear()
            assert (await show(case, "5")).text == "Love it!"
            assert await case.states() == [ConnectionStatus.ACTIVE]

    asyncio.run(run())
