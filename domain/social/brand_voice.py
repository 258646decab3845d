"""How a brand writes: words it avoids, words it prefers, how it signs, how formal it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

import regex

from domain.kernel import Aggregate, acting, event
from domain.social.text import links


class Formality(StrEnum):
    """How a brand addresses people; `NEUTRAL` leaves it to the tone that is asked for."""

    FORMAL = "formal"
    NEUTRAL = "neutral"
    INFORMAL = "informal"


@dataclass(frozen=True)
class WritingRules:
    """`forbidden` words with what stands in their place ("" leaves them out), `spelling` of words
    that could be spelt otherwise, the `sign_off` that ends a text, and the brand's own name."""

    brand: str | None = None
    formality: Formality = Formality.NEUTRAL
    emoji: bool = True
    sign_off: str | None = None
    forbidden: dict[str, str] = field(default_factory=dict)
    spelling: dict[str, str] = field(default_factory=dict)


NO_RULES = WritingRules()

_EMOJI = regex.compile(
    r"[ ]?(?:\p{RI}{2}|[0-9#*]\uFE0F?\u20E3|(?:(?!©|®|™)\p{Extended_Pictographic})"
    r"(?:\uFE0F|\p{Emoji_Modifier})?(?:\u200D\p{Extended_Pictographic}"
    r"(?:\uFE0F|\p{Emoji_Modifier})?)*)"
)
_GONE = "\0"
"""Stands where something was left out; no text that comes from outside holds it."""
_GAP = re.compile(r"[ \t]*\0(?=[\0 \t]*(?:[,.;:!?…]|\s|\Z))|\0")
_TAGS = regex.compile(r"[#@＃＠][\w.-]+")


class BrandVoice(Aggregate, topic="social.brand_voice"):
    """The writing rules of one tenant."""

    class Adopted(Aggregate.Created):
        TOPIC = "social.brand_voice.adopted"
        rules: WritingRules

    class Changed(Aggregate.Event):
        TOPIC = "social.brand_voice.changed"
        rules: WritingRules

    @staticmethod
    def create_id(tenant: str | None = None) -> UUID:
        """One stream per tenant, by default the one that is acting."""
        whose = tenant or acting.get().tenant
        return uuid5(NAMESPACE_URL, f"tidings:brand_voice:{whose}")

    @event(Adopted)
    def __init__(self, rules: WritingRules) -> None:
        self.rules = rules

    def change(self, rules: WritingRules) -> None:
        """Write by other rules from now on."""
        if rules != self.rules:
            self._changed(rules)

    @event(Changed)
    def _changed(self, rules: WritingRules) -> None:
        self.rules = rules


def in_voice(text: str, rules: WritingRules) -> str:
    """`text` with each word as the brand writes it, and without emoji where it uses none.

    Links, hashtags and mentions are left as they are. The sign-off is not added; see `signed`.
    """
    text = _replaced(text, rules.forbidden | rules.spelling)
    if not rules.emoji:
        text = _EMOJI.sub(_GONE, text)
    return _GAP.sub("", text).strip()


def signed(text: str, sign_off: str | None) -> str:
    """`text` with the sign-off after it, unless it ends so already."""
    if not sign_off or text.rstrip().casefold().endswith(sign_off.casefold()):
        return text
    return f"{text} {sign_off}" if text else sign_off


def _replaced(text: str, words: Mapping[str, str]) -> str:
    """Whole words only, in any case, all in one pass, so that no replacement is replaced again; a
    capital letter at the beginning stays one."""
    if not words:
        return text
    kept = [*links(text), *(tag.span() for tag in _TAGS.finditer(text))]
    instead = {word.casefold(): other for word, other in words.items()}

    def replace(found: re.Match[str]) -> str:
        other = instead.get(found[0].casefold())
        if other is None or any(start <= found.start() < end for start, end in kept):
            return found[0]
        other = other or _GONE
        return other[:1].upper() + other[1:] if found[0][:1].isupper() else other

    longest_first = sorted(map(re.escape, words), key=len, reverse=True)
    return re.sub(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)", replace, text, flags=re.I)
