"""What a response says: given, from a template, in the brand's voice, or written."""

import pytest
from pydantic import ValidationError

from application.social.brand_voice import SetBrandVoice
from application.social.response_phrases import LANGUAGES, Intent
from application.social.response_templates import BUILT_IN, WriteResponseTemplate
from application.social.response_writer import first_name, understood, write
from application.social.responses import (
    RespondToMention,
    author_of,
)
from domain.kernel import Invalid
from domain.social.brand_voice import NO_RULES, Formality, WritingRules, in_voice, signed
from domain.social.networks import Network
from domain.social.response_templates import check_places, filled
from domain.social.responses import (
    REPLY_MAX,
    ResponseTone,
    reply_length,
)
from tests.social.response_rooms import THANKS, heard_as, mention, templated, text_of


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
