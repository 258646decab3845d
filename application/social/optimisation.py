"""The embedded content optimiser: one text, as each network's readers expect it.

It works by rules, on this machine, and gives the same answer every time. It tidies, places
hashtags and mentions, and shortens to what the network takes; it never adds a statement that the
author did not make. So no "link in bio" where links cannot be clicked: nobody here knows whether
the link is there.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.social.cutting import shortened
from domain.social.networks import RULES, Network
from domain.social.text import (
    bare_hashtag,
    bare_mention,
    find_word,
    hashtag_spans,
    holds,
    links,
    mentions_in,
)

__all__ = ["STYLES", "VOICES", "Style", "Voice", "optimise"]


@dataclass(frozen=True, slots=True)
class Style:
    """What works on a network.

    `hashtags`: how many are worth having, the author's own among them. `inline`: a word of the
    text becomes a hashtag where one is wanted, before any is appended. `break_before`: what sets
    appended hashtags apart. `clickable`: links lead somewhere, so the first is kept when the
    text is shortened; elsewhere it is text like any other.
    """

    hashtags: int
    inline: bool
    break_before: str
    clickable: bool


STYLES: dict[Network, Style] = {
    Network.TWITTER: Style(hashtags=2, inline=True, break_before=" ", clickable=True),
    Network.FACEBOOK: Style(hashtags=2, inline=False, break_before="\n\n", clickable=True),
    Network.INSTAGRAM: Style(hashtags=30, inline=False, break_before="\n\n", clickable=False),
    Network.LINKEDIN: Style(hashtags=5, inline=False, break_before="\n\n", clickable=True),
    Network.TIKTOK: Style(hashtags=5, inline=False, break_before=" ", clickable=False),
    Network.PINTEREST: Style(hashtags=5, inline=False, break_before=" ", clickable=False),
}


@dataclass(frozen=True, slots=True)
class Voice:
    """How a brand speaks: the longest run of "!" or "?" it uses, and the hashtags it allows."""

    emphasis: int
    hashtags: int


VOICES: dict[str, Voice] = {
    "default": Voice(emphasis=1, hashtags=30),
    "luxury_fashion": Voice(emphasis=1, hashtags=3),
    "professional": Voice(emphasis=1, hashtags=3),
    "playful": Voice(emphasis=3, hashtags=30),
}

_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f\ufeff\ufffe\uffff]")
_SEPARATOR = re.compile("[\x0b\x0c\x1c-\x1f]")
_LINE_END = re.compile(r"(?<![ \t])[ \t]*+(?:\r\n?|\n)[ \t]*+")
_BLANK_LINES = re.compile(r"\n{3,}+")
_SPACES = re.compile(r"[ \t]{2,}+|\t")
_EMPHASIS = re.compile(r"https?://\S++|!{2,}+|\?{2,}+")


def optimise(
    text: str,
    network: Network,
    hashtags: Iterable[str] = (),
    mentions: Iterable[str] = (),
    brand_voice: str = "default",
) -> str:
    """`text` as it should stand on `network`, with `hashtags` and `mentions` (signs optional).

    The result keeps to the network's length and number of hashtags, never ends inside a link or
    grapheme, keeps every mention as long as the mentions alone fit, and is left as it is when
    optimised again. Raises ValueError for an unknown brand voice.
    """
    voice = VOICES.get(brand_voice)
    if voice is None:
        raise ValueError(f"brand_voice must be one of {', '.join(VOICES)}")
    text = _tidy(text, voice)
    hashtags_max = RULES[network].hashtags_max
    if hashtags_max is not None:
        text = _at_most(hashtags_max, text)
    names = _unique(f"@{name}" for name in map(bare_mention, mentions) if name)
    text = _with_mentions(text, names, network)
    return _with_hashtags(text, [tag for tag in map(bare_hashtag, hashtags) if tag], network, voice)


def _tidy(text: str, voice: Voice) -> str:
    """No control characters, no spaces in rows or at line ends, at most one blank line."""
    if not text.isprintable():
        text = _CONTROL.sub("", _SEPARATOR.sub(" ", text))
        text = _LINE_END.sub("\n", text)
        text = _BLANK_LINES.sub("\n\n", text)
    if "  " in text or "\t" in text:
        text = _SPACES.sub(" ", text)
    if "!!" in text or "??" in text:
        inside = links(text)

        def calmer(run: re.Match[str]) -> str:
            in_link = any(start <= run.start() < end for start, end in inside)
            return run[0] if in_link or run[0][0] not in "!?" else run[0][: voice.emphasis]

        text = _EMPHASIS.sub(calmer, text)
    return text.strip()


def _at_most(count: int, text: str) -> str:
    """`text` with `count` hashtags: the ones too many go at its end, and lose "#" inside it."""
    for start, end in reversed(hashtag_spans(text)[count:]):
        at_the_end = not text[end:].strip()
        text = text[:start].rstrip() if at_the_end else text[:start] + text[start + 1 :]
    return text


def _with_mentions(text: str, names: Sequence[str], network: Network) -> str:
    """`text` with each of `names`, no longer than `network` takes. What it must not lose, the
    mentions and the first link, is put after it where it would be cut off.
    """
    measure, room = RULES[network].measure, RULES[network].text_max
    complete = _joined(text, _missing(names, text))
    if measure(complete) <= room:
        return complete
    kept: list[str] = []
    for item in _dear(text, names, network):
        if measure(_joined("", [*kept, item])) <= room:
            kept.append(item)
    complete = _joined(text, _missing([name for name in kept if name in names], text))
    if measure(complete) <= room:
        return complete
    start, lost = "", kept
    # Room is kept for all at first, then for those only that the first cut has lost.
    for _ in range(2):
        start = shortened(text, room - (measure(_joined("", lost)) + 1 if lost else 0), measure)
        lost = _missing(kept, start)
    return _joined(start, lost)


def _dear(text: str, names: Sequence[str], network: Network) -> list[str]:
    """What a shorter `text` must still hold: the mentions, and a link that can be clicked."""
    own = [f"@{name}" for name in mentions_in(text)]
    first = [text[start:end] for start, end in links(text)[:1] if STYLES[network].clickable]
    return _unique([*names, *own, *first])


def _unique(items: Iterable[str]) -> list[str]:
    """The first of those that differ in letter case only."""
    found: dict[str, str] = {}
    for item in items:
        found.setdefault(item.casefold(), item)
    return list(found.values())


def _missing(items: Iterable[str], text: str) -> list[str]:
    return [item for item in items if not (holds(text, item) if item[0] == "@" else item in text)]


def _joined(text: str, items: Iterable[str]) -> str:
    return " ".join([text, *items] if text else items)


def _with_hashtags(text: str, tags: Sequence[str], network: Network, voice: Voice) -> str:
    """`text` with as many of `tags` as are worth having and fit, the first ones first."""
    rules, style = RULES[network], STYLES[network]
    room = min(style.hashtags, voice.hashtags) - len(hashtag_spans(text))
    added = True
    # Round by round: once a first tag stands at the end, another may fit beside it.
    while added and room > 0:
        added = False
        for tag in tags:
            if room <= 0 or holds(text, f"#{tag}"):
                continue
            more = (style.inline and _inline(text, tag)) or _appended(text, tag, style)
            if rules.measure(more) <= rules.text_max:
                text, room, added = more, room - 1, True
    return text


def _inline(text: str, tag: str) -> str | None:
    """`text` with the first word that reads like `tag` made a hashtag; None if there is none."""
    start = find_word(text, tag)
    return None if start is None else f"{text[:start]}#{text[start:]}"


def _appended(text: str, tag: str, style: Style) -> str:
    if not text:
        return f"#{tag}"
    beside_others = text.rsplit(None, 1)[-1][0] in "#＃"
    return f"{text}{' ' if beside_others else style.break_before}#{tag}"
