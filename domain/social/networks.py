"""What each social network takes: lengths as it counts them, media, hashtags, mentions.

A post that breaks a rule is not refused as a request; the rule is checked for each network before
anything is sent, and reported for that network.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.social.cutting import Measure, pieces
from domain.social.text import (
    bare_hashtag,
    bare_mention,
    hashtags_in,
    holds,
    mentions_in,
    utf16_length,
    weighted_length,
)

__all__ = [
    "RULES",
    "Network",
    "NetworkRules",
    "Problem",
    "compose",
    "length_on",
    "preflight",
    "split_thread",
    "weighted_length",
]


class Network(StrEnum):
    """A social network that posts can go to."""

    FACEBOOK = "facebook"
    INSTAGRAM = "instagram"
    TWITTER = "twitter"
    LINKEDIN = "linkedin"
    TIKTOK = "tiktok"
    PINTEREST = "pinterest"


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """What a network takes in one post.

    Networks speak of characters; where they do not say how they count them, UTF-16 units are
    taken, which is what browsers count and never less than any other way. `images` and `videos`
    are the extensions of files known to be taken; a moving image that a network treats as a video
    stands there. None means no limit is known.
    """

    text_max: int
    measure: Measure
    images: frozenset[str]
    videos: frozenset[str]
    images_max: int
    videos_max: int = 1
    media_min: int = 0
    media_max: int | None = None
    mixes_media: bool = False
    hashtags_max: int | None = None
    mentions_max: int | None = None
    source: str = ""


def _types(names: str) -> frozenset[str]:
    return frozenset(names.split())


RULES: dict[Network, NetworkRules] = {
    Network.FACEBOOK: NetworkRules(
        text_max=63_206,
        measure=utf16_length,
        images=_types("jpg jpeg png gif bmp tif tiff webp heic"),
        videos=_types("mp4 mov m4v avi mkv mpg mpeg wmv 3gp webm"),
        images_max=10,
        source="Meta, Graph API: Page feed, Page photos, Page videos",
    ),
    Network.INSTAGRAM: NetworkRules(
        text_max=2_200,
        measure=utf16_length,
        images=_types("jpg jpeg"),
        videos=_types("mp4 mov"),
        images_max=10,
        videos_max=10,
        media_min=1,
        media_max=10,
        mixes_media=True,
        hashtags_max=30,
        mentions_max=20,
        source="Meta, Instagram Platform: IG User media",
    ),
    Network.TWITTER: NetworkRules(
        text_max=280,
        measure=weighted_length,
        images=_types("jpg jpeg png webp bmp tif tiff"),
        videos=_types("mp4 mov webm gif"),
        images_max=4,
        source="X, Counting characters (twitter-text v3); X API: media best practices",
    ),
    Network.LINKEDIN: NetworkRules(
        text_max=3_000,
        measure=utf16_length,
        images=_types("jpg jpeg png gif"),
        videos=_types("mp4"),
        images_max=20,
        source="Microsoft Learn, LinkedIn: Posts API, MultiImage API, Videos API",
    ),
    Network.TIKTOK: NetworkRules(
        text_max=2_200,
        measure=utf16_length,
        images=_types("jpg jpeg webp"),
        videos=_types("mp4 mov webm"),
        images_max=35,
        media_min=1,
        source="TikTok for Developers, Content Posting API: direct post, photo post",
    ),
    Network.PINTEREST: NetworkRules(
        text_max=500,
        measure=utf16_length,
        images=_types("jpg jpeg png webp bmp tif tiff gif"),
        videos=_types("mp4 mov m4v"),
        images_max=5,
        media_min=1,
        source="Pinterest API v5: create Pin",
    ),
}

# Types that some network takes, or none: known, so that a network can be said not to take them.
_IMAGES = frozenset().union(*(rules.images for rules in RULES.values()), _types("avif svg ico psd"))
_VIDEOS = frozenset().union(*(rules.videos for rules in RULES.values()), _types("flv ogv mts ts"))
_KNOWN = _IMAGES | _VIDEOS


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a network would not take a post: a stable code, words, and the figures if there are."""

    code: str
    message: str
    actual: int | None = None
    allowed: int | None = None


def length_on(network: Network, text: str) -> int:
    """The length of `text` as `network` counts it, to be compared with its `text_max`."""
    return RULES[network].measure(text)


def preflight(
    network: Network,
    text: str,
    media_urls: Sequence[str] = (),
    hashtags: Iterable[str] = (),
    mentions: Iterable[str] = (),
) -> list[Problem]:
    """Why `network` would not take this post; empty when it would.

    `text` is what will be posted (see `compose`). Of `hashtags` and `mentions`, those count that
    the text holds, also in a form in which the network alone would know them.
    """
    rules = RULES[network]
    tags = {tag.casefold() for tag in map(bare_hashtag, hashtags) if holds(text, f"#{tag}")}
    names = {name.casefold() for name in map(bare_mention, mentions) if holds(text, f"@{name}")}
    tagged, called = max(len(hashtags_in(text)), len(tags)), max(len(mentions_in(text)), len(names))
    problems = [
        _too_many("text_too_long", "characters", rules.measure(text), rules.text_max),
        _too_many("too_many_hashtags", "hashtags", tagged, rules.hashtags_max),
        _too_many("too_many_mentions", "mentions", called, rules.mentions_max),
        *_media_problems(rules, media_urls),
    ]
    if not text.strip() and not media_urls:
        problems.append(Problem("empty_post", "The post has neither text nor media."))
    return [problem for problem in problems if problem]


def _too_many(code: str, what: str, actual: int, allowed: int | None) -> Problem | None:
    if allowed is None or actual <= allowed:
        return None
    return Problem(code, f"{actual} {what}; at most {allowed} are allowed.", actual, allowed)


def _media_problems(rules: NetworkRules, urls: Sequence[str]) -> list[Problem | None]:
    types = [_type_of(url) for url in urls]
    images = sum(_is_image(rules, kind) for kind in types)
    videos = sum(kind in _KNOWN for kind in types) - images
    strange = _KNOWN.intersection(types) - rules.images - rules.videos
    maximum = rules.media_max or max(rules.images_max, rules.videos_max)
    problems = [
        _too_many("too_many_media", "media", len(urls), maximum)
        or _too_many("too_many_media", "images", images, rules.images_max)
        or _too_many("too_many_media", "videos", videos, rules.videos_max)
    ]
    if len(urls) < rules.media_min:
        message = "An image or a video is required."
        problems.append(Problem("media_required", message, len(urls), rules.media_min))
    if strange:
        problems.append(Problem("unsupported_media", f"Not taken: {', '.join(sorted(strange))}."))
    if videos and images and not rules.mixes_media:
        problems.append(Problem("mixed_media", "Images and a video cannot go into one post."))
    return problems


def _is_image(rules: NetworkRules, kind: str) -> bool:
    return kind in rules.images or (kind in _IMAGES and kind not in rules.videos)


def _type_of(url: str) -> str:
    """The extension of the file that `url` names, in lower case; "" when it has none."""
    path = url.partition("#")[0].partition("?")[0]
    return path.rpartition("/")[2].rpartition(".")[2].lower()


def compose(text: str, hashtags: Iterable[str] = (), mentions: Iterable[str] = ()) -> str:
    """The text as it will be posted: mentions and hashtags that it lacks are put after it."""
    for sign, names in (("@", map(bare_mention, mentions)), ("#", map(bare_hashtag, hashtags))):
        for name in names:
            if name and not holds(text, sign + name):
                text = f"{text.rstrip()} {sign}{name}".lstrip()
    return text


def split_thread(text: str, network: Network, *, numbered: bool = False) -> list[str]:
    """`text` as a thread of posts for `network`, each within its length; `numbered`: "… 1/3".

    Cut at ends of sentences where possible, never inside a link, hashtag, mention or grapheme.
    Raises ValueError when one of these alone is longer than a post.
    """
    rules = RULES[network]
    if not numbered or rules.measure(text.strip()) <= rules.text_max:
        return pieces(text, rules.text_max, rules.measure)
    digits = 1
    while True:
        parts = pieces(text, rules.text_max - len(" /") - 2 * digits, rules.measure)
        if len(str(len(parts))) <= digits:
            return [f"{part} {n}/{len(parts)}" for n, part in enumerate(parts, 1)]
        digits += 1
