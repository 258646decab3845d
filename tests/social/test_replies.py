"""Replies through the networks' own interfaces, each against a local server, and in the sandbox."""

import asyncio
import dataclasses
import uuid
from datetime import timedelta

import psycopg
import pytest

from application.kernel import NO_ANSWER
from application.social.networks import MentionReply, OutcomeUnknown, RefusedByNetwork
from domain.social.connections import ConnectionStatus
from domain.social.networks import Network
from tests.social.fake_networks import HANGS_AFTER, LOST_AFTER, LOST_BEFORE, TWICE, refuses
from tests.social.test_adapters import BAD, LIMITED, REFRESHES, playing

REPLIES = {
    "facebook": "POST /v22.0/*/comments",
    "instagram": "POST /v22.0/ig-1/mentions",
    "twitter": "POST /2/tweets",
    "linkedin": "POST /rest/socialActions/*/comments",
}
ABLE = sorted(REPLIES)
UNABLE = ["pinterest", "tiktok"]
TEXT = "Thank you, Amira & all! See https://example.com/care (new)"


@pytest.fixture(scope="module")
def database(create_database, template):
    return create_database(template)


def reply(case, text=TEXT, to="4711"):
    return MentionReply(case.tenant, uuid.uuid4(), case.network, to, text)


@pytest.mark.parametrize("name", ABLE)
def test_a_reply_goes_to_the_mention_and_once(name, database):
    async def run():
        async with playing(name, database) as case:
            account, answer = await case.account(), reply(case)
            receipt = await account.reply(answer)
            assert await account.find_reply(answer) == receipt
            assert await account.reply(answer) == receipt  # the same key again
            (kept,) = case.fake.posts
            assert (kept["id"], kept["text"], kept["to"]) == (receipt.network_post_id, TEXT, "4711")
            assert receipt.url.startswith("https://")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "fault"), [*((name, LOST_AFTER) for name in ABLE), ("facebook", HANGS_AFTER)]
)
def test_what_got_no_answer_is_looked_for_and_not_sent_again(name, fault, database):
    async def run():
        async with playing(name, database) as case:
            account, answer = await case.account(), reply(case)
            case.fake.fails(REPLIES[name], fault)
            with pytest.raises(OutcomeUnknown):
                await account.reply(answer)
            found = await (await case.account()).find_reply(answer)
            assert found.network_post_id == case.fake.posts[-1]["id"]
            assert len(case.fake.calls(REPLIES[name])) == len(case.fake.posts) == 1

    asyncio.run(run())


@pytest.mark.parametrize("name", ABLE)
def test_what_never_arrived_is_certain_only_after_a_while(name, database):
    async def run():
        async with playing(name, database) as case:
            account, answer = await case.account(), reply(case)
            assert await account.find_reply(answer) is None  # never begun
            case.fake.fails(REPLIES[name], LOST_BEFORE)
            with pytest.raises(OutcomeUnknown):
                await account.reply(answer)
            hasty = dataclasses.replace(case.house, certain_after=timedelta(minutes=10))
            with pytest.raises(OutcomeUnknown, match="yet"):
                await (await hasty.of(case.tenant, case.network)).find_reply(answer)
            assert await account.find_reply(answer) is None
            await account.reply(answer)
            assert len(case.fake.posts) == 1

    asyncio.run(run())


@pytest.mark.parametrize("name", ABLE)
def test_a_failing_network_may_have_it_and_a_double_answer_is_one(name, database):
    async def run():
        async with playing(name, database) as case:
            account = await case.account()
            case.fake.fails(REPLIES[name], refuses(500, {"message": "Internal error"}), TWICE)
            with pytest.raises(OutcomeUnknown):
                await account.reply(reply(case))
            first = await account.reply(reply(case, "One"))
            second = await account.reply(reply(case, "Two"))
            ids = [each["id"] for each in case.fake.posts]
            assert [first.network_post_id, second.network_post_id] == ids

    asyncio.run(run())


@pytest.mark.parametrize("name", ABLE)
def test_a_refused_reply_says_why_and_a_pause_is_kept(name, database):
    async def run():
        async with playing(name, database) as case:
            account, answer = await case.account(), reply(case)
            case.fake.fails(REPLIES[name], BAD[name], LIMITED[name])
            with pytest.raises(RefusedByNetwork, match="Invalid") as no:
                await account.reply(answer)
            assert (no.value.code, no.value.retry_after) == ("bad_post", None)
            assert "token-1" not in no.value.message
            assert await account.find_reply(answer) is None
            for _ in range(2):  # the second time by our own memory
                with pytest.raises(RefusedByNetwork) as no:
                    await account.reply(answer)
                assert (no.value.code, no.value.retry_after > 0) == ("rate_limited", True)
            assert case.fake.posts == []
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DELETE FROM work.network_pauses")

    asyncio.run(run())


@pytest.mark.parametrize("name", [name for name in ABLE if name in REFRESHES])
def test_refused_tokens_are_renewed_for_a_reply(name, database):
    async def run():
        async with playing(name, database) as case:
            case.fake.fails(REPLIES[name], case.fake.check_fault())
            receipt = await (await case.account()).reply(reply(case))
            assert case.fake.refreshed == 1
            assert [p["id"] for p in case.fake.posts] == [receipt.network_post_id]

    asyncio.run(run())


def test_an_account_that_has_ended_replies_nothing(database):
    async def run():
        async with playing("twitter", database) as case:
            case.fake.tokens = set()
            for _ in range(2):
                answer = reply(case)
                with pytest.raises(RefusedByNetwork) as no:
                    await (await case.account()).reply(answer)
                assert no.value.code == "reconnect"
                assert await (await case.account()).find_reply(answer) is None
            assert await case.states() == [ConnectionStatus.EXPIRED]

    asyncio.run(run())


@pytest.mark.parametrize("name", UNABLE)
def test_networks_that_no_program_can_reply_on_say_so(name, database):
    async def run():
        async with playing(name, database) as case:
            account, answer = await case.account(), reply(case)
            so_far = len(case.fake.asked)
            with pytest.raises(RefusedByNetwork, match="lets no program reply") as no:
                await account.reply(answer)
            assert (no.value.code, no.value.retry_after) == ("replies_unsupported", None)
            assert await account.find_reply(answer) is None
            assert len(case.fake.asked) == so_far

    asyncio.run(run())


def test_another_reply_with_the_same_words_is_not_taken_for_it(database):
    async def run():
        async with playing("facebook", database) as case:
            account = await case.account()
            first, second = reply(case), reply(case)
            await account.reply(first)
            case.fake.fails(REPLIES["facebook"], LOST_BEFORE)
            with pytest.raises(OutcomeUnknown):
                await account.reply(second)
            assert await account.find_reply(second) is None

    asyncio.run(run())


def test_a_comment_on_a_comment_names_both_on_linkedin(database):
    async def run():
        async with playing("linkedin", database) as case:
            target = "urn:li:comment:(urn:li:activity:77,88)"
            await (await case.account()).reply(reply(case, to=target))
            (kept,) = case.fake.posts
            assert kept["asked"] == {
                "actor": "urn:li:person:member-1",
                "object": "urn:li:activity:77",
                "parentComment": target,
                "message": {"text": TEXT},
            }

    asyncio.run(run())


def test_what_an_account_replied_is_not_looked_for_in_the_sandbox(database):
    async def run():
        async with playing("facebook", database) as case:
            account, answer = await case.account(), reply(case)
            case.fake.fails(REPLIES["facebook"], LOST_AFTER)
            with pytest.raises(OutcomeUnknown):
                await account.reply(answer)
            await case.connecting.disconnect(
                case.desk, case.network, lambda *_: NO_ANSWER, delete_data=True, revoke_tokens=False
            )
            with pytest.raises(OutcomeUnknown, match="not connected any more"):
                await (await case.account()).find_reply(answer)

    asyncio.run(run())


def test_the_sandbox_keeps_a_reply_once_and_no_text(database):
    async def run():
        async with playing("tiktok", database, connected=False) as case:
            account, answer = await case.account(), reply(case)
            assert (account.provider, await account.find_reply(answer)) == ("sandbox", None)
            receipts = await asyncio.gather(*(account.reply(answer) for _ in range(20)))
            assert {*receipts} == {await account.find_reply(answer)}
            with psycopg.connect(database) as connection:
                row = connection.execute(
                    "SELECT count(*), min(r::text) FROM sandbox.replies r WHERE tenant = %s",
                    [case.tenant],
                ).fetchone()
            assert (row[0], "Amira" in row[1]) == (1, False)
            await case.house.erase(case.tenant, Network.TIKTOK)
            assert await account.find_reply(answer) is None

    asyncio.run(run())


def test_a_comment_on_instagram_is_answered_below_it(database):
    async def run():
        async with playing("instagram", database) as case:
            account, answer = await case.account(), reply(case, to="55_77")
            await account.reply(answer)
            (asked,) = case.fake.calls(REPLIES["instagram"])
            assert (asked.form["media_id"], asked.form["comment_id"]) == ("55", "77")
            case.fake.fails(REPLIES["instagram"], LOST_AFTER)
            lost = reply(case, to="55_78")
            with pytest.raises(OutcomeUnknown):
                await account.reply(lost)
            with pytest.raises(OutcomeUnknown, match="answers to a comment"):
                await (await case.account()).find_reply(lost)
            assert len(case.fake.calls(REPLIES["instagram"])) == 2

    asyncio.run(run())
