"""Tone, language, questions and emergencies, in the languages that customers write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.social.languages import language_of, words_of
from application.social.lexicons import LEXICONS
from application.social.sentiment import read, sentiment

SAID = [
    # language, tone (1, 0, -1), asks, urgent, text
    ("en", 1, False, False, "Love this, can't wait!"),
    ("en", 1, False, False, "Looks good."),
    ("en", 0, True, False, "Where can I get one?"),
    ("en", 0, True, False, "where is my parcel"),
    ("en", -1, False, False, "The last one broke after a week. Terrible."),
    ("en", -1, False, False, "My parcel is late and support is slow."),
    ("en", -1, False, True, "Your charger caught fire, this is dangerous"),
    ("en", -1, True, False, "The product is great but the delivery was horrible, what happened?"),
    ("de", 1, False, False, "Sehr gute Qualität, bin begeistert!"),
    ("de", -1, False, False, "Ich bin total enttäuscht, das Paket kam kaputt an."),
    ("de", -1, False, False, "Das gefällt mir nicht."),
    ("de", 1, False, False, "Der Service war nicht schlecht"),
    ("de", 0, True, False, "Wo bleibt mein Paket"),
    ("de", -1, False, True, "Keine Ware, kein Geld: das ist Betrug, ich gehe zum Anwalt."),
    ("fr", 1, False, False, "J'adore cette collection, bravo !"),
    ("fr", -1, False, False, "Très déçue, le colis est arrivé cassé."),
    ("fr", 0, True, False, "Pouvez-vous me dire quand le magasin ouvre"),
    ("fr", -1, False, True, "Une arnaque, je vais porter plainte."),
    ("es", 1, False, False, "Me encanta la nueva colección, gracias"),
    ("es", -1, False, False, "El servicio es muy malo y llegó tarde."),
    ("es", 0, True, False, "¿Cuándo llega mi pedido?"),
    ("es", -1, False, True, "Es una estafa, voy a llamar a la policía"),
    ("it", 1, False, False, "Bellissima borsa, qualità ottima, consigliata"),
    ("it", -1, False, False, "Il pacco è arrivato rotto, che delusione"),
    ("it", 0, True, False, "Dove posso vedere la nuova collezione"),
    ("pt", 1, False, False, "Adorei o produto, chegou rápido, recomendo!"),
    ("pt", -1, False, False, "O produto chegou quebrado, péssimo atendimento"),
    ("pt", 0, True, False, "Alguém sabe quando chega em Lisboa"),
    ("ja", 1, False, False, "新しいコレクション大好き😍"),
    ("ru", 0, True, False, "Где моя посылка?"),
    ("und", 1, False, False, "😍😍😍"),
    ("und", 0, False, False, "12345"),
    ("und", 0, False, False, ""),
    ("und", 0, False, False, "https://example.com/?where=here #sale @shop"),
]


@pytest.mark.parametrize(("language", "tone", "asks", "urgent", "text"), SAID)
def test_what_a_text_says_about_itself(language, tone, asks, urgent, text):
    reading, found = read(text)
    assert found == language
    assert (reading.sentiment > 0.05) - (reading.sentiment < -0.05) == tone
    assert (reading.asks, reading.urgent) == (asks, urgent)


def test_a_stated_language_is_taken_at_its_word():
    assert sentiment("gift", "en") > 0  # which is poison in German
    assert sentiment("Gift", "de") == 0
    assert sentiment("Prachtige collectie", "nl") == 0  # not understood, so not judged
    assert sentiment("Prachtige collectie 😍", "nl") > 0
    assert read("Waar is mijn pakket?", "nl")[0].asks


def test_more_of_a_word_is_more_and_but_weighs_what_follows():
    plain, very = sentiment("Das ist gut.", "de"), sentiment("Das ist sehr gut.", "de")
    assert 0 < plain < very
    assert sentiment("Die Jacke ist schön, aber der Service ist schlecht.", "de") < 0
    assert sentiment("Der Service ist schlecht, aber die Jacke ist schön.", "de") > 0


def test_names_of_others_say_nothing_about_the_language():
    assert language_of("@die_und_der #oder https://nicht.de Thanks for the help") == "en"
    assert words_of("Don’t stop #now @ann.b https://example.com/x") == ["don't", "stop"]


@pytest.mark.parametrize("language", sorted(LEXICONS))
def test_lexicons_do_not_contradict_themselves(language):
    lexicon = LEXICONS[language]
    listed = " ".join(
        (lexicon.delight, lexicon.pleasure, lexicon.displeasure, lexicon.anger)
    ).split()
    assert len(set(listed)) == len(listed), sorted({w for w in listed if listed.count(w) > 1})
    assert all(word == word.lower() for word in (*listed, *lexicon.common))
    for name, sign in (("delight", 1), ("pleasure", 1), ("displeasure", -1), ("anger", -1)):
        for word in getattr(lexicon, name).split():
            assert lexicon.valence(word.rstrip("*")) * sign > 0, word


@given(st.text(max_size=300), st.sampled_from([None, "xx", *LEXICONS]))
def test_any_text_is_read(text, language):
    reading, found = read(text, language)
    assert -1 <= reading.sentiment <= 1
    assert found
