import time
import unicodedata
from collections import Counter

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.social.networks import (
    RULES,
    Network,
    Problem,
    compose,
    length_on,
    preflight,
    split_thread,
    weighted_length,
)
from domain.social.text import (
    LONGEST_HASHTAG,
    bare_hashtag,
    bare_mention,
    hashtags_in,
    links,
    mentions_in,
)

X = Network.TWITTER
MEDIA = {network: ["https://example.com/a.jpg"] for network in Network}


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("Hello, world.", 13),
        ("naïve café", 10),
        ("e\u0301", 1),
        ("Привет, мир", 11),
        ("مرحبا", 5),
        ("“quotes” – dashes — and …", 26),
        ("a\u2003b", 3),
        ("日本語", 6),
        ("저찀쯿쿿", 8),
        ("のの", 4),
        ("€ ™ →", 8),
        ("© ®", 3),
        ("©\ufe0f", 2),
        ("\U00010000", 2),
        ("😀", 2),
        ("❤", 2),
        ("❤\ufe0f", 2),
        ("★\ufe0f", 4),
        ("👍🏽", 2),
        ("👨‍👩‍👧‍👦", 2),
        ("👩🏽‍❤️‍💋‍👩🏿", 2),
        ("🏳️‍🌈", 2),
        ("🇩🇪", 2),
        ("🇩🇪🇫🇷", 4),
        ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", 2),
        ("1️⃣#️⃣", 4),
        ("1⃣", 2),
        ("1 # *", 5),
        ("👍👍👍", 6),
    ],
)
def test_x_weighs_characters_by_their_script(text, length):
    assert weighted_length(text) == length


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("https://example.com", 23),
        ("HTTP://EXAMPLE.COM/" + "long/" * 100, 23),
        ("example.com", 23),
        ("t.co/x", 23),
        ("a https://example.com b example.org c", 7 + 46),
        ("(https://example.com).", 23 + 3),
        ("https://en.wikipedia.org/wiki/Film_(film).", 24),
        ("https://example.com/a?b=c&d=e#f, yes", 23 + 5),
        ("https://example.com:8443/a", 23),
        ("https://пример.рф/путь", 23),
        ("これはexample.com中国語", 6 + 23 + 6),
        ("http://example.com/日本", 23 + 4),
        ("http://domain.com-and-more", 23 + 9),
        ("http://no-tld/x", 15),
        ("e.g. this, v1.2, 3.5 and U.S.A.", 31),
        ("bob@example.com", 15),
        ("@example.com #example.com", 25),
        ("http://-bad.com", 15),
        ("end.Next sentence", 23 + 9),
    ],
)
def test_x_counts_every_link_as_23(text, length):
    assert weighted_length(text) == length


@pytest.mark.parametrize("network", [network for network in Network if network is not X])
def test_the_other_networks_count_utf_16_units(network):
    assert length_on(network, "a日😀👨‍👩‍👧") == 1 + 1 + 2 + 8
    assert length_on(network, "\ud800") == 1


@given(st.text(max_size=80), st.text(max_size=80))
@settings(max_examples=200)
def test_weight_is_that_of_the_normal_form_and_no_less_than_half_the_characters(one, two):
    text = f"{one} {two}"
    assert weighted_length(text) == weighted_length(unicodedata.normalize("NFD", text))
    assert weighted_length(text) >= len(regex.findall(r"\X", one))


def codes(network: Network, text: str = "Hello", media=None, **names) -> list[str]:
    media = MEDIA[network] if media is None else media
    return [problem.code for problem in preflight(network, text, media, **names)]


@pytest.mark.parametrize("network", Network)
def test_an_ordinary_post_has_no_problem(network):
    assert codes(network, "New collection! #Fashion @vogue") == []


@pytest.mark.parametrize("network", Network)
def test_a_text_may_be_as_long_as_the_network_allows_and_no_longer(network):
    allowed = RULES[network].text_max
    assert codes(network, "x" * allowed) == []
    [problem] = preflight(network, "x" * (allowed + 1), MEDIA[network])
    assert problem == Problem(
        "text_too_long",
        f"{allowed + 1} characters; at most {allowed} are allowed.",
        allowed + 1,
        allowed,
    )


def urls(*names: str) -> list[str]:
    return [f"https://cdn.example.com/{name}?v=1#x" for name in names]


IMAGES, VIDEO = urls(*(f"{number}.jpg" for number in range(40))), urls("film.MP4")


@pytest.mark.parametrize(
    ("network", "media", "expected"),
    [
        (Network.INSTAGRAM, [], ["media_required"]),
        (Network.TIKTOK, [], ["media_required"]),
        (Network.PINTEREST, [], ["media_required"]),
        (Network.FACEBOOK, [], []),
        (X, [], []),
        (Network.LINKEDIN, [], []),
        (X, IMAGES[:4], []),
        (X, IMAGES[:5], ["too_many_media"]),
        (X, VIDEO, []),
        (X, VIDEO * 2, ["too_many_media"]),
        (X, VIDEO + IMAGES[:1], ["mixed_media"]),
        (X, urls("a.gif"), []),
        (X, urls("a.gif", "b.gif"), ["too_many_media"]),
        (X, urls("a.gif", "b.png"), ["mixed_media"]),
        (X, urls("a.svg"), ["unsupported_media"]),
        (Network.FACEBOOK, IMAGES[:10], []),
        (Network.FACEBOOK, IMAGES[:11], ["too_many_media"]),
        (Network.FACEBOOK, VIDEO + IMAGES[:1], ["mixed_media"]),
        (Network.INSTAGRAM, IMAGES[:10], []),
        (Network.INSTAGRAM, IMAGES[:11], ["too_many_media"]),
        (Network.INSTAGRAM, VIDEO * 2 + IMAGES[:3], []),
        (Network.INSTAGRAM, urls("a.png"), ["unsupported_media"]),
        (Network.INSTAGRAM, urls("a.gif"), ["unsupported_media"]),
        (Network.LINKEDIN, IMAGES[:20], []),
        (Network.LINKEDIN, IMAGES[:21], ["too_many_media"]),
        (Network.LINKEDIN, VIDEO + IMAGES[:1], ["mixed_media"]),
        (Network.LINKEDIN, urls("a.mov"), ["unsupported_media"]),
        (Network.TIKTOK, IMAGES[:35], []),
        (Network.TIKTOK, IMAGES[:36], ["too_many_media"]),
        (Network.TIKTOK, VIDEO * 2, ["too_many_media"]),
        (Network.TIKTOK, urls("a.png"), ["unsupported_media"]),
        (Network.PINTEREST, IMAGES[:5], []),
        (Network.PINTEREST, IMAGES[:6], ["too_many_media"]),
        (Network.PINTEREST, VIDEO + IMAGES[:1], ["mixed_media"]),
    ],
)
def test_media_follow_the_rules_of_the_network(network, media, expected):
    assert codes(network, media=media) == expected


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://example.com/photo", "x", "a.b/c.d?e.mp4"]
)
@pytest.mark.parametrize("network", Network)
def test_media_of_unknown_type_get_the_benefit_of_the_doubt(network, url):
    assert codes(network, media=[url]) == []


def test_the_problem_names_the_types_that_are_not_taken():
    [problem] = preflight(Network.INSTAGRAM, "Hello", urls("a.webp", "b.PNG", "c.jpg", "d.png"))
    assert problem.message == "Not taken: png, webp."


@pytest.mark.parametrize(("sign", "most", "code"), [("#", 30, "hashtags"), ("@", 20, "mentions")])
def test_instagram_limits_hashtags_and_mentions(sign, most, code):
    names = [f"{sign}name{number}" for number in range(most + 1)]
    assert codes(Network.INSTAGRAM, " ".join(names[:most])) == []
    assert codes(Network.INSTAGRAM, " ".join(names)) == [f"too_many_{code}"]
    assert codes(Network.FACEBOOK, " ".join(names)) == []


def test_names_that_the_text_left_out_do_not_count():
    names = [f"name{number}" for number in range(50)]
    assert codes(Network.INSTAGRAM, "Hello", hashtags=names, mentions=names) == []
    composed = compose("Hello", names, names)
    assert codes(Network.INSTAGRAM, composed) == ["too_many_hashtags", "too_many_mentions"]


def test_an_empty_post_is_a_problem_only_without_media():
    assert codes(X, " \n", []) == ["empty_post"]
    assert codes(X, "", IMAGES[:1]) == []


def test_several_problems_are_all_reported():
    assert codes(Network.INSTAGRAM, "#a " * 31 + "x" * 2_200, urls("a.png") * 11) == [
        "text_too_long",
        "too_many_hashtags",
        "too_many_media",
        "unsupported_media",
    ]


def test_every_network_has_rules_with_a_source():
    assert set(RULES) == set(Network)
    for rules in RULES.values():
        assert rules.source
        assert not rules.images & rules.videos


@pytest.mark.parametrize(
    ("text", "hashtags", "mentions", "expected"),
    [
        ("Hello", [], [], "Hello"),
        ("Hello", ["a1"], ["bob"], "Hello @bob #a1"),
        ("Hello #A1 @Bob", ["a1"], ["bob"], "Hello #A1 @Bob"),
        ("Hello #a12 @bob.smith", ["a1"], ["bob"], "Hello #a12 @bob.smith @bob #a1"),
        ("Mail bob@example.com", [], ["example"], "Mail bob@example.com @example"),
        ("Hello ", ["#a1", "A1", "", "#", "2024"], ["@bob", "Bob", "@"], "Hello @bob #a1"),
        ("", ["a1"], [], "#a1"),
        ("See https://example.com/#a1", ["a1"], [], "See https://example.com/#a1 #a1"),
        ("ΟΔΟΣ #ΟΔΟΣ now", ["οδος"], [], "ΟΔΟΣ #ΟΔΟΣ now"),
    ],
)
def test_compose_adds_what_the_text_lacks(text, hashtags, mentions, expected):
    assert compose(text, hashtags, mentions) == expected
    assert compose(expected, hashtags, mentions) == expected


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("Fashion", "Fashion"),
        ("#LuxuryFashion", "LuxuryFashion"),
        ("luxury fashion", "LuxuryFashion"),
        ("spring-summer 24", "SpringSummer24"),
        ("women's", "womens"),
        ("a_b", "a_b"),
        ("日本語", "日本語"),
        ("हिन्दी", "हिन्दी"),
        ("2024", ""),
        ("🎉", ""),
        ("", ""),
    ],
)
def test_a_hashtag_is_one_word_with_a_letter(name, bare):
    assert bare_hashtag(name) == bare
    assert hashtags_in(f"x #{bare} y") == ([bare] if bare else [])


@pytest.mark.parametrize(
    ("name", "bare"), [("@bob", "bob"), ("bob.smith", "bob.smith"), ("@bob!.", "bob"), ("@", "")]
)
def test_a_mention_is_a_handle(name, bare):
    assert bare_mention(name) == bare
    assert mentions_in(f"(@{bare})") == ([bare] if bare else [])


SENTENCE = "We are glad to show the new collection. "
FRAGMENTS = [
    *(
        "Hello",
        "world.",
        "e.g.",
        "Mr.",
        "Really?",
        "日本語。",
        "👨‍👩‍👧‍👦",
        "https://example.com/a/b",
    ),
    *("#tag", "@bob", "\n\n", "x" * 40, "example.com", "“Quoted.”"),
]
THREADABLE = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=300).map(" ".join)


@given(THREADABLE, st.booleans(), st.sampled_from([X, Network.PINTEREST]))
@example(SENTENCE * 30, True, X)
@settings(max_examples=150, deadline=None)
def test_a_thread_loses_nothing_and_every_part_fits(text, numbered, network):
    parts = split_thread(text, network, numbered=numbered)
    assert all(length_on(network, part) <= RULES[network].text_max for part in parts)
    if numbered and len(parts) > 1:
        ends = [part.rpartition(" ")[2] for part in parts]
        assert ends == [f"{number}/{len(parts)}" for number in range(1, len(parts) + 1)]
        parts = [part.rpartition(" ")[0] for part in parts]
    assert "".join("".join(parts).split()) == "".join(text.split())
    cut = Counter(part[a:b] for part in parts for a, b in links(part))
    assert cut == Counter(text[a:b] for a, b in links(text))
    assert [g for part in parts for g in regex.findall(r"\X", part) if not g.isspace()] == [
        g for g in regex.findall(r"\X", text) if not g.isspace()
    ]


def test_a_thread_is_cut_at_the_ends_of_sentences():
    parts = split_thread(SENTENCE * 20, X)
    assert [part.count(SENTENCE.strip()) for part in parts] == [7, 7, 6]
    assert all(part.endswith("collection.") for part in parts)


@pytest.mark.parametrize("abbreviation", ["Mr.", "e.g.", "J.", "Dr.", "no."])
def test_an_abbreviation_ends_no_sentence(abbreviation):
    text = "Short one. " + "x" * 100 + f". And here {abbreviation} " + "y" * 180
    assert split_thread(text, X) == [
        "Short one. " + "x" * 100 + ".",
        f"And here {abbreviation} " + "y" * 180,
    ]


def test_a_thread_without_spaces_is_cut_between_graphemes():
    parts = split_thread("👩‍👩‍👧" * 200, X)
    assert [len(regex.findall(r"\X", part)) for part in parts] == [140, 60]


def test_a_short_text_is_a_thread_of_one_without_number():
    assert split_thread(" Hello. ", X, numbered=True) == ["Hello."]


def test_a_thread_of_more_than_nine_parts_leaves_room_for_its_numbers():
    parts = split_thread("word " * 700, X, numbered=True)
    assert parts[-1].endswith(f" {len(parts)}/{len(parts)}")
    assert len(parts) > 9


@pytest.mark.parametrize("text", ["https://example.com/" + "x" * 600, "#" + "x" * 600])
def test_what_cannot_be_cut_and_does_not_fit_is_refused(text):
    with pytest.raises(ValueError, match="does not fit into a length of 500"):
        split_thread(f"See {text} now", Network.PINTEREST)


@pytest.mark.parametrize(
    "unit",
    [
        "a.",
        "a.b",
        "https://",
        "http://a.de/",
        "(",
        "@a",
        "#a",
        "👩‍",
        "🇩🇪",
        "e\u0301",
        "1.",
        "-a.b",
        "\n ",
        "#1",
    ],
)
def test_time_stays_linear_on_hostile_text(unit):
    def seconds(size: int) -> float:
        text = (unit * size)[:size]
        started = time.process_time()
        preflight(X, text)
        compose(text, ["a"], ["b"])
        return time.process_time() - started

    assert seconds(5_000) < 0.05
    assert seconds(40_000) < 0.4


def test_what_no_network_takes_for_a_hashtag_is_none():
    longest = "ü" * LONGEST_HASHTAG
    assert hashtags_in(f"#{longest} #{longest}x #fine") == [longest, "fine"]
