"""The six networks, each against a local server that answers as its documentation says."""

import asyncio
import contextlib
import dataclasses
import ssl
import uuid
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest

from application.kernel import NO_ANSWER, Desk
from application.social.accounts import Identity, NotAccepted, NotAnswered, Renewed
from application.social.connecting import VERIFY_AGAIN, Connecting
from application.social.connections import ConnectPlatform, NoteRefreshed
from application.social.networks import OutcomeUnknown, Publication, RefusedByNetwork
from domain.social.connections import Connection, ConnectionStatus
from domain.social.networks import Network
from infrastructure.event_log.log import open_log
from infrastructure.gateway_lanes import GatewayLimits
from infrastructure.networks.linkedin import little_text, plain_text
from infrastructure.networks.oauth1 import Signer
from infrastructure.networks.registry import networks
from infrastructure.settings import load
from tests.social.fake_networks import (
    APPS,
    CREDENTIALS,
    FAKES,
    HANGS_AFTER,
    LOST_AFTER,
    LOST_BEFORE,
    MP4,
    PNG,
    TWICE,
    graph_error,
    refuses,
    serving,
    serving_files,
)

LIMITS = GatewayLimits(timeout=0.4, connect_timeout=0.5, attempts=2, first_wait=0.01)
CONTEXT = ssl.create_default_context()
TEXT = "Tea & biscuits at https://example.com/shop (new!)"

PUBLISHES = {
    "facebook": "POST /v22.0/page-1/photos",
    "instagram": "POST /v22.0/ig-1/media_publish",
    "twitter": "POST /2/tweets",
    "linkedin": "POST /rest/posts",
    "tiktok": "POST /v2/post/publish/content/init/",
    "pinterest": "POST /v5/pins",
}
IDENTIFIES = {
    "facebook": "GET /v22.0/me/accounts",
    "instagram": "GET /v22.0/me",
    "twitter": "GET /2/users/me",
    "linkedin": "GET /v2/userinfo",
    "tiktok": "GET /v2/user/info/",
    "pinterest": "GET /v5/user_account",
}
ACCOUNTS = {
    "facebook": "page-1",
    "instagram": "ig-1",
    "twitter": "42",
    "linkedin": "member-1",
    "tiktok": "open-1",
    "pinterest": "pin-1",
}
LIMITED = {
    "facebook": graph_error(32, "Page request limit reached."),
    "instagram": graph_error(4, "Application request limit reached."),
    "twitter": refuses(429, {"detail": "Too Many Requests"}, retry_after="30"),
    "linkedin": refuses(429, {"message": "Resource level throttle."}, retry_after="30"),
    "tiktok": refuses(429, {"error": {"code": "rate_limit_exceeded", "message": "Slow down."}}),
    "pinterest": refuses(429, {"message": "You have exceeded your rate limit."}, retry_after="30"),
}
BAD = {
    "facebook": graph_error(100, "Invalid parameter token-1"),
    "instagram": graph_error(100, "Invalid parameter token-1"),
    "twitter": refuses(400, {"detail": "Invalid parameter token-1"}),
    "linkedin": refuses(422, {"message": "Invalid parameter token-1"}),
    "tiktok": refuses(400, {"error": {"code": "invalid_params", "message": "Invalid token-1"}}),
    "pinterest": refuses(400, {"code": 1, "message": "Invalid parameter token-1"}),
}
EVERY = sorted(FAKES)
REFRESHES = [name for name in EVERY if name != "twitter"]


@pytest.fixture(scope="module")
def database(create_database, template):
    return create_database(template)


@pytest.fixture(scope="module")
def files():
    with serving_files() as url:
        yield url


class Case:
    """One tenant, one network, one account."""

    def __init__(self, name, fake, house, connecting):
        self.network, self.fake = Network(name), fake
        self.tenant = f"t-{uuid.uuid4().hex[:12]}"
        self.house, self.connecting = house, connecting
        self.desk = Desk(house.log, self.tenant, "ann", "request-1")

    async def connect(self, **options):
        outcomes = []
        request = ConnectPlatform(
            platform=self.network, credentials=CREDENTIALS[self.network], **options
        )
        await self.connecting.connect(self.desk, request, lambda o: outcomes.append(o) or NO_ANSWER)
        return outcomes[0]

    def post(self, *media, text=TEXT):
        return Publication(self.tenant, uuid.uuid4(), self.network, text, tuple(media), None)

    async def account(self):
        return await self.house.of(self.tenant, self.network)

    async def connection(self):
        stream = Connection.create_id(self.network, self.tenant)
        return await self.house.log.load(Connection, stream)

    async def states(self):
        return [each.status for each in (await self.connection()).accounts.values()]


@asynccontextmanager
async def playing(name, database, *, certain_after=timedelta(0), connected=True, **environment):
    """A network that answers, an installation that is registered with it, an account on it."""
    fake = FAKES[name]()
    with ExitStack() as stack:
        fake.url = url = stack.enter_context(serving(fake))
        settings = load(
            {
                "JWT_SECRET_KEY": "a secret of the tests that is long enough",
                "ENCRYPTION_KEY": "another secret of the tests, also long",
                "ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8",
                f"{name.upper()}_BASE_URL": url,
                **APPS,
                **environment,
            },
            Path("/nowhere"),
            database,
            "redis://nowhere",
        )
        async with (
            open_log(settings, "test") as log,
            networks(settings, log, LIMITS, CONTEXT) as house,
        ):
            house = dataclasses.replace(house, certain_after=certain_after)
            case = Case(name, fake, house, Connecting(log, house))
            if connected:
                outcome = await case.connect()
                assert isinstance(outcome.found, Identity)
            yield case


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    """No pauses between looks at what a network works on."""
    for adapter in ("instagram.Instagram", "tiktok.TikTok", "linkedin.LinkedIn"):
        monkeypatch.setattr(f"infrastructure.networks.{adapter}.waits", (0, 0, 0))


@pytest.mark.parametrize("name", EVERY)
def test_a_post_goes_out_once_and_is_measured(name, database, files):
    async def run():
        async with playing(name, database) as case:
            account = await case.account()
            assert (account.provider, account.api.account) == (name, ACCOUNTS[name])
            post = case.post(f"{files}/photo.png")
            receipt = await account.publish(post)
            assert await account.find(post) == receipt
            assert await account.publish(post) == receipt  # the same key again
            assert len(case.fake.posts) == 1
            assert receipt.network_post_id == case.fake.posts[0]["id"]
            assert receipt.url.startswith("https://")
            figures, comments = await account.engagement(post, receipt.network_post_id)
            assert (figures.likes, figures.comments) == (7, 1)
            if name not in ("tiktok", "pinterest"):
                assert [(each.id, each.text) for each in comments] == [("c1", "Love it!")]
                assert comments[0].sentiment > 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "fault"),
    [*((name, LOST_AFTER) for name in EVERY), ("twitter", HANGS_AFTER), ("tiktok", HANGS_AFTER)],
)
def test_what_got_no_answer_is_looked_for_and_not_sent_again(name, fault, database, files):
    async def run():
        async with playing(name, database) as case:
            account = await case.account()
            earlier, post = case.post(f"{files}/photo.png"), case.post(f"{files}/photo.png")
            if name != "twitter":  # which takes no text twice
                await account.publish(earlier)
            case.fake.fails(PUBLISHES[name], fault)
            with pytest.raises(OutcomeUnknown):
                await account.publish(post)
            found = await (await case.account()).find(post)
            assert found.network_post_id == case.fake.posts[-1]["id"]
            assert len(case.fake.calls(PUBLISHES[name])) == len(case.fake.posts)

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_what_never_arrived_is_certain_only_after_a_while(name, database, files):
    async def run():
        async with playing(name, database) as case:
            account = await case.account()
            post = case.post(f"{files}/photo.png")
            assert await account.find(post) is None  # never begun
            case.fake.fails(PUBLISHES[name], LOST_BEFORE)
            with pytest.raises(OutcomeUnknown):
                await account.publish(post)
            hasty = dataclasses.replace(case.house, certain_after=timedelta(minutes=10))
            with pytest.raises(OutcomeUnknown, match="yet"):
                await (await hasty.of(case.tenant, case.network)).find(post)
            assert await account.find(post) is None
            await account.publish(post)
            assert len(case.fake.posts) == 1

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_a_failing_network_may_have_published(name, database, files):
    async def run():
        async with playing(name, database) as case:
            account, post = await case.account(), case.post(f"{files}/photo.png")
            case.fake.fails(PUBLISHES[name], refuses(500, {"message": "Internal error"}))
            with pytest.raises(OutcomeUnknown):
                await account.publish(post)

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_an_answer_that_comes_twice_is_one_answer(name, database, files):
    async def run():
        async with playing(name, database) as case:
            account = await case.account()
            case.fake.fails(PUBLISHES[name], TWICE)
            first = await account.publish(case.post(f"{files}/photo.png"))
            second = await account.publish(case.post(f"{files}/photo.png", text="Another one"))
            ids = [each["id"] for each in case.fake.posts]
            assert [first.network_post_id, second.network_post_id] == ids

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_a_refused_post_says_why_and_no_secrets(name, database, files):
    async def run():
        async with playing(name, database) as case:
            account, post = await case.account(), case.post(f"{files}/photo.png")
            case.fake.fails(PUBLISHES[name], BAD[name])
            with pytest.raises(RefusedByNetwork, match="Invalid") as no:
                await account.publish(post)
            assert (no.value.code, no.value.retry_after) == ("bad_post", None)
            assert "token-1" not in no.value.message
            assert await account.find(post) is None
            assert await case.states() == [ConnectionStatus.ACTIVE]

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_a_network_that_wants_a_pause_gets_it(name, database, files):
    async def run():
        async with playing(name, database) as case:
            account, post = await case.account(), case.post(f"{files}/photo.png")
            case.fake.fails(PUBLISHES[name], LIMITED[name])
            with pytest.raises(RefusedByNetwork) as no:
                await account.publish(post)
            assert no.value.code == "rate_limited"
            assert no.value.retry_after >= 30
            so_far = len(case.fake.asked)
            with pytest.raises(RefusedByNetwork) as no:  # by our own memory, in any process
                await (await case.account()).publish(post)
            assert (no.value.code, len(case.fake.asked)) == ("rate_limited", so_far)
            assert 0 < no.value.retry_after <= 900
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute("DELETE FROM work.network_pauses")
            await account.publish(post)
            assert len(case.fake.posts) == 1

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_a_network_that_is_away_has_received_nothing(name, database, files):
    async def run():
        async with playing(name, database, **{f"{name.upper()}_BASE_URL": "http://127.0.0.1:9"},
                           connected=False) as case:  # fmt: skip
            outcome = await case.connect()
            assert isinstance(outcome.found, NotAnswered)
            assert await case.states() == [ConnectionStatus.PENDING]
            with pytest.raises(RefusedByNetwork) as no:
                await (await case.account()).publish(case.post(f"{files}/photo.png"))
            assert no.value.code == "not_confirmed"
        async with playing(name, database) as case:
            account, post = await case.account(), case.post(f"{files}/photo.png")
            app = dataclasses.replace(account.api.line.app, base_url="http://127.0.0.1:9")
            account.api.line = dataclasses.replace(account.api.line, app=app)
            with pytest.raises(RefusedByNetwork) as no:
                await account.publish(post)
            assert no.value.code == "unreachable"
            assert await account.find(post) is None

    asyncio.run(run())


@pytest.mark.parametrize("name", REFRESHES)
def test_refused_tokens_are_renewed_once_for_all_who_need_them(name, database, files):
    async def run():
        async with playing(name, database) as case:
            case.fake.slow_refresh = 0.1
            quota = "GET /v22.0/ig-1/content_publishing_limit"
            first = quota if name == "instagram" else PUBLISHES[name]
            case.fake.fails(first, *[case.fake.check_fault()] * 4)
            accounts = [await case.account() for _ in range(4)]
            texts = [f"Post {n}" for n in range(4)]
            receipts = await asyncio.gather(
                *(
                    a.publish(case.post(f"{files}/photo.png", text=t))
                    for a, t in zip(accounts, texts, strict=True)
                )
            )
            assert case.fake.refreshed == 1
            assert {each.network_post_id for each in receipts} == {p["id"] for p in case.fake.posts}
            kept = await case.house.kept(case.tenant, case.network, accounts[0].connection_id)
            assert kept["access_token"] == "token-2"
            link = (await case.connection()).current.link
            assert link.expires_at is not None

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_tokens_that_cannot_be_renewed_end_the_connection(name, database, files):
    async def run():
        async with playing(name, database) as case:
            account = await case.account()
            case.fake.tokens = set()
            case.fake.refreshed = 9
            with pytest.raises(RefusedByNetwork) as no:
                await account.publish(case.post(f"{files}/photo.png"))
            assert no.value.code == "reconnect"
            assert await case.states() == [ConnectionStatus.EXPIRED]
            so_far = len(case.fake.asked)
            with pytest.raises(RefusedByNetwork) as no:
                await (await case.account()).publish(case.post(f"{files}/photo.png"))
            assert (no.value.code, len(case.fake.asked)) == ("reconnect", so_far)
            assert await (await case.account()).find(case.post()) is None  # never sent

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_connecting_asks_whose_the_credentials_are(name, database):
    async def run():
        async with playing(name, database, connected=False) as case:
            found = (await case.connect(account_id=ACCOUNTS[name])).found
            assert found.account_id == ACCOUNTS[name]
            assert found.name
            if name not in ("facebook", "linkedin"):
                other = (await case.connect(account_id="somebody-else")).found
                assert (other.code, ACCOUNTS[name] in other.message) == ("other_account", True)
            case.fake.tokens = set()
            refused = (await case.connect()).found
            assert isinstance(refused, NotAccepted)
            assert refused.code == "reconnect"
            assert await case.states() == [ConnectionStatus.ACTIVE]

    asyncio.run(run())


@pytest.mark.parametrize("name", EVERY)
def test_disconnecting_takes_tokens_back_where_the_network_can(name, database):
    async def run():
        async with playing(name, database) as case:
            can = name not in ("instagram", "pinterest")
            told = []
            await case.connecting.disconnect(
                case.desk,
                case.network,
                lambda _, revoked: told.append(revoked) or NO_ANSWER,
                delete_data=False,
                revoke_tokens=True,
            )
            assert told == [can]
            assert case.fake.revoked == (["token-1"] if can else [])
            account = await case.account()
            assert account.provider == "sandbox"

    asyncio.run(run())


def test_what_an_account_sent_is_not_looked_for_elsewhere(database):
    async def run():
        async with playing("facebook", database) as case:
            account, post = await case.account(), case.post()
            case.fake.fails("POST /v22.0/page-1/feed", LOST_AFTER)
            with pytest.raises(OutcomeUnknown):
                await account.publish(post)
            await case.connecting.disconnect(
                case.desk, case.network, lambda *_: NO_ANSWER, delete_data=True, revoke_tokens=False
            )
            await case.house.erase(case.tenant, case.network)
            with pytest.raises(OutcomeUnknown, match="not connected any more"):
                await (await case.account()).find(post)
            await case.connect()
            with pytest.raises(OutcomeUnknown, match="another account"):
                await (await case.account()).find(post)

    asyncio.run(run())


def test_several_photos_are_one_post(database, files):
    async def run():
        urls = [f"{files}/photo.png"] * 3
        for name, check in {
            "facebook": lambda f: f.posts[0]["media"] == 3 and not f.unpublished,
            "instagram": lambda f: f.posts[0]["media_type"] == "CAROUSEL",
            "twitter": lambda f: [f.uploads[id] for id in f.posts[0]["media"]] == [PNG] * 3,
            "linkedin": lambda f: len(f.posts[0]["content"]["multiImage"]["images"]) == 3,
            "tiktok": lambda f: f.posts[0]["media"]["photo_images"] == urls,
            "pinterest": lambda f: f.posts[0]["media"]["items"] == [{"url": u} for u in urls],
        }.items():
            async with playing(name, database) as case:
                await (await case.account()).publish(case.post(*urls))
                assert check(case.fake), name

    asyncio.run(run())


def test_a_video_goes_the_way_of_videos(database, files):
    async def run():
        for name in ("facebook", "instagram", "twitter", "tiktok"):
            async with playing(name, database) as case:
                post = case.post(f"{files}/film.mp4")
                account = await case.account()
                receipt = await account.publish(post)
                assert receipt.network_post_id == case.fake.posts[0]["id"], name
                if name == "twitter":
                    assert case.fake.uploads[case.fake.posts[0]["media"][0]] == MP4

    asyncio.run(run())


@pytest.mark.parametrize("address", ["text.png", "nowhere.png"])
def test_media_that_cannot_be_used_stop_the_post(address, database, files):
    async def run():
        for name in ("twitter", "linkedin"):
            async with playing(name, database) as case:
                account = await case.account()
                with pytest.raises(RefusedByNetwork) as no:
                    await account.publish(case.post(f"{files}/{address}"))
                assert (no.value.code, case.fake.posts) == ("media", [])

    asyncio.run(run())


def test_media_are_fetched_through_the_guard(database, files):
    async def run():
        async with playing("twitter", database, ALLOW_PRIVATE_NETWORKS="") as case:
            with pytest.raises(RefusedByNetwork, match="loopback") as no:
                await (await case.account()).publish(case.post(f"{files}/photo.png"))
            assert no.value.code == "media"

    asyncio.run(run())


def test_instagram_keeps_to_its_quota_and_tells_of_broken_media(database, files):
    async def run():
        async with playing("instagram", database) as case:
            account, post = await case.account(), case.post(f"{files}/photo.png")
            case.fake.used = 50
            with pytest.raises(RefusedByNetwork) as no:
                await account.publish(post)
            assert (no.value.code, no.value.retry_after) == ("quota_used_up", 3600)
            case.fake.used, case.fake.broken = 0, True
            with pytest.raises(RefusedByNetwork) as no:
                await account.publish(post)
            assert no.value.code == "media"
            case.fake.broken, case.fake.looks = False, 99
            with pytest.raises(RefusedByNetwork) as no:
                await account.publish(post)
            assert (no.value.code, no.value.retry_after) == ("still_processing", 60)
            case.fake.fails("POST /v22.0/ig-1/media", HANGS_AFTER)
            with pytest.raises(RefusedByNetwork) as no:  # a container is not a post
                await account.publish(post)
            assert (no.value.code, case.fake.posts) == ("no_answer", [])

    asyncio.run(run())


def test_instagram_has_published_what_it_does_not_show_yet(database, files):
    async def run():
        async with playing("instagram", database) as case:
            account, post = await case.account(), case.post(f"{files}/photo.png")
            case.fake.fails(PUBLISHES["instagram"], LOST_AFTER)
            with pytest.raises(OutcomeUnknown):
                await account.publish(post)
            case.fake.hidden = True
            with pytest.raises(OutcomeUnknown):  # though long enough ago
                await account.find(post)

    asyncio.run(run())


def test_tiktok_tells_the_outcome_by_its_own_id(database, files):
    async def run():
        async with playing("tiktok", database) as case:
            account, post = await case.account(), case.post(f"{files}/photo.png")
            status = "POST /v2/post/publish/status/fetch/"
            case.fake.fails(status, LIMITED["tiktok"])
            with pytest.raises(OutcomeUnknown):  # it has the post, only its status was refused
                await account.publish(post)
            case.fake.hidden = True
            found = None
            while found is None:
                with contextlib.suppress(OutcomeUnknown):
                    found = await account.find(post)
            assert found.network_post_id == case.fake.posts[0]["id"]
            case.fake.broken = True
            with pytest.raises(RefusedByNetwork, match="picture_size_check_failed"):
                await account.publish(case.post(f"{files}/photo.png"))

    asyncio.run(run())


def test_an_account_that_the_network_has_closed_is_given_up(database):
    async def run():
        async with playing("twitter", database) as case:
            no = refuses(403, {"detail": "Your account is suspended."})
            case.fake.fails(PUBLISHES["twitter"], no)
            with pytest.raises(RefusedByNetwork) as refused:
                await (await case.account()).publish(case.post())
            assert refused.value.code == "disconnected"
            assert await case.states() == [ConnectionStatus.EXPIRED]

    asyncio.run(run())


def test_requests_are_signed_as_x_shows_it():
    """The worked example of X's documentation, "Creating a signature"."""
    signer = Signer(
        "xvz1evFS4wEEPTGEFPHBog",
        "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
        "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
        "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
    )
    header = signer.header(
        "POST",
        "https://api.twitter.com/1.1/statuses/update.json?include_entities=true",
        {"status": "Hello Ladies + Gentlemen, a signed OAuth request!"},
        nonce="kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg",
        timestamp=1318622958,
    )
    assert 'oauth_signature="hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D"' in header


def test_linkedins_reserved_characters_are_escaped():
    text = "a_b (c) #Tea #1 {x} @y \\ 5 < 6"
    assert little_text("a_b (c) #Tea") == r"a\_b \(c\) {hashtag|\#|Tea}"
    assert plain_text(little_text(text)) == text


def test_an_account_is_confirmed_once_its_network_answers_again(database):
    async def run():
        async with playing("linkedin", database, connected=False) as case:
            case.fake.fails(IDENTIFIES["linkedin"], *[refuses(503)] * 4)
            for _ in range(2):
                assert isinstance((await case.connect()).found, NotAnswered)
            first, second = (await case.connection()).accounts
            again = partial(case.connecting.verify, case.tenant, "linkedin")
            assert await again(first.hex, 1) == []
            assert await again(first.hex, 2) == []  # a job may run twice
            assert await case.states() == [ConnectionStatus.ACTIVE, ConnectionStatus.PENDING]
            case.fake.tokens = set()
            assert await again(second.hex, 1) == []
            assert await case.states() == [ConnectionStatus.ACTIVE]
            assert (await case.account()).provider == "linkedin"

    asyncio.run(run())


def test_an_account_that_stays_unconfirmed_is_asked_about_for_a_day(database):
    async def run():
        away = {"TIKTOK_BASE_URL": "http://127.0.0.1:9"}
        async with playing("tiktok", database, connected=False, **away) as case:
            await case.connect()
            (id,) = (await case.connection()).accounts
            again = partial(case.connecting.verify, case.tenant, "tiktok", id.hex)
            (job,) = await again(1)
            assert (job.name, job.arguments["asked"]) == ("social.verify_connection", 2)
            assert await again(len(VERIFY_AGAIN)) == []
            assert await case.states() == []

    asyncio.run(run())


def test_tokens_are_renewed_before_they_end(database):
    async def run():
        async with playing("pinterest", database) as case:
            id = (await case.connection()).current.link.connection_id
            first = datetime.now(UTC) + timedelta(minutes=5)
            await case.connecting._note_by_house(
                case.tenant, case.network, NoteRefreshed(id, first)
            )
            renew = partial(case.connecting.renew, case.tenant, "pinterest", id.hex)
            assert await renew((first - timedelta(days=1)).isoformat()) == []  # an older timer
            assert case.fake.refreshed == 0
            case.fake.fails("POST /v5/oauth/token", refuses(503), refuses(503))
            (job,) = await renew(first.isoformat())
            assert job.at == first  # sooner than the next regular look
            case.fake.faults.clear()
            assert await renew(first.isoformat()) == []
            link = (await case.connection()).current.link
            assert timedelta(minutes=59) < link.expires_at - datetime.now(UTC)
            assert case.fake.refreshed == 1
            case.fake.refreshed = 9
            assert await renew(link.expires_at.isoformat()) == []
            assert await case.states() == [ConnectionStatus.EXPIRED]

    asyncio.run(run())


def test_tokens_that_nobody_can_renew_last_until_their_end(database):
    async def run():
        async with playing("twitter", database) as case:
            id = (await case.connection()).current.link.connection_id
            for end, states in (
                (datetime.now(UTC) + timedelta(hours=1), [ConnectionStatus.ACTIVE]),
                (datetime.now(UTC) - timedelta(hours=1), [ConnectionStatus.EXPIRED]),
            ):
                await case.connecting._note_by_house(
                    case.tenant, case.network, NoteRefreshed(id, end)
                )
                jobs = await case.connecting.renew(case.tenant, "twitter", id.hex, end.isoformat())
                assert [each.at for each in jobs] == ([end] if end > datetime.now(UTC) else [])
                assert await case.states() == states

    asyncio.run(run())


def test_the_lock_of_a_renewal_goes_with_its_holder(database):
    """A process that dies while it renews leaves the tokens to the next."""

    async def run():
        async with playing("tiktok", database) as case:
            id = (await case.connection()).current.link.connection_id
            dying = psycopg.connect(database)
            dying.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('renew:' || %s, 0))", [str(id)]
            )
            account = (await case.connection()).current
            waiting = asyncio.create_task(case.house.renew(case.tenant, case.network, account))
            await asyncio.sleep(0.1)
            assert case.fake.refreshed == 0
            dying.close()  # without a commit, as when its process is killed
            assert isinstance(await waiting, Renewed)
            assert case.fake.refreshed == 1

    asyncio.run(run())
