import re
import time

import pytest
import regex
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from application.social.optimisation import STYLES, VOICES, optimise
from domain.social.networks import RULES, Network, length_on, preflight
from domain.social.text import bare_mention, hashtags_in, holds, links, mentions_in

X = Network.TWITTER
LONG = "We are glad to show the new collection, which took us a whole year. "

WORDS = [
    "Hello",
    "we're",
    "glad",
    "e.g.",
    "Mr. Smith",
    "fashion",
    "Luxury",
    "naïve",
    "AI",
    "1,5",
    "x",
]
ODD = [
    "👩‍👩‍👧‍👦",
    "🇩🇪🇫🇷",
    "👍🏽",
    "e\u0301\u0323",
    "日本語のテキスト。",
    "안녕하세요",
    "क्षि",
    "«ja»",
    "—",
    "…",
    "ﷺ",
]
LINKS = [
    "https://example.com/a/b?c=d&e=f",
    "http://example.com/" + "path/" * 30,
    "example.com",
    "https://t.co/x!!y",
    "(https://en.wikipedia.org/wiki/Film_(film))",
    "https://localhost:8000/" + "q" * 90,
]
TAGS = ["#Fashion", "#tag1", "#2024", "#日本語", "#a_b", "&#39;", "C#", "#"]
NAMES = ["@anna", "@bob.smith", "@a_very_long_account_name_here", "bob@example.com", "@"]
CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f\ufeff\ufffe\uffff]")
"""What is left out without a trace; what is left out of the rest leaves a space."""
GAPS = [" ", "  ", "\n", "\n\n\n", "\t", " \r\n", ". ", "! ", "!!! ", "?? ", ", ", "\x00 ", ""]
PIECES = st.sampled_from(WORDS + ODD + LINKS + TAGS + NAMES)
TEXTS = st.lists(st.tuples(PIECES, st.sampled_from(GAPS)), max_size=60).map(
    lambda parts: "".join(piece + gap for piece, gap in parts)
)
ANY_TEXT = TEXTS | st.text(max_size=700) | TEXTS.map(lambda text: text * 12)
HASHTAGS = st.lists(
    st.sampled_from(
        ["Fashion", "#luxury", "paris style", "women's", "2024", "日本語", "AI", "x" * 90, ""]
    )
    | st.text(max_size=12),
    max_size=8,
)
MENTIONS = st.lists(
    st.sampled_from(["vogue", "@elle", "bob.smith", "Bob.Smith", "", "@"]) | st.text(max_size=20),
    max_size=6,
)
VOICE = st.sampled_from(sorted(VOICES))
NETWORKS = st.sampled_from(Network)


def addresses(text: str) -> set[str]:
    return {word.strip("().,;:!?") for word in text.split() if "://" in word}


def graphemes(text: str) -> list[str]:
    return regex.findall(r"\X", text)


@given(ANY_TEXT, NETWORKS, HASHTAGS, MENTIONS, VOICE)
@example("x" * 300, X, ["Fashion"], ["vogue"] * 3, "default")
@example("日本語" * 200, X, [], ["vogue"], "default")
@example("@a " * 200, X, ["x"], ["b"], "default")
@example("#tag " * 40, Network.INSTAGRAM, ["x"], [], "default")
@settings(max_examples=400, deadline=None)
def test_the_result_keeps_the_rules_and_stays_as_it_is(text, network, hashtags, mentions, voice):
    once = optimise(text, network, hashtags, mentions, voice)
    assert length_on(network, once) <= RULES[network].text_max
    assert len(hashtags_in(once)) <= (RULES[network].hashtags_max or len(once))
    assert optimise(once, network, hashtags, mentions, voice) == once
    codes = {problem.code for problem in preflight(network, once, (), hashtags, mentions)}
    assert not codes & {"text_too_long", "too_many_hashtags"}


@given(ANY_TEXT, NETWORKS, MENTIONS)
@example("@a\x1fb", X, [])
@example("@a\x01b", X, [])
@settings(max_examples=300, deadline=None)
def test_every_mention_is_kept_while_the_mentions_fit(text, network, mentions):
    expected = [*(f"@{name}" for name in map(bare_mention, mentions) if name)]
    expected += [f"@{name}" for name in mentions_in(CONTROL.sub("", text))]
    assume(length_on(network, " ".join(expected)) <= RULES[network].text_max)
    result = optimise(text, network, (), mentions)
    assert [name for name in expected if not holds(result, name)] == []


@given(TEXTS.map(lambda text: text * 6), NETWORKS, HASHTAGS)
@settings(max_examples=300, deadline=None)
def test_no_link_is_cut(text, network, hashtags):
    text = CONTROL.sub("", text)
    whole = {text[start:end] for start, end in links(text)}
    result = optimise(text, network, hashtags)
    assert {result[start:end] for start, end in links(result)} <= whole
    assert addresses(result) <= addresses(text)


@given(
    st.lists(st.sampled_from(["👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "e\u0301", "각", "日", "a"]), max_size=400),
    NETWORKS,
)
@settings(max_examples=200, deadline=None)
def test_no_grapheme_is_cut(parts, network):
    text = "".join(parts)
    result = optimise(text, network).removesuffix("…")
    whole = graphemes(text)
    assert graphemes(result) == whole[: len(graphemes(result))]


@given(ANY_TEXT, NETWORKS, HASHTAGS)
@settings(max_examples=150, deadline=None)
def test_the_hashtags_added_are_no_more_than_are_worth_having(text, network, hashtags):
    own = len(hashtags_in(optimise(text, network)))
    assert len(hashtags_in(optimise(text, network, hashtags))) <= max(own, STYLES[network].hashtags)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (X, "New #luxury for #spring. Come in!"),
        (Network.FACEBOOK, "New luxury for spring. Come in!\n\n#Luxury #Spring"),
        (Network.INSTAGRAM, "New luxury for spring. Come in!\n\n#Luxury #Spring #ParisStyle #New"),
        (Network.LINKEDIN, "New luxury for spring. Come in!\n\n#Luxury #Spring #ParisStyle #New"),
        (Network.TIKTOK, "New luxury for spring. Come in! #Luxury #Spring #ParisStyle #New"),
        (Network.PINTEREST, "New luxury for spring. Come in! #Luxury #Spring #ParisStyle #New"),
    ],
)
def test_hashtags_stand_where_the_network_expects_them(network, expected):
    tags = ["Luxury", "#Spring", "paris style", "luxury", "New", "2024", "!"]
    assert optimise("New luxury for spring. Come in!", network, tags) == expected


def test_a_hashtag_of_the_text_is_not_repeated():
    assert optimise("New collection! #Fashion", X, ["fashion"]) == "New collection! #Fashion"


@pytest.mark.parametrize(
    "text",
    [
        "See example.com/fashion",
        "Ask @fashion",
        "pre-fashion",
        "fashion-week",
        "old-fashioned",
        "x.fashion",
    ],
)
def test_only_a_word_of_its_own_becomes_a_hashtag(text):
    assert optimise(text, X, ["fashion"]) == f"{text} #fashion"


def test_a_hashtag_that_does_not_fit_is_left_out_and_the_text_is_not():
    text = "x" * 270
    assert optimise(text, X, ["TooLongForThis", "Fits"]) == f"{text} #Fits"


def test_mentions_follow_the_text_once():
    assert optimise("Hello @Anna", X, (), ["anna", "@bob", "Bob", "", "@"]) == "Hello @Anna @bob"


def test_text_is_shortened_at_the_end_of_a_sentence():
    result = optimise(LONG * 6, X)
    assert result == (LONG * 4).strip()


def test_a_long_sentence_is_shortened_between_words():
    result = optimise("word, " * 100, X)
    assert result.endswith("word…")
    assert 270 < length_on(X, result) <= 280


def test_the_link_and_the_mentions_survive_shortening():
    result = optimise(LONG * 6 + "See https://example.com/new with @anna.", X, ["style"], ["vogue"])
    assert result.startswith(LONG)
    assert result.endswith("@vogue @anna https://example.com/new #style")


def test_an_ellipsis_keeps_its_distance_from_a_link():
    result = optimise("https://example.com/a " * 30, X)
    assert result.endswith("https://example.com/a …")


def test_where_links_cannot_be_clicked_none_is_kept_at_the_price_of_text():
    result = optimise(LONG * 10 + "See https://example.com/new", Network.PINTEREST)
    assert result == (LONG * 7).strip()


def test_mentions_that_cannot_fit_give_way_to_the_length():
    names = [f"a_rather_long_account_name_{number:02}" for number in range(20)]
    result = optimise("Hello", X, (), names)
    assert length_on(X, result) <= 280
    assert mentions_in(result) == names[:9]


def test_hashtags_above_the_network_s_number_go():
    text = "We #love it " + " ".join(f"#tag{number}" for number in range(40))
    result = optimise(text, Network.INSTAGRAM)
    assert result == "We #love it " + " ".join(f"#tag{number}" for number in range(29))
    inside = optimise("#a " * 30 + "and #love it", Network.INSTAGRAM)
    assert inside.endswith("and love it")


@pytest.mark.parametrize(
    ("text", "tidy"),
    [
        ("  Hello   world \t!  ", "Hello world !"),
        ("a \r\n\r\n\r\n\r\n b\rc", "a\n\nb\nc"),
        ("Wow!!! Really??? Yes?!", "Wow! Really? Yes?!"),
        (
            "See https://example.com/a!!b or example.com/??",
            "See https://example.com/a!!b or example.com/?",
        ),
        ("a\x00b\ufeffc", "abc"),
        ("a\x1fb\x0c c", "a b c"),
        ("a \x00 b \x00\n c", "a b\nc"),
    ],
)
def test_text_is_tidied(text, tidy):
    assert optimise(text, X) == tidy


@pytest.mark.parametrize(
    ("voice", "expected"),
    [
        ("default", "Wow! It is here\n\n#a1 #b1 #c1 #d1"),
        ("luxury_fashion", "Wow! It is here\n\n#a1 #b1 #c1"),
        ("playful", "Wow!!! It is here\n\n#a1 #b1 #c1 #d1"),
    ],
)
def test_the_brand_voice_decides_on_emphasis_and_hashtags(voice, expected):
    text, tags = "Wow!!!!! It is here", ["a1", "b1", "c1", "d1"]
    assert optimise(text, Network.LINKEDIN, tags, brand_voice=voice) == expected


def test_an_unknown_brand_voice_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^brand_voice must be one of default, "):
        optimise("Hello", X, brand_voice="grumpy")


def test_every_network_has_a_style_within_its_rules():
    assert set(STYLES) == set(Network)
    for network, style in STYLES.items():
        assert style.hashtags <= (RULES[network].hashtags_max or style.hashtags)


def test_a_short_post_costs_little():
    optimise("New luxury collection! #Fashion", X, ["Fashion", "Style"], ["vogue"])
    started = time.process_time()
    for _ in range(1_000):
        optimise("New luxury collection! #Fashion", X, ["Fashion", "Style"], ["vogue"])
    assert time.process_time() - started < 0.4


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "🇩🇪",
        "👩‍",
        "#a ",
        "@a ",
        "a. ",
        "\n ",
        "!!",
        " ",
        "\t",
        "http://a.de/ ",
        "a.",
        "日。",
        "(",
        "#",
    ],
)
def test_hostile_text_costs_no_more_than_long_text(unit):
    text = (unit * 5_000)[:5_000]
    for network in Network:
        started = time.process_time()
        optimise(text, network, ["tag"] * 30, ["name"] * 30)
        assert time.process_time() - started < 0.5
