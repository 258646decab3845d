"""The embedded response writer: stands in for a language model, and says so by its name.

It works by rules, on this machine, and gives the same answer to the same mention every time. It
makes out what a mention is, and puts an answer together from phrases in its language; it never
states a fact or promises anything in the brand's name.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from application.social.response_phrases import LANGUAGES, Intent, Language, Phrases, Variants
from domain.social.brand_voice import Formality, WritingRules, in_voice, signed
from domain.social.cutting import shortened
from domain.social.networks import RULES, Network
from domain.social.responses import REPLY_MAX, ResponseTone, reply_length
from domain.social.text import links

WRITER = "embedded"

DOUBT = 0.25
"""Evidence that is always missing: keeps a guess from little evidence below one from much."""

CUE, QUESTION_MARK = 0.4, 0.8
"""Evidence of a telling word, of which two count, and of a question mark."""

SERIOUS = 0.4
"""Evidence from which on a mention is answered as a complaint, whatever else it may be."""

FOREIGN, SHORTENED = 0.5, 0.9
"""What is left of the confidence in a language without phrases (English is written then), and for
each part that had to be left out."""

_INFORMAL = frozenset({ResponseTone.FRIENDLY, ResponseTone.CASUAL, ResponseTone.ENTHUSIASTIC,
                       ResponseTone.HUMOROUS})  # fmt: skip
_QUESTION_MARKS = re.compile("[?？؟¿]")
_NAME = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*\.?")


@dataclass(frozen=True)
class Said:
    """What is known of a mention. `sentiment` runs from -1 to 1, `language` is ISO 639-1."""

    id: UUID
    network: Network
    author: str
    text: str
    language: str
    sentiment: float


@dataclass(frozen=True)
class Understood:
    """What a mention is, and how sure that is (0 to 1)."""

    intent: Intent
    certainty: float


@dataclass(frozen=True)
class Written:
    """A text, and how sure its writer is of it (0 to 1)."""

    text: str
    confidence: float


def understood(said: Said) -> Understood:
    """The intent with most evidence; certainty is its share in all evidence and a constant doubt.

    Evidence of praise and complaint is the sentiment to either side and telling words; of a
    question, its mark and words that begin one; of a mere remark, a sentiment near 0.
    """
    text = f" {_without_links(said.text).casefold()} "
    cues = LANGUAGES.get(said.language[:2], LANGUAGES["en"]).cues
    evidence = {
        intent: CUE * min(sum(f" {cue}" in text for cue in cues.get(intent, ())), 2)
        for intent in Intent
    }
    evidence[Intent.PRAISE] += max(said.sentiment, 0.0)
    evidence[Intent.COMPLAINT] += max(-said.sentiment, 0.0)
    evidence[Intent.QUESTION] += QUESTION_MARK if _QUESTION_MARKS.search(text.strip()) else 0.0
    evidence[Intent.REMARK] = DOUBT * (1.0 - abs(said.sentiment))
    best = max(Intent, key=lambda intent: evidence[intent])
    if evidence[Intent.COMPLAINT] >= SERIOUS and best is not Intent.PRAISE:
        best = Intent.COMPLAINT
    return Understood(best, evidence[best] / (sum(evidence.values()) + DOUBT))


def write(said: Said, tone: ResponseTone, rules: WritingRules) -> Written:
    """An answer in the language of the mention, in `tone` and by `rules`, as long as the network
    allows at most. Nobody is answered with a joke to a complaint."""
    found = understood(said)
    if tone is ResponseTone.HUMOROUS and found.intent is Intent.COMPLAINT:
        tone = ResponseTone.EMPATHETIC
    language = LANGUAGES.get(said.language[:2])
    certainty = found.certainty if language else found.certainty * FOREIGN
    parts = _parts(said, found.intent, language or LANGUAGES["en"], tone, rules)
    text, left_out = _fitted(parts, said.network, rules)
    return Written(text, round(certainty * SHORTENED**left_out, 4))


def first_name(author: str) -> str | None:
    """The first word of a display name if it reads like a name: letters, no link, no handle."""
    first = author.split()[0] if author.split() else ""
    return first if len(first) <= 25 and _NAME.fullmatch(first) else None


def is_informal(tone: ResponseTone, formality: Formality) -> bool:
    """Whether people are addressed as acquaintances: the brand decides, else the tone."""
    if formality is Formality.NEUTRAL:
        return tone in _INFORMAL
    return formality is Formality.INFORMAL


def _parts(
    said: Said, intent: Intent, language: Language, tone: ResponseTone, rules: WritingRules
) -> dict[str, str]:
    informal = is_informal(tone, rules.formality)
    phrases: Phrases = language.informal if informal else language.formal
    name = first_name(said.author)
    opening = _chosen(phrases.opening[intent], said, "opening")
    if informal and rules.emoji and intent in (Intent.PRAISE, Intent.REMARK):
        opening += " 😊"
    parts = {
        "greeting": _chosen(phrases.greeting, said, "greeting").format(name=name) if name else "",
        "opening": opening,
        "touch": language.touches.get((tone, intent), ""),
        "following": _chosen(phrases.following[intent], said, "following"),
    }
    return {part: phrase for part, phrase in parts.items() if phrase}


def _chosen(variants: Variants, said: Said, part: str) -> str:
    """One of the variants; which, only depends on the mention."""
    digest = sha256(f"{said.id}:{part}".encode()).digest()
    return variants[digest[0] % len(variants)]


def _fitted(parts: dict[str, str], network: Network, rules: WritingRules) -> tuple[str, int]:
    """The parts as one text that fits, and how many had to be left out for it."""
    room, left_out = REPLY_MAX[network], 0
    for dispensable in ("", "touch", "greeting", "following"):
        left_out += parts.pop(dispensable, None) is not None
        text = signed(in_voice(_sentence(" ".join(parts.values())), rules), rules.sign_off)
        if reply_length(network, text) <= room:
            return text, left_out
    return shortened(text, room, RULES[network].measure), left_out + 1


def _sentence(text: str) -> str:
    """Phrases go on after a comma; without a greeting the first of them begins the text."""
    return text[:1].upper() + text[1:]


def _without_links(text: str) -> str:
    for start, end in reversed(links(text)):
        text = f"{text[:start]} {text[end:]}"
    return text
