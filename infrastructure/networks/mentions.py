"""How each network is asked who speaks of an account.

The cursor is the instant of the newest mention so far. Each look goes back a little further than
that, since networks show things late; what is told twice is recognised later on. A look ends at
the last page, at what is older, or after the thousand newest: a burst that is larger than that
between two looks is not told whole.

https://docs.x.com/x-api/posts/user-mention-timeline-by-user-id
https://docs.x.com/x-api/posts/recent-search
https://developers.facebook.com/docs/graph-api/reference/page/tagged
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/tags
https://learn.microsoft.com/linkedin/marketing/community-management/organizations/organization-social-action-notifications
"""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from application.social.networks import Heard, Overheard, Watch
from infrastructure.networks.api import SKEW, instant
from infrastructure.networks.line import Fault, NetworkSaysNo, NetworkUnclear, dig, entries, number

if TYPE_CHECKING:
    from infrastructure.networks.facebook import Facebook
    from infrastructure.networks.instagram import Instagram
    from infrastructure.networks.linkedin import LinkedIn
    from infrastructure.networks.twitter import Twitter

PAGE, PAGES = 100, 10
"""Mentions on a page, and pages of one look."""

SEARCHED = timedelta(days=7) - timedelta(minutes=5)
"""How far back X searches."""

LONGEST_SEARCH = 512
"""Characters of a query that X takes from most projects."""

POSTS = 50
"""LinkedIn tells only the addresses of posts: so many of them are read at one look."""

_SHOWN = {
    "max_results": str(PAGE),
    "tweet.fields": "created_at,lang,public_metrics,author_id,referenced_tweets",
    "expansions": "author_id",
    "user.fields": "name,username,public_metrics",
}


async def on_twitter(api: Twitter, watch: Watch) -> Heard:
    """The account's mentions, and posts with one of the words; neither reposts nor its own."""
    since = _since(watch)
    found = await _tweets(api, f"/2/users/{api.account}/mentions", "pagination_token", {}, since)
    if watch.words:
        since = max(since, datetime.now(UTC) - SEARCHED)
        query = {"query": _search(watch.words)}
        found += await _tweets(api, "/2/tweets/search/recent", "next_token", query, since)
    return _heard(watch, {each.id: each for each in found}.values())


async def _tweets(
    api: Twitter, path: str, page_parameter: str, query: Mapping[str, str], since: datetime
) -> list[Overheard]:
    asked = {**query, **_SHOWN, "start_time": since.strftime("%Y-%m-%dT%H:%M:%SZ")}
    found: list[Overheard] = []
    for _ in range(PAGES):
        seen = await api.signed("GET", path, query=asked)
        if dig(seen.data, "meta", "result_count") is None:
            raise NetworkUnclear("The network's answer is no list of posts.")
        people = {str(each.get("id")): each for each in entries(seen.data, "includes", "users")}
        found += [
            _tweet(each, people.get(str(each.get("author_id")), {}))
            for each in entries(seen.data, "data")
            if each.get("author_id") != api.account
            and all(of.get("type") != "retweeted" for of in entries(each, "referenced_tweets"))
        ]
        page = dig(seen.data, "meta", "next_token")
        if not page:
            break
        asked[page_parameter] = str(page)
    return found


def _tweet(post: Mapping[str, Any], author: Mapping[str, Any]) -> Overheard:
    return Overheard(
        id=str(post["id"]),
        text=html.unescape(str(post.get("text") or "")),
        at=instant(post.get("created_at")),
        author=str(author.get("name") or ""),
        handle=str(author.get("username") or ""),
        followers=number(author, "public_metrics", "followers_count"),
        url=f"https://x.com/i/web/status/{post['id']}",
        language=str(post.get("lang") or "") or None,
        likes=number(post, "public_metrics", "like_count"),
        shares=number(post, "public_metrics", "retweet_count")
        + number(post, "public_metrics", "quote_count"),
        comments=number(post, "public_metrics", "reply_count"),
    )


def _search(words: Sequence[str]) -> str:
    """Any of the words, as phrases; as many as fit."""
    rest = " -is:retweet"
    phrases: list[str] = []
    for word in words:
        phrase = '"{}"'.format(word.replace('"', " ").replace("\\", " "))
        if len(" OR ".join([*phrases, phrase])) + len(rest) + 2 <= LONGEST_SEARCH:
            phrases.append(phrase)
    return f"({' OR '.join(phrases)}){rest}"


async def on_facebook(api: Facebook, watch: Watch) -> Heard:
    """Public posts that tag the Page, newest first. Who wrote them Facebook tells rarely, and how
    many follow them never."""
    since, after = _since(watch), None
    found: list[tuple[datetime, Overheard]] = []
    for _ in range(PAGES):
        listed = await api.get(
            f"/{api.account}/tagged",
            fields="id,message,created_time,tagged_time,permalink_url,from{id,name},shares,"
            "reactions.limit(0).summary(total_count),comments.limit(0).summary(total_count)",
            limit=PAGE,
            after=after,
        )
        posts = _listed(listed.data)
        tagged = [instant(each.get("tagged_time") or each.get("created_time")) for each in posts]
        found += [
            (at, facebook_post(each))
            for at, each in zip(tagged, posts, strict=True)
            if at >= since and dig(each, "from", "id") != api.account
        ]
        after = dig(listed.data, "paging", "cursors", "after")
        if (
            not after
            or not dig(listed.data, "paging", "next")
            or min(tagged, default=since) < since
        ):
            break
    newest = max((at for at, _ in found), default=None)
    return _heard(watch, [each for _, each in found], newest)


def facebook_post(post: Mapping[str, Any]) -> Overheard:
    """A post, or a comment, of which nothing but the id and the instant must be there."""
    return Overheard(
        id=str(post["id"]),
        text=str(post.get("message") or ""),
        at=instant(post.get("created_time")),
        author=str(dig(post, "from", "name") or ""),
        handle=str(dig(post, "from", "id") or ""),
        url=str(post.get("permalink_url") or f"https://www.facebook.com/{post['id']}"),
        likes=number(post, "reactions", "summary", "total_count"),
        shares=number(post, "shares", "count"),
        comments=number(post, "comments", "summary", "total_count"),
    )


async def on_instagram(api: Instagram, watch: Watch) -> Heard:
    """Media in which the account is tagged. In which order they come Instagram does not say, nor
    when they were tagged: whatever was made since the beginning is told on every look. Captions
    that only mention the account are told to webhooks alone."""
    found: list[Overheard] = []
    after = None
    for _ in range(PAGES):
        listed = await api.get(
            f"/{api.account}/tags",
            fields="id,caption,permalink,timestamp,username,like_count,comments_count",
            limit=PAGE,
            after=after,
        )
        media = [instagram_media(each) for each in _listed(listed.data)]
        found += [each for each in media if each.at >= watch.since]
        after = dig(listed.data, "paging", "cursors", "after")
        if not after or not media or max(each.at for each in media) < _since(watch):
            break
    return _heard(watch, found)


def instagram_media(media: Mapping[str, Any]) -> Overheard:
    """A picture or a film, of which nothing but the id and the instant must be there."""
    name = str(media.get("username") or "")
    return Overheard(
        id=str(media["id"]),
        text=str(media.get("caption") or ""),
        at=instant(media.get("timestamp")),
        author=name,
        handle=name,
        url=str(media.get("permalink") or "") or None,
        likes=number(media, "like_count"),
        comments=number(media, "comments_count"),
    )


async def on_linkedin(api: LinkedIn, watch: Watch) -> Heard:
    """Posts that mention the organisation; of members LinkedIn does not tell. The oldest first,
    so that those that are left for the next look come after the cursor."""
    if not api.author.startswith("urn:li:organization:"):
        return Heard((), watch.cursor, offered=False)
    notices: list[dict[str, Any]] = []
    # The brackets and colons are those of Rest.li, and must stay as they are.
    path = (
        "/rest/organizationalEntityNotifications?q=criteria&actions=List(SHARE_MENTION)"
        f"&organizationalEntity={quote(api.author, safe='')}&timeRange="
        f"(start:{int(_since(watch).timestamp() * 1000)},end:{int(time.time() * 1000)})"
    )
    for page in range(PAGES):
        seen = await api.call("GET", f"{path}&start={page * PAGE}&count={PAGE}")
        if not isinstance(dig(seen.data, "elements"), list):
            raise NetworkUnclear("The network's answer is no list of notifications.")
        notices += entries(seen.data, "elements")
        if len(entries(seen.data, "elements")) < PAGE:
            break
    notices.sort(key=lambda each: number(each, "lastModifiedAt"))
    found: list[Overheard] = []
    for notice in notices[:POSTS]:
        urn = str(notice.get("generatedActivity") or notice.get("sourcePost") or "")
        if urn and (post := await _linkedin_post(api, urn)):
            found.append(post)
    last = notices[:POSTS][-1:]
    return _heard(watch, found, instant(number(last[0], "lastModifiedAt")) if last else None)


async def _linkedin_post(api: LinkedIn, urn: str) -> Overheard | None:
    """The post, unless it is gone, may not be seen, or is the organisation's own."""
    from infrastructure.networks.linkedin import plain_text

    try:
        post = (await api.call("GET", f"/rest/posts/{quote(urn, safe='')}")).data
    except NetworkSaysNo as no:
        if no.fault is not Fault.POST:
            raise
        return None
    author = str(dig(post, "author") or "")
    if author == api.author:
        return None
    return Overheard(
        id=urn,
        text=plain_text(str(dig(post, "commentary") or "")),
        at=instant(dig(post, "publishedAt") or dig(post, "createdAt")),
        handle=author,
        url=f"https://www.linkedin.com/feed/update/{urn}/",
    )


def _listed(data: Any) -> list[dict[str, Any]]:
    if not isinstance(dig(data, "data"), list):
        raise NetworkUnclear("The network's answer is no list of posts.")
    return entries(data, "data")


def _since(watch: Watch) -> datetime:
    if watch.cursor is None:
        return watch.since
    return max(watch.since, datetime.fromisoformat(watch.cursor) - SKEW)


def _heard(watch: Watch, found: Iterable[Overheard], newest: datetime | None = None) -> Heard:
    """With the cursor after `newest`, by default the newest of what was found."""
    told = list(found)
    newest = newest or max((each.at for each in told), default=None)
    before = datetime.fromisoformat(watch.cursor) if watch.cursor else watch.since
    return Heard(told, max(before, newest or before).isoformat())
