"""The tracked links of a campaign."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given as suppose
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from application.social.posts import CreatePost
from application.social.tracking import TrackedUrl, slug, tracked
from domain.social.networks import Network
from tests.kernel import at, heard
from tests.social.campaign_plans import SHOP, X, posts_of


def test_a_tracked_link_says_where_it_comes_from():
    assert tracked(SHOP, X, "Spring sale 2026!") == (
        "https://shop.example.com/spring?colour=blue&utm_source=twitter&utm_medium=social"
        "&utm_campaign=spring_sale_2026#top"
    )
    own = "https://shop.example.com/?utm_source=newsletter&utm_campaign=May"
    assert tracked(own, X, "Spring") == f"{own}&utm_medium=social"


def test_slugs():
    assert slug("  Très   chic – Été 2026 ") == "très_chic_été_2026"
    assert slug("春のセール") == "春のセール"
    assert slug("🎉") == "🎉"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a",
        "example.com",
        "https:/example.com",
        "https://example.com/a b",
        " https://example.com/",
        "https://ann:secret@example.com/",
        "https://example.com/?utm_source=",
        "https://example.com/?utm_medium=a&utm_medium=b",
        "javascript:alert(1)",
        "https://",
    ],
)
def test_what_cannot_be_tracked_is_refused(url):
    with pytest.raises(ValidationError):
        TypeAdapter(TrackedUrl).validate_python(url)


_words = st.text("abcXYZ019-_.~%é", max_size=8)


_parameters = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "utm_source", "utm_medium", "utm_campaign", "q[]"]), _words
    )
)


_fragments = st.none() | st.text("abc/?=&", max_size=8)


@st.composite
def addresses(draw):
    query = "&".join(f"{name}={value}" for name, value in draw(_parameters))
    mark = draw(st.sampled_from(["", "?"])) if not query else "?"
    fragment = draw(_fragments)
    end = "" if fragment is None else f"#{fragment}"
    return f"https://example.com/{draw(_words)}{mark}{query}{end}"


@suppose(addresses(), st.sampled_from(Network), st.text(min_size=1).filter(str.strip))
def test_tracking_loses_nothing_and_once_is_enough(url, network, name):
    found = tracked(url, network, name)
    assert tracked(found, network, name) == found
    before, after = urlsplit(url), urlsplit(found)
    assert (before[:3], before.fragment) == (after[:3], after.fragment)
    assert after.query.startswith(before.query)
    given = parse_qsl(before.query, keep_blank_values=True)
    shown = parse_qsl(after.query, keep_blank_values=True)
    assert shown[: len(given)] == given
    wanted = {"utm_source": network.value, "utm_medium": "social", "utm_campaign": slug(name)}
    added = dict(shown[len(given) :])
    assert added == {n: value for n, value in wanted.items() if n not in dict(given)}
    assert len(shown) == len(given) + len(added)


def test_posts_of_campaigns_are_posts_like_any_others():
    (post,) = posts_of({"content": "Hello", "location": "Lyon", "mentions": ["@ann"]})
    with at():
        other = CreatePost(
            content="Hello",
            platforms=["twitter"],
            scheduled_for=post.scheduled_for,
            location="Lyon",
            mentions=["ann"],
        ).handle()
    drafted, *then = heard(post)
    alone, *alike = heard(other)
    assert drafted.says == {**alone.says, "of_campaign": True}
    assert then == alike
