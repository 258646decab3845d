"""The words that a text is about: what is left of it without links, accounts, numbers and the
words that every text has."""

from importlib.resources import files

import regex

from domain.personal import ERASED
from domain.social.text import hashtags_in

MOST = 8
"""Words taken from one text, and as many pairs of neighbours."""

SHORTEST, LONGEST = 3, 40

STOP_WORDS = frozenset(
    word
    for line in files("application.social")
    .joinpath("stop_words.txt")
    .read_text("utf-8")
    .splitlines()
    if not line.startswith("#")
    for word in line.split()
)

_NOISE = regex.compile(
    r"https?://\S+|www\.\S+|\S+@\S+\.\S+|[@＠]\w+(?:[.-]\w+)*|[#＃][\p{L}\p{M}\p{N}_]+"
    r"|\b[\w-]+\.(?:com|org|net|io|co|app|shop|store|invalid)\b\S*",
    regex.IGNORECASE,
)
_WORD = regex.compile(r"[\p{L}\p{M}]+(?:['’-][\p{L}\p{M}]+)*|\P{L}")
_UNSPACED = regex.compile(
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}"
    r"\p{Script=Khmer}\p{Script=Myanmar}]"
)
_ENDS = frozenset('.,;:!?()[]{}"…–—|/\n«»“”„')


def hashtags_of(text: str) -> list[str]:
    """The hashtags of `text`, each once, without sign and in lower case."""
    if text == ERASED:
        return []
    return list(dict.fromkeys(tag.lower() for tag in hashtags_in(text)))


def topics_of(text: str) -> list[str]:
    """The words of `text` and the pairs of words that stand side by side, each once, in lower
    case. Scripts without spaces between words yield none; nor does the text of somebody erased."""
    if text == ERASED:
        return []
    words: dict[str, None] = {}
    pairs: dict[str, None] = {}
    before = ""
    for found in _WORD.findall(_NOISE.sub(" . ", text).lower()):
        if not found[0].isalpha():
            before = "" if found in _ENDS else before
            continue
        word = found.removesuffix("'s").removesuffix("’s")
        if not _counts(word):
            before = ""
            continue
        words[word] = None
        if before and before != word:
            pairs[f"{before} {word}"] = None
        before = word
    return [*list(words)[:MOST], *list(pairs)[:MOST]]


def _counts(word: str) -> bool:
    return (
        SHORTEST <= len(word) <= LONGEST
        and word not in STOP_WORDS
        and word.replace("’", "'") not in STOP_WORDS
        and not _UNSPACED.search(word)
    )
