"""Whose business a name is: the brand's, or an industry's; and what stands beside it."""

from collections import Counter
from collections.abc import Collection, Iterable

from application.social.trend_figures import Amounts, Figures, Text

OWN_HALF, HEARD_HALF = 2, 10
"""Own posts, and uses by others, that make a name half relevant."""


def relevance(figures: Figures, label: str, amounts: Amounts) -> float:
    """How much of the brand's business a name is, 0 to 1.

    Three signs, each a number from 0 to 1, count as independent: 1 - (1 - a)(1 - b)(1 - c). Own
    posts that use it, and uses by people who speak to or of the brand, each saturating as n / (n +
    half) (as term frequency in BM25: Robertson and Zaragoza, 2009); and how near it is to the
    brand's own vocabulary: made of its words, or beside them in texts.
    """
    own = max(figures.own_counts[label], amounts.own)
    near = 0.8 * max(made_of(label, figures.vocabulary), beside(figures, label, figures.vocabulary))
    a, b = own / (own + OWN_HALF), amounts.uses / (amounts.uses + HEARD_HALF)
    return round(1 - (1 - a) * (1 - b) * (1 - near), 4)


def made_of(label: str, vocabulary: Collection[str]) -> float:
    """The share of a name that words of `vocabulary` make up, 0 to 1: by letters in a hashtag,
    which has no spaces; else by words."""
    if not label.startswith("#"):
        words = label.split()
        return sum(word in vocabulary or f"#{word}" in vocabulary for word in words) / len(words)
    tag = label[1:]
    bare = {word.lstrip("#") for word in vocabulary if " " not in word}
    inside = [word for word in bare if len(word) >= 4 and word in tag]
    return max((len(word) / len(tag) for word in inside), default=float(tag in bare))


def beside(figures: Figures, label: str, vocabulary: Collection[str]) -> float:
    """The share of the texts with a name that have another name of `vocabulary` too, 0 to 1; 0
    with fewer than two texts, which tell nothing."""
    parts = {label, label.lstrip("#"), *label.split()}
    others = [text.names - parts for text in figures.texts_with.get(label, ())]
    return (
        sum(_meet(names, vocabulary) for names in others) / len(others) if len(others) > 1 else 0.0
    )


def belongs(figures: Figures, label: str, words: Collection[str]) -> bool:
    """Whether a name is of the trade that these words are of."""
    return made_of(label, words) >= 0.4 or beside(figures, label, words) >= 0.5


def speaks_of(text: Text, words: Collection[str]) -> bool:
    """Whether a text has one of these words, as a word or as a hashtag."""
    return any(name.lstrip("#") in words for name in text.names)


def _meet(names: Iterable[str], vocabulary: Collection[str]) -> bool:
    return any(name in vocabulary or name.lstrip("#") in vocabulary for name in names)


def related(figures: Figures, label: str, most: int = 5) -> list[str]:
    """The names that stand beside one most often; of persons' words only those of several."""
    parts = {label, label.lstrip("#"), *label.split()}
    people: dict[str, set[str | None]] = {}
    counted: Counter[str] = Counter()
    for text in figures.texts_with.get(label, ()):
        for name in text.names - parts:
            if not parts & set(name.split()):
                counted[name] += 1
                people.setdefault(name, set()).add(text.person)
    shown = (
        (n, name) for name, n in counted.items() if len(people[name]) > 1 or None in people[name]
    )
    return [name for _, name in sorted(shown, key=lambda each: (-each[0], each[1]))[:most]]
