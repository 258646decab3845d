"""Which language a short text is in, by its script and its commonest words.

Small on purpose: it tells apart what `sentiment` has lexicons for, and the scripts beyond Latin.
What gives no evidence is of unknown language.
"""

import regex

from application.social.lexicons import LEXICONS

ENGLISH, UNKNOWN = "en", "und"
"""Codes of ISO 639-1, and what ISO 639-2 has for an undetermined language."""

_WORD = regex.compile(r"[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*")
_HIDDEN = regex.compile(r"https?://\S+|[#@＃＠][\w.]+")
_SCRIPTS = {
    "ja": regex.compile(r"[\p{Hiragana}\p{Katakana}]"),
    "ko": regex.compile(r"\p{Hangul}"),
    "zh": regex.compile(r"\p{Han}"),
    "ru": regex.compile(r"\p{Cyrillic}"),
    "ar": regex.compile(r"\p{Arabic}"),
    "el": regex.compile(r"\p{Greek}"),
    "he": regex.compile(r"\p{Hebrew}"),
    "th": regex.compile(r"\p{Thai}"),
    "hi": regex.compile(r"\p{Devanagari}"),
}
"""By the language that is written most in it; Japanese before Chinese, whose signs it shares."""
_LATIN = regex.compile(r"\p{Latin}")

_LETTERS = {
    "de": "ßäöü",
    "fr": "çèêëîïœàâùû",
    "es": "ñáéíóú¿¡",
    "it": "àèìòù",
    "pt": "ãõçáâêéíóú",
}
LETTER, VALUED = 0.4, 0.7
"""What a letter of a language, and a word with a valence in it, count beside a common word."""


def words_of(text: str) -> list[str]:
    """The words of `text` in lower case, without links, hashtags and mentions."""
    return [word.replace("’", "'") for word in _WORD.findall(_HIDDEN.sub(" ", text.lower()))]


def language_of(text: str) -> str:
    """The code of the language that `text` is most likely in, else `UNKNOWN`."""
    plain = _HIDDEN.sub(" ", text)
    latin = len(_LATIN.findall(plain))
    for language, script in _SCRIPTS.items():
        found = len(script.findall(plain))
        if found and found >= latin:
            return language
    return _of_latin(plain) if latin else UNKNOWN


def _of_latin(text: str) -> str:
    words, lowered = words_of(text), text.lower()
    best, most = UNKNOWN, 0.0
    for language, lexicon in LEXICONS.items():
        score = float(sum(word in lexicon.common for word in words))
        score += VALUED * sum(lexicon.valence(word) != 0 for word in words)
        score += LETTER * sum(each in lowered for each in _LETTERS.get(language, ""))
        if score > most:
            best, most = language, score
    return best
