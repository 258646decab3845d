"""Reading and measuring what people post: links, hashtags, mentions, emoji."""

import re
import unicodedata
from collections.abc import Iterator

import regex

from domain.social.top_level_domains import TOP_LEVEL_DOMAINS

__all__ = [
    "LONGEST_HASHTAG",
    "bare_hashtag",
    "bare_mention",
    "find_word",
    "hashtag_spans",
    "hashtags_in",
    "holds",
    "links",
    "mentions_in",
    "utf16_length",
    "weighted_length",
]

_LINK_LENGTH = 23

LONGEST_HASHTAG = 139
"""Characters, without the sign; what is longer no network takes for a hashtag."""

# Where a link may begin and what it may hold: twitter-text, "extractUrl" and its parts.
_LINK = re.compile(
    r"(?:(?<![A-Za-z0-9@＠$#＃])(?i:https?)://([\w-]++(?:\.[\w-]++)++)"
    r"|(?<![A-Za-z0-9@＠$#＃_./-])([A-Za-z0-9][A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]++)++))"
)
_PATH = re.compile(r"(?::\d{1,5})?(?:/[A-Za-z0-9!*';:=+,.$%#\[\]\-–~@|&()/_À-žЀ-ӿ]*+)?")
_QUERY = re.compile(r"\?[A-Za-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]*+")
_LINK_END = re.compile(r"[A-Za-z0-9=+\-_#/&À-žЀ-ӿ]")
_ASCII_DOMAIN_END = re.compile(r"[a-z]+(?![a-z0-9@])")

_HASHTAG = regex.compile(r"(?<![\w&/#＃])[#＃]([\p{L}\p{M}\p{N}_]++)")
_MENTION = regex.compile(r"(?<![\w@＠./])[@＠](\w++(?:[.-]\w++)*+)")
_LETTER = regex.compile(r"[\p{L}\p{M}]")
_HASHTAG_GOES_ON = regex.compile(r"[\w\p{M}]")
_MENTION_GOES_ON = regex.compile(r"[.-]?[\w\p{M}]")
_WORD_GOES_ON = regex.compile(r"[\w\p{M}@＠]|[./-][\w\p{M}]")
_NO_TAG_AFTER = regex.compile(r"[\w\p{M}/&]")
_NO_WORD_AFTER = regex.compile(r"[\w\p{M}#＃@＠&./-]")
_NOT_IN_HASHTAG = regex.compile(r"[^\p{L}\p{M}\p{N}_]+")
_NOT_IN_MENTION = regex.compile(r"[^\w.-]+")

# The code points that twitter-text v3 gives weight 2; the ranges left out have weight 1.
_HEAVY = re.compile("[^\u0000-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]")
_EMOJI = regex.compile(
    r"""(?V1x)
    \p{Regional_Indicator}{2} | [0-9\#*]\uFE0F?\u20E3
    | [\p{Emoji}&&\p{Extended_Pictographic}] (?:\uFE0F|\p{Emoji_Modifier})?
      (?:[\U000E0020-\U000E007E]+\U000E007F)?
      (?:\u200D [\p{Emoji}&&\p{Extended_Pictographic}] (?:\uFE0F|\p{Emoji_Modifier})?){0,3}
    """
)


def weighted_length(text: str) -> int:
    """The length of `text` as X counts it, in characters of which 280 are allowed.

    Normal form C; a link counts 23; an emoji, however composed, 2; Latin and most other
    alphabets 1, all else (Chinese, Japanese, Korean …) 2. Source: twitter-text, configuration
    v3. "it.so" counts as a link, which X decides case by case: never less than X counts.
    """
    if text.isascii() and "." not in text:
        return len(text)
    text = unicodedata.normalize("NFC", text)
    length = position = 0
    for start, end in links(text):
        length += _weight(text[position:start]) + _LINK_LENGTH
        position = end
    return length + _weight(text[position:])


def _weight(text: str) -> int:
    if text.isascii():
        return len(text)
    weight = len(text) + len(_HEAVY.findall(text))
    for emoji in _EMOJI.findall(text):
        if len(emoji) > 1:
            weight += 2 - len(emoji) - len(_HEAVY.findall(emoji))
    return weight


def utf16_length(text: str) -> int:
    """The length of `text` in UTF-16 code units, which browsers and most networks count."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def links(text: str) -> list[tuple[int, int]]:
    """Where the web addresses of `text` stand, with and without "https://", as X finds them."""
    found: list[tuple[int, int]] = []
    position = 0
    while "." in text and (link := _LINK.search(text, position)):
        position = link.end()
        host = link[1] or link[2]
        length = _domain_length(host)
        if length:
            end = position - len(host) + length
            position = _link_end(text, end) if length == len(host) else end
            found.append((link.start(), position))
    return found


def _domain_length(host: str) -> int:
    """How much of `host` is a domain: up to its last label that is a top-level domain; else 0."""
    labels = host.lower().split(".")
    length = len(host)
    while len(labels) > 1:
        last = labels.pop()
        start = length - len(last)
        ascii_end = _ASCII_DOMAIN_END.match(last)
        if labels[-1].strip("-_") == labels[-1]:
            if last in TOP_LEVEL_DOMAINS:
                return length
            if ascii_end and ascii_end[0] in TOP_LEVEL_DOMAINS:
                return start + ascii_end.end()
        length = start - 1
    return 0


def _link_end(text: str, position: int) -> int:
    """Where the link ends whose domain ends at `position`: after port, path and query, but
    before punctuation that belongs to the sentence.
    """
    for part in (_PATH, _QUERY):
        match = part.match(text, position)
        end = match.end() if match else position
        while end > position and not _LINK_END.match(text, end - 1):
            if text[end - 1] == ")" and 0 < text.count(")", position, end) <= text.count(
                "(", position, end
            ):
                break
            end -= 1
        position = end
        if match and end < match.end():
            break
    return position


def hashtag_spans(text: str) -> list[tuple[int, int]]:
    """Where the hashtags of `text` stand, sign included. A number alone is none, nor is what is
    longer than `LONGEST_HASHTAG`."""
    if "#" not in text and "＃" not in text:
        return []
    return [
        tag.span()
        for tag in _HASHTAG.finditer(text)
        if len(tag[1]) <= LONGEST_HASHTAG and _LETTER.search(tag[1])
    ]


def hashtags_in(text: str) -> list[str]:
    """The hashtags of `text` in order, without their signs."""
    return [text[start + 1 : end] for start, end in hashtag_spans(text)]


def mentions_in(text: str) -> list[str]:
    """The accounts mentioned in `text` in order, without their signs; not mail addresses."""
    return list(_MENTION.findall(text)) if "@" in text or "＠" in text else []


def bare_hashtag(name: str) -> str:
    """`name` as it can stand after "#": several words become one, in camel case. "" if none can."""
    if name.isidentifier() and _LETTER.search(name):
        return name
    words = _NOT_IN_HASHTAG.sub(" ", name.replace("'", "").replace("’", "")).split()
    joined = words[0] if len(words) == 1 else "".join(word[:1].upper() + word[1:] for word in words)
    return joined if _LETTER.search(joined) else ""


def bare_mention(name: str) -> str:
    """`name` as it can stand after "@". "" if nothing of it can."""
    return str(_NOT_IN_MENTION.sub("", name)).strip(".-")


def holds(text: str, tag: str) -> bool:
    """Whether `text` has `tag`, a hashtag or mention with its sign, in any letter case."""
    if tag[0] not in text:
        return False
    after = _HASHTAG_GOES_ON if tag[0] == "#" else _MENTION_GOES_ON
    return any(True for _ in _alone(text.casefold(), tag.casefold(), _NO_TAG_AFTER, after))


def find_word(text: str, word: str) -> int | None:
    """Where `word`, in any letter case, first stands in `text` as a word of its own: not part of
    a link, hashtag, mention or compound. None when it does not.
    """
    folded = text.casefold()
    if len(folded) != len(text):
        return None
    inside = links(text)
    for start in _alone(folded, word.casefold(), _NO_WORD_AFTER, _WORD_GOES_ON):
        if not any(first <= start < last for first, last in inside):
            return start
    return None


def _alone(
    text: str, word: str, before: regex.Pattern[str], after: regex.Pattern[str]
) -> Iterator[int]:
    """Where `word` stands in `text` with nothing of `before` before it and of `after` after it."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if not after.match(text, end) and not (start and before.match(text, start - 1)):
            yield start
        start = text.find(word, end)
