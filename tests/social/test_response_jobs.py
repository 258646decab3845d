"""Posting responses: the jobs, with a database and a network that fails."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from application.kernel import Decision
from application.social.networks import OutcomeUnknown, Receipt, RefusedByNetwork
from application.social.publishing import ASK_AGAIN
from application.social.responding import Responding
from application.social.responses import (
    BeginResponse,
    Composition,
    RecordReply,
    StartPosting,
)
from domain.personal import ERASED
from domain.social.brand_voice import NO_RULES
from domain.social.mentions import Mention
from domain.social.responses import (
    Response,
    ResponseStatus,
)
from infrastructure.event_log.log import open_log
from infrastructure.personal_data import keyring
from infrastructure.settings import load
from tests.kernel import at, heard, when
from tests.social.response_rooms import (
    LATER,
    OUT,
    THANKS,
    begun,
    mention,
)


class Line:
    """A network of a test's own: says what it is told to, and counts what reached it."""

    provider = "twitter"

    def __init__(self, *says):
        self.says, self.replies, self.asked = list(says), [], 0

    async def of(self, tenant, network):
        return self

    async def reply(self, reply):
        self.replies.append(reply)
        return self._next()

    async def find_reply(self, reply):
        self.asked += 1
        return self._next()

    def _next(self):
        answer = self.says.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


RECEIPT = Receipt("r1", "https://x/r1", LATER)


@pytest.fixture(scope="module")
def database(create_database, template):
    return create_database(template)


class Case:
    """A tenant of its own with one mention and one draft, and one process that serves it."""

    def __init__(self, log):
        self.log, self.tenant = log, f"t-{uuid4().hex[:12]}"

    async def begin(self, request=THANKS):
        with at(tenant=self.tenant):
            to = mention(tenant=self.tenant)
            response = BeginResponse(Composition(request, to, NO_RULES, None)).handle()
        events = [*to.collect_events(), *response.collect_events()]
        await self.log.append(Decision(self.tenant, events))
        self.id, self.mention_id = response.id, to.id

    async def post(self, line, number=1):
        return list(await Responding(self.log, line).post(self.tenant, self.id.hex, number))

    async def settle(self, line, asked=1):
        return list(await Responding(self.log, line).settle(self.tenant, self.id.hex, asked))

    async def response(self):
        return await self.log.load(Response, self.id)

    async def mention(self):
        return await self.log.load(Mention, self.mention_id)

    async def told(self):
        """The names of the response's events."""
        stored = await self.log.after(0, 100_000)
        return [e.topic.rpartition(".")[2] for e in stored if e.stream_id == self.id]


@pytest.fixture
def play(database):
    """Runs a test's coroutine with a case of its own."""
    keyring.use(["another secret of the tests, also long"])

    def play(test, request=THANKS):
        async def run():
            settings = load(
                {"JWT_SECRET_KEY": "a secret of the tests that is long enough",
                 "ENCRYPTION_KEY": "another secret of the tests, also long"},
                Path("/nowhere"), database, "redis://nowhere",
            )  # fmt: skip
            async with open_log(settings, "test") as log:
                case = Case(log)
                await case.begin(request)
                await test(case)

        asyncio.run(run())

    return play


def test_a_reply_goes_out_and_the_mention_is_answered(play):
    async def test(case):
        line = Line(RECEIPT)
        assert await case.post(line) == []
        (reply,) = line.replies
        assert (reply.text, reply.network_mention_id) == ("Thank you!", "m1")
        assert await case.told() == ["drafted", "posting_started", "posted"]
        assert (await case.mention()).response_id == f"resp_{case.id.hex}"
        assert await case.post(line) == []  # the job runs again
        assert len(line.replies) == 1

    play(test)


def test_the_outcome_is_recorded_once_though_many_bring_it(play):
    async def test(case):
        responding = Responding(case.log, Line())
        desk = responding._desk(case.tenant, case.id.hex)
        response = await desk.carry_out(Response, case.id, StartPosting(number=1))
        await asyncio.gather(*(responding._record(desk, response, OUT) for _ in range(8)))
        assert await case.told() == ["drafted", "posting_started", "posted"]

    play(test)


def test_a_run_that_died_before_the_network_heard_of_it_is_taken_up(play):
    async def test(case):
        with pytest.raises(asyncio.CancelledError):
            await case.post(Line(asyncio.CancelledError()))
        line = Line(None, RECEIPT)
        assert await case.post(line) == []
        assert (line.asked, len(line.replies)) == (1, 1)
        assert await case.told() == ["drafted", "posting_started", "posted"]

    play(test)


def test_a_run_that_died_after_the_network_had_it_sends_nothing_again(play):
    async def test(case):
        with pytest.raises(asyncio.CancelledError):
            await case.post(Line(asyncio.CancelledError()))
        line = Line(RECEIPT)
        assert await case.post(line) == []
        assert (line.asked, line.replies) == (1, [])
        assert (await case.told())[-1] == "posted"

    play(test)


def test_a_silent_network_is_asked_and_never_replied_to_again(play):
    async def test(case):
        silence = OutcomeUnknown("No answer in time.")
        (job,) = await case.post(Line(silence))
        assert (job.name, job.arguments["asked"]) == ("social.settle_response", 1)
        assert (await case.told())[-1] == "left_unconfirmed"
        line, asked = Line(*[silence] * len(ASK_AGAIN)), 1
        while jobs := await case.settle(line, asked):
            asked = jobs[0].arguments["asked"]
        assert (asked, line.replies) == (len(ASK_AGAIN), [])
        assert (await case.told()).count("left_unconfirmed") == 1
        assert await case.settle(Line(RECEIPT)) == []
        assert (await case.told())[-1] == "posted"
        assert await case.settle(Line()) == []  # settled: nobody is asked

    play(test)


def test_what_the_network_certainly_has_not_got_is_sent(play):
    async def test(case):
        await case.post(Line(OutcomeUnknown("No answer in time.")))
        line = Line(None, RECEIPT)
        assert await case.settle(line) == []
        assert (line.asked, len(line.replies)) == (1, 1)
        assert (await case.told())[-1] == "posted"

    play(test)


def test_a_refusal_is_recorded_and_a_pause_is_kept(play):
    async def test(case):
        (job,) = await case.post(Line(RefusedByNetwork("rate_limited", "Slow.", retry_after=30)))
        assert (job.name, (await case.told())[-1]) == ("social.settle_response", "posting_started")
        line = Line(None, RefusedByNetwork("bad_post", "No."))
        assert await case.settle(line) == []
        response = await case.response()
        assert (response.status, response.outcome.code) == (ResponseStatus.REFUSED, "bad_post")
        assert (await case.mention()).response_id is None

    play(test)


def test_endless_pauses_end_in_a_refusal(play):
    async def test(case):
        pause = RefusedByNetwork("rate_limited", "Slow.", retry_after=30)
        await case.post(Line(pause))
        assert await case.settle(Line(None, pause), len(ASK_AGAIN)) == []
        assert (await case.told())[-1] == "refused_by"

    play(test)


def test_nothing_is_said_to_somebody_who_was_erased_meanwhile(play):
    async def test(case):
        line = Line()
        assert await case.post(line) == []
        assert (line.replies, (await case.response()).outcome.code) == ([], "erased")

    play(test, THANKS.model_copy(update={"response_content": ERASED}))


def test_what_may_be_out_stays_open_when_its_words_are_erased(play):
    async def test(case):
        desk = Responding(case.log, Line())._desk(case.tenant, case.id.hex)
        await desk.carry_out(Response, case.id, StartPosting(number=1))
        assert await case.post(line := Line(None)) == []
        assert (line.replies, (await case.told())[-1]) == ([], "left_unconfirmed")

    play(test, THANKS.model_copy(update={"response_content": ERASED}))


def test_a_mention_that_was_answered_is_told_once():
    to, response = mention(), begun()
    when(response, StartPosting(number=1))
    to.collect_events()
    with at():
        for _ in range(2):
            RecordReply(response, to, 1, OUT, "resp_1").handle()
    assert [each.kind for each in heard(to)] == [Mention.Answered]
