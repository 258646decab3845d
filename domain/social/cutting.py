"""Cutting what people post: at the ends of sentences, between words, between graphemes, and never
inside a link, hashtag or mention.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence

import regex

from domain.social.text import links

__all__ = ["Measure", "pieces", "shortened"]

Measure = Callable[[str], int]
"""The length of a text, as one network counts it."""

# Flags stand apart: on a run of them \X looks back over the whole run, for each.
_GRAPHEME = regex.compile(r"\p{RI}{2}[\p{GCB=Extend}\p{GCB=SpacingMark}\u200D]*+|\X")
_UNCUTTABLE = regex.compile(r"(?i:https?)://\S++|[#＃@＠][\w\p{M}.-]++")
_WORD_END = re.compile(r"(?<=\S)(?=\s)")
_SENTENCE_END = re.compile(r"[.!?…]++[\"'”’»)\]]*+(?=\s)|[。！？｡]++[”’」』）]*+|(?<=\S)(?=\s*+\n)")
_ABBREVIATED = re.compile(
    r"(?:\A|[\s(\"'“‘])(?:[^\W\d_]|mr|mrs|ms|dr|prof|st|vs|no|nr|e\.g|i\.e|z\.b|approx|ca)\.\Z",
    re.IGNORECASE,
)
_LOOSE_END = " \t\r\n,;:–—"
# A cut is good enough when it keeps this share of the room; otherwise a finer one is tried.
_SENTENCE_KEEPS, _WORD_KEEPS = 0.25, 0.5


def shortened(text: str, room: int, measure: Measure) -> str:
    """The start of `text` that measures at most `room`: whole sentences if they fill a quarter
    of it, else words or graphemes with an ellipsis. Never part of a link, hashtag or mention.
    """
    if measure(text) <= room:
        return text

    def with_ellipsis(end: int) -> str:
        start = text[:end].rstrip(_LOOSE_END)
        # Some networks would take the ellipsis for a part of the link.
        return start + (" …" if _ends_in_link(start) else "…")

    sentences = _last(_sentence_ends(text), room, lambda end: measure(text[:end]))
    if sentences and measure(text[:sentences]) >= room * _SENTENCE_KEEPS:
        return text[:sentences].rstrip()
    words = _last(_word_ends(text), room, lambda end: measure(with_ellipsis(end)))
    if not words or measure(text[:words]) < room * _WORD_KEEPS:
        words = _last(_grapheme_ends(text), room, lambda end: measure(with_ellipsis(end))) or words
    return with_ellipsis(words) if text[:words].rstrip(_LOOSE_END) else ""


def _ends_in_link(text: str) -> bool:
    word = text[text.rfind(" ") + 1 :]
    return "://" in word or any(end == len(word) for _, end in links(word))


def pieces(text: str, room: int, measure: Measure) -> list[str]:
    """`text` in pieces that measure at most `room`, cut at the ends of sentences where possible,
    else between words, else between graphemes. Nothing is lost but spaces at the cuts.

    Raises ValueError when a link, hashtag, mention or grapheme alone measures more than `room`.
    """
    found: list[str] = []
    rest = text.strip()
    while rest:
        if measure(rest) <= room:
            return [*found, rest]
        end = _cut(rest, room, measure)
        if not end:
            raise ValueError(f"a link, tag or character does not fit into a length of {room}")
        found.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return found


def _cut(text: str, room: int, measure: Measure) -> int:
    def length(end: int) -> int:
        return measure(text[:end].rstrip())

    best = 0
    for ends, keeps in (
        (_sentence_ends, _SENTENCE_KEEPS),
        (_word_ends, _WORD_KEEPS),
        (_grapheme_ends, 0.0),
    ):
        best = max(best, _last(ends(text), room, length))
        if best and length(best) >= room * keeps:
            break
    return best


def _last(ends: Sequence[int], room: int, length: Callable[[int], int]) -> int:
    """The last of `ends` whose length is at most `room`; 0 when there is none."""
    high = 1
    while high < len(ends) and length(ends[high]) <= room:
        high *= 2
    index = bisect_right(ends, room, hi=min(high, len(ends)), key=length)
    # Lengths grow with the text but for rare steps back, such as a word that completes a link.
    while index and length(ends[index - 1]) > room:
        index -= 1
    return ends[index - 1] if index else 0


def _sentence_ends(text: str) -> list[int]:
    return [
        end.end()
        for end in _SENTENCE_END.finditer(text)
        if not _ABBREVIATED.search(text, max(end.end() - 12, 0), end.end())
    ]


def _word_ends(text: str) -> list[int]:
    return [end.start() for end in _WORD_END.finditer(text)]


def _grapheme_ends(text: str) -> list[int]:
    inside: set[int] = set()
    for start, end in [*links(text), *(span.span() for span in _UNCUTTABLE.finditer(text))]:
        inside.update(range(start + 1, end))
    return [end for grapheme in _GRAPHEME.finditer(text) if (end := grapheme.end()) not in inside]
