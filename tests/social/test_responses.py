"""What a response decides, how its text is made, and what its jobs do to a network."""

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import ValidationError

from api.app import open_log
from application.kernel import Decision
from application.social.brand_voice import SetBrandVoice
from application.social.networks import OutcomeUnknown, Receipt, RefusedByNetwork
from application.social.policies import POLICIES
from application.social.publishing import ASK_AGAIN
from application.social.responding import Responding
from application.social.response_phrases import LANGUAGES, Intent
from application.social.response_templates import BUILT_IN, WriteResponseTemplate
from application.social.response_writer import Said, first_name, understood, write
from application.social.responses import (
    BeginResponse,
    Composition,
    RecordReply,
    RedraftResponse,
    RespondToMention,
    StartPosting,
    author_of,
)
from application.webhooks.catalogue import BY_TOPIC
from domain.kernel import Conflict, Invalid
from domain.personal import ERASED
from domain.social.brand_voice import NO_RULES, Formality, WritingRules, in_voice, signed
from domain.social.mentions import Mention, Priority, Tone
from domain.social.networks import Network
from domain.social.posts import Outcome, OutcomeStatus
from domain.social.response_templates import check_places, filled
from domain.social.responses import (
    REPLY_MAX,
    Response,
    ResponseStatus,
    ResponseTone,
    reply_length,
)
from infrastructure.personal_data import keyring
from infrastructure.settings import load
from tests.kernel import NOW, at, heard, said, when

TWITTER = Network.TWITTER
LATER = NOW + timedelta(minutes=1)
OUT = Outcome(
    OutcomeStatus.PUBLISHED, "sandbox", network_post_id="r1", url="https://x/r1", at=LATER
)
NO = Outcome(OutcomeStatus.FAILED, "twitter", code="bad_post", message="Not like this.")
SILENCE = Outcome(OutcomeStatus.UNCONFIRMED, "twitter", message="No answer.")
THANKS = RespondToMention(mention_id="men_1", response_mode="manual", response_content="Thank you!")


def mention(text="I love it!", *, author="Amira Haddad", network=TWITTER, tenant="demo", **facts):
    with at(tenant=tenant):
        return Mention(
            **{
                "network": network,
                "network_mention_id": "m1",
                "url": None,
                "author": author,
                "author_handle": "amira",
                "followers": 10,
                "text": text,
                "written_at": NOW,
                "language": "en",
                "sentiment": 0.6,
                "tone": Tone.POSITIVE,
                "priority": Priority.LOW,
                "likes": 0,
                "shares": 0,
                "comments": 0,
                "requires_response": False,
                "keywords": (),
                "hashtags": (),
                **facts,
            }
        )


def begun(request=THANKS, to=None, rules=NO_RULES, template=None):
    with at():
        response = BeginResponse(Composition(request, to or mention(), rules, template)).handle()
    response.collect_events()
    return response


def text_of(request, to=None, rules=NO_RULES, template=None):
    return begun(request, to, rules, template).draft.text


def record(response, outcome, number=1):
    with at():
        response.record(number, outcome)
    return heard(response)


def again():
    return RedraftResponse(Composition(THANKS, mention(), NO_RULES, None))


# The life of a response ------------------------------------------------------------------------


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


# The text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "culprit"),
    [
        ({"response_mode": "manual"}, "response_content"),
        ({"response_mode": "manual", "response_content": None}, "response_content"),
        ({"response_mode": "manual", "response_content": " \n"}, "response_content"),
        ({"response_mode": "manual", "response_content": "<script>x()</script>"},
         "response_content"),
        ({"response_mode": "manual", "response_content": "x'; DROP TABLE posts; --"},
         "response_content"),
        ({"response_mode": "template"}, "template_id"),
        ({"response_mode": "template", "template_id": ""}, "template_id"),
        ({"response_mode": "robot"}, "response_mode"),
        ({"tone": "sarcastic"}, "tone"),
        ({"include_brand_voice": "perhaps"}, "include_brand_voice"),
        ({"mention_id": 5}, "mention_id"),
        ({"unknown": 1}, "unknown"),
    ],
)  # fmt: skip
def test_a_request_names_what_is_wrong_with_it(fields, culprit):
    with pytest.raises(ValidationError) as error:
        RespondToMention.model_validate({"mention_id": "men_1", **fields})
    assert [fault["loc"][0] for fault in error.value.errors()] == [culprit]


@pytest.mark.parametrize(
    ("network", "room"),
    [(Network.TWITTER, 280), (Network.INSTAGRAM, 300), (Network.LINKEDIN, 1250)],
)
def test_a_text_that_the_network_would_not_take_is_refused_with_its_length(network, room):
    for length, fits in ((room, True), (room + 1, False)):
        request = THANKS.model_copy(update={"response_content": "x" * length})
        if fits:
            assert text_of(request, mention(network=network)) == "x" * room
            continue
        with pytest.raises(Invalid, match=f"{length} characters") as no:
            text_of(request, mention(network=network))
        assert (no.value.field, no.value.reason) == ("response_content", "text_too_long")


def templated(name, template, **options):
    request = RespondToMention(mention_id="men_1", response_mode="template", template_id=name)
    return text_of(request, template=template, **options)


def test_a_template_is_filled_with_the_mention():
    text = "Dear {{author}} ({{ first_name }}, {{handle}}): see you on {{ network }}. {{brand}}"
    rules = WritingRules(brand="Shop & Co")
    assert templated("own", text, rules=rules) == (
        "Dear Amira Haddad (Amira, @amira): see you on X. Shop & Co"
    )


def test_what_is_filled_in_is_not_looked_through():
    tricky = mention(author="{{ brand }} {{ x }}")
    assert templated("own", "Hi {{ author }}!", to=tricky) == "Hi {{ brand }} {{ x }}!"
    assert filled("{{ author }} {% x %}", {"author": "A"}) == "A {% x %}"


def test_a_missing_variable_is_named():
    with pytest.raises(Invalid, match="needs brand") as no:
        templated("own", "Yours, {{ brand }}")
    assert (no.value.field, no.value.reason) == ("template_id", "missing_variable")


@pytest.mark.parametrize(
    "text", ["{{ colour }}", "{{ author.name }}", "{{ 7*7 }}", "{% for x in y %}", "{{", "a }} b"]
)
def test_a_template_with_anything_but_variables_is_refused(text):
    with pytest.raises(ValidationError) as error:
        WriteResponseTemplate(text=text)
    assert error.value.errors()[0]["loc"] == ("text",)


def test_the_templates_that_are_there_can_be_filled_for_anybody():
    for texts in BUILT_IN.values():
        assert set(texts) == set(LANGUAGES)
        for text in texts.values():
            check_places(text)
            for network in Network:
                found = templated("x", text, to=mention(author="", network=network))
                assert "{{" not in found and "amira" in found


@pytest.mark.parametrize(
    ("author", "handle", "called"),
    [
        (" Amira \n Haddad", "amira", "Amira Haddad"),
        ("", "@amira.h", "amira.h"),
        ("Win at https://spam.example", "amira", "amira"),
        ("follow @spam", "amira", "amira"),
        ("x" * 61, "amira", "amira"),
        ("", "urn:li:person:77", None),
        ("", "1234567", None),
        ("", "", None),
    ],
)
def test_an_author_is_called_by_what_is_a_name(author, handle, called):
    to = mention(author=author, author_handle=handle)
    assert author_of(to) == called
    if called is None:
        with pytest.raises(Invalid, match="needs author"):
            templated("own", "Hi {{ author }}", to=to)


# The brand's voice -----------------------------------------------------------------------------

VOICE = WritingRules(
    brand="Shop",
    formality=Formality.NEUTRAL,
    emoji=False,
    sign_off="— Your Shop",
    forbidden={"cheap": "affordable", "guys": "", "affordable": "fair"},
    spelling={"colour": "color", "e-mail": "email"},
)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Cheap and cheaper, CHEAP", "Affordable and cheaper, Affordable"),
        ("Hi guys, the colour is in the E-Mail", "Hi, the color is in the Email"),
        ("An affordable one", "An fair one"),
        ("See https://cheap.example.com/colour #cheap @guys", None),
        ("Thanks 😊🎉 👍🏽!", "Thanks!"),
        ("Très gentil, merci ! 😊  Deux  espaces :", "Très gentil, merci !  Deux  espaces :"),
        ("guys come, guys", "come,"),
        ("Family 👨‍👩‍👧 in 🇫🇷, 1️⃣ of 100 © Shop", "Family in, of 100 © Shop"),
    ],
)
def test_the_brand_voice_changes_words_and_nothing_else(text, spoken):
    assert in_voice(text, VOICE) == (spoken or text)
    assert in_voice(text, NO_RULES) == text


def test_a_text_is_signed_once():
    assert signed("Thank you!", VOICE.sign_off) == "Thank you! — Your Shop"
    assert signed("Thank you! — your shop", VOICE.sign_off) == "Thank you! — your shop"


def test_the_brand_voice_applies_to_every_mode_and_can_be_left_out():
    cheap = THANKS.model_copy(update={"response_content": "It is cheap"})
    assert text_of(cheap, rules=VOICE) == "It is affordable — Your Shop"
    assert templated("own", "It is cheap", rules=VOICE) == "It is affordable — Your Shop"
    generated = RespondToMention(mention_id="men_1", tone="friendly")
    assert text_of(generated, rules=VOICE).endswith("— Your Shop")
    plain = {"include_brand_voice": False}
    assert text_of(cheap.model_copy(update=plain), rules=VOICE) == "It is cheap"
    assert "Shop" not in text_of(generated.model_copy(update=plain), rules=VOICE)
    request = RespondToMention(
        mention_id="men_1", response_mode="template", template_id="x", **plain
    )
    assert text_of(request, rules=VOICE, template="Cheap, {{ brand }}") == "Cheap, Shop"


def test_a_voice_that_leaves_nothing_is_refused_with_the_field():
    guys = THANKS.model_copy(update={"response_content": "Guys"})
    with pytest.raises(Invalid, match="leaves nothing") as no:
        text_of(guys, rules=WritingRules(forbidden={"guys": ""}))
    assert no.value.field == "response_content"


@pytest.mark.parametrize(
    ("fields", "culprit"),
    [
        ({"forbidden": {"": "x"}}, "forbidden"),
        ({"forbidden": {"a": "x", " A ": "y"}}, "forbidden"),
        ({"spelling": {"a": "x" * 101}}, "spelling"),
        ({"sign_off": "two\nlines"}, "sign_off"),
        ({"sign_off": ""}, "sign_off"),
        ({"brand": "<script>x()</script>"}, "brand"),
        ({"formality": "stiff"}, "formality"),
    ],
)
def test_writing_rules_name_what_is_wrong_with_them(fields, culprit):
    with pytest.raises(ValidationError) as error:
        SetBrandVoice.model_validate(fields)
    assert error.value.errors()[0]["loc"][0] == culprit


# The embedded writer ---------------------------------------------------------------------------


def heard_as(text, language="en", sentiment=0.0, author="Amira Haddad", network=TWITTER, id=None):
    return Said(id or uuid4(), network, author, text, language, sentiment)


@pytest.mark.parametrize(
    ("text", "language", "sentiment", "intent"),
    [
        ("I love this, thank you!", "en", 0.8, Intent.PRAISE),
        ("It broke after a week. Terrible.", "en", -0.7, Intent.COMPLAINT),
        ("Where can I get one?", "en", 0.0, Intent.QUESTION),
        ("Why is it broken again?", "en", -0.5, Intent.COMPLAINT),
        ("Saw the new shop today", "en", 0.0, Intent.REMARK),
        ("https://example.com/?a=1 on the wall", "en", 0.0, Intent.REMARK),
        ("Nach einer Woche kaputt, nie wieder!", "de", 0.0, Intent.COMPLAINT),
        ("Gibt es das auch in Grün?", "de", 0.0, Intent.QUESTION),
        ("¡Me encanta, genial!", "es", 0.0, Intent.PRAISE),
        ("Livraison en retard, très déçu", "fr", 0.0, Intent.COMPLAINT),
    ],
)
def test_the_writer_makes_out_what_a_mention_is(text, language, sentiment, intent):
    found = understood(heard_as(text, language, sentiment))
    assert found.intent is intent
    assert 0 < found.certainty < 1


def test_more_evidence_is_more_certain():
    weak = understood(heard_as("Nice.", sentiment=0.3)).certainty
    strong = understood(heard_as("Love it, best ever, thank you", sentiment=0.9)).certainty
    assert weak < strong
    foreign = write(heard_as("Love it", "ja", 0.9), ResponseTone.FRIENDLY, NO_RULES)
    english = write(heard_as("Love it", "en", 0.9), ResponseTone.FRIENDLY, NO_RULES)
    assert foreign.confidence < english.confidence


def test_the_writer_answers_a_mention_always_in_the_same_way_and_two_in_two():
    one = heard_as("Love it", sentiment=0.9)
    assert write(one, ResponseTone.FRIENDLY, NO_RULES) == write(
        one, ResponseTone.FRIENDLY, NO_RULES
    )
    many = {
        write(heard_as("Love it", sentiment=0.9), ResponseTone.FRIENDLY, NO_RULES).text
        for _ in range(60)
    }
    assert len(many) > 4


@pytest.mark.parametrize("tone", ResponseTone)
@pytest.mark.parametrize("network", Network)
def test_what_is_written_fits_the_network_in_any_language(tone, network):
    long_names = WritingRules(sign_off="Yours, " + "x" * 70)
    for language in (*LANGUAGES, "ja"):
        for text, sentiment in (("Bad", -0.8), ("Well?", 0.0), ("Love", 0.8), ("Hm", 0.0)):
            for rules in (NO_RULES, long_names):
                case = heard_as(text, language, sentiment, "Bartholomäus Wolkenstein", network)
                written = write(case, tone, rules)
                assert 0 < reply_length(network, written.text) <= REPLY_MAX[network]
                assert 0 < written.confidence < 1
                assert "{" not in written.text


def test_what_has_to_be_left_out_costs_confidence():
    case = heard_as("Terrible", sentiment=-0.8)
    short = heard_as("Terrible", sentiment=-0.8, network=Network.TIKTOK, id=case.id)
    rules = WritingRules(sign_off="x" * 80)
    whole = write(case, ResponseTone.EMPATHETIC, rules)
    cut = write(short, ResponseTone.EMPATHETIC, rules)
    assert len(cut.text) < len(whole.text)
    assert cut.confidence < whole.confidence


def test_nobody_jokes_about_a_complaint():
    case = heard_as("It broke. Terrible.", sentiment=-0.8)
    humorous = write(case, ResponseTone.HUMOROUS, NO_RULES)
    assert "blush" not in humorous.text and "ears" not in humorous.text
    assert "frustrating" in humorous.text


def test_the_brand_decides_how_people_are_addressed():
    case = heard_as("Gibt es das auch in Grün?", "de")
    assert "Sie" in write(case, ResponseTone.FORMAL, NO_RULES).text
    informal = write(case, ResponseTone.FORMAL, WritingRules(formality=Formality.INFORMAL)).text
    assert "Sie" not in informal
    stiff = write(case, ResponseTone.CASUAL, WritingRules(formality=Formality.FORMAL)).text
    assert "Sie" in stiff
    praise = heard_as("Love it", sentiment=0.9)
    assert "😊" in write(praise, ResponseTone.CASUAL, NO_RULES).text
    assert "😊" not in write(praise, ResponseTone.CASUAL, WritingRules(emoji=False)).text


@pytest.mark.parametrize(
    ("author", "name"),
    [
        ("Amira Haddad", "Amira"),
        ("Élodie", "Élodie"),
        ("Anne-Marie D.", "Anne-Marie"),
        ("O'Neill", "O'Neill"),
        ("https://spam.example", None),
        ("@amira", None),
        ("xX_bot_Xx", None),
        ("4you", None),
        ("  ", None),
        ("A" * 40, None),
    ],
)
def test_people_are_named_only_when_it_is_a_name(author, name):
    assert first_name(author) == name
    text = write(heard_as("Love it", sentiment=0.9, author=author), ResponseTone.CASUAL, NO_RULES)
    assert (name or "Hi ") in text.text or name is None
    assert "spam" not in text.text and "@" not in text.text


# The jobs --------------------------------------------------------------------------------------


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
