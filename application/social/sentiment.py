"""The tone of a text, computed here, in the text's own language.

English by VADER (Hutto & Gilbert, ICWSM 2014); German, French, Spanish, Italian and Portuguese by
lexicons of this project, with VADER's rules for negation, degree and the sum; emoji in any
language. Everything is on this machine, and nothing leaves it.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from math import sqrt

import regex
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from application.social.languages import ENGLISH, UNKNOWN, language_of, words_of
from application.social.lexicons import LEXICONS, Lexicon
from domain.social.mentions import Reading
from domain.social.text import links

ALPHA = 15.0
"""What VADER puts under the root so that sums come out between -1 and 1."""
NEGATED = -0.74
BEFORE = 3
"""VADER's: what a negation makes of a word, and how many words before it count."""
DEGREE = 0.3
"""About what a word of degree adds to the next one; VADER has 0.293."""

TRADE = {
    -2.0: "unreliable ripoff crashes crashed",
    -1.6: "unanswered unhelpful leaking ripped scratched buggy glitch outage",
    -1.2: "late slow delays delayed waiting refund overpriced pricey expensive",
    1.2: "fast quick comfy",
    1.7: "reliable durable sturdy",
}
"""What customers write about shops, and VADER's lexicon, made from talk in general, leaves out."""

_EMOJI = regex.compile(r"[\p{Emoji_Presentation}\p{Extended_Pictographic}]")
_QUESTION = re.compile("[?¿？؟]")
_BREAK = re.compile(r"[.!?;:…\n]+")


@cache
def _analyser() -> SentimentIntensityAnalyzer:
    analyser = SentimentIntensityAnalyzer()
    analyser.lexicon.update({w: value for value, words in TRADE.items() for w in words.split()})
    return analyser


def sentiment(text: str, language: str | None = None) -> float:
    """From -1 (hostile) to 1 (delighted); 0 is neutral, also where nothing is understood.

    `language` is a code of ISO 639-1; None finds out.
    """
    language = language or language_of(text)
    if language in (ENGLISH, UNKNOWN):
        return float(_analyser().polarity_scores(text)["compound"])
    valence = _emoji_valence(text)
    if lexicon := LEXICONS.get(language):
        valence += sum(_valences(text, lexicon))
    return round(valence / sqrt(valence * valence + ALPHA), 4)


def read(text: str, language: str | None = None) -> tuple[Reading, str]:
    """What a text says about itself, and its language."""
    language = language or language_of(text)
    words = f" {' '.join(words_of(text))} "
    reading = Reading(
        sentiment=sentiment(text, language),
        asks=bool(_QUESTION.search(_without_links(text))) or _opens(text, language),
        urgent=any(f" {phrase}" in words for phrase in _urgent(language)),
    )
    return reading, language


def _valences(text: str, lexicon: Lexicon) -> Iterator[float]:
    """The valence of each word that has one, turned by negation and raised by degree within its
    sentence. "But" weighs what comes after it more, as VADER has it."""
    for sentence in _BREAK.split(text):
        words = words_of(sentence)
        turn = next((n for n, word in enumerate(words) if word in lexicon.but), None)
        for n, word in enumerate(words):
            valence = lexicon.valence(word)
            if not valence:
                continue
            before = words[max(0, n - BEFORE) : n]
            degree = sum(each in lexicon.more for each in before)
            valence += (DEGREE if valence > 0 else -DEGREE) * degree
            if any(each in lexicon.negations for each in (*before, *_after(words, n, lexicon))):
                valence *= NEGATED
            if turn is not None and n != turn:
                valence *= 0.5 if n < turn else 1.5
            yield valence


def _after(words: Sequence[str], n: int, lexicon: Lexicon) -> Sequence[str]:
    """German puts "nicht" behind the verb: "gefällt mir nicht"."""
    return words[n + 1 : n + 1 + lexicon.negates_before]


def _emoji_valence(text: str) -> float:
    """VADER describes emoji in English words, and knows what those are worth."""
    analyser = _analyser()
    valence = 0.0
    for emoji in _EMOJI.findall(text):
        described = analyser.emojis.get(emoji, "").split()
        valence += sum(analyser.lexicon.get(word, 0.0) for word in described)
    return valence


def _without_links(text: str) -> str:
    for start, end in reversed(links(text)):
        text = text[:start] + text[end:]
    return text


def _opens(text: str, language: str) -> bool:
    """Whether a sentence begins as questions do, though nobody put a mark behind it."""
    openings = LEXICONS[language].questions if language in LEXICONS else ()
    sentences = (" ".join(words_of(each)) + " " for each in _BREAK.split(text))
    return any(each.startswith(f"{opening} ") for each in sentences for opening in openings)


@cache
def _urgent(language: str) -> tuple[str, ...]:
    """English too, in whatever language: "scam" is understood everywhere."""
    own = LEXICONS[language].urgent if language in LEXICONS else ()
    return tuple(dict.fromkeys((*own, *LEXICONS[ENGLISH].urgent)))
