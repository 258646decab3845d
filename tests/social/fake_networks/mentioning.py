"""The same networks, as they tell who mentions an account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.social.fake_networks.meta import FakeFacebook, FakeInstagram, graph_error
from tests.social.fake_networks.oauth2 import FakeLinkedIn
from tests.social.fake_networks.server import Asked, FakeNetwork, Says, iso
from tests.social.fake_networks.twitter import FakeTwitter


@dataclass(frozen=True)
class Mentioned:
    """What somebody says of the account. Without `author` it is the account itself."""

    id: str
    text: str
    at: datetime
    author: str = ""
    repost: bool = False
    comment: bool = False


class Mentioning(FakeNetwork):
    """Tells `mentioned`, the newest first, so many on a page. What is `noticed` it shows to those
    who know its id."""

    def __init__(self) -> None:
        super().__init__()
        self.mentioned: list[Mentioned] = []
        self.noticed: list[Mentioned] = []
        self.per_page = 100

    def one(self, id: str) -> Mentioned | None:
        return next((each for each in [*self.noticed, *self.mentioned] if each.id == id), None)

    def part(self, start: int, since: datetime | None = None) -> tuple[list[Mentioned], str | None]:
        """A page from `start`, and where the next one begins."""
        newest = sorted(self.mentioned, key=lambda each: each.at, reverse=True)
        told = [each for each in newest if since is None or each.at >= since]
        end = start + self.per_page
        return told[start:end], str(end) if len(told) > end else None


class MentioningTwitter(Mentioning, FakeTwitter):
    routes = {
        **FakeTwitter.routes,
        "GET /2/users/42/mentions": "mentions",
        "GET /2/tweets/search/recent": "search",
    }

    def __init__(self) -> None:
        super().__init__()
        self.searched: list[Mentioned] = []

    def mentions(self, asked: Asked) -> Says:
        assert set(asked.query) <= {*_FIELDS, "start_time", "max_results", "pagination_token"}
        since = datetime.fromisoformat(asked.query["start_time"])
        start = int(asked.query.get("pagination_token", 0))
        return self._tweets(*self.part(start, since))

    def search(self, asked: Asked) -> Says:
        if "conversation_id" in asked.query["query"]:
            return self.replies(asked)
        assert len(asked.query["query"]) <= 512
        assert asked.query["query"].endswith(" -is:retweet")
        words = re.findall('"([^"]*)"', asked.query["query"])
        return self._tweets([m for m in self.searched if any(w in m.text for w in words)], None)

    def _tweets(self, some: list[Mentioned], page: str | None) -> Says:
        data = [
            {
                "id": each.id,
                "text": each.text.replace("&", "&amp;"),
                "lang": "und" if each.text.isupper() else "en",
                "author_id": f"id-{each.author}" if each.author else "42",
                "created_at": each.at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "public_metrics": {"like_count": 4, "retweet_count": 2, "quote_count": 1,
                                   "reply_count": 3},
                "referenced_tweets": [{"type": "retweeted" if each.repost else "quoted"}],
            }
            for each in some
        ]  # fmt: skip
        users = [
            {
                "id": f"id-{each.author}",
                "name": each.author.title(),
                "username": each.author,
                "public_metrics": {"followers_count": 12_000},
            }
            for each in some
        ]
        meta = {"result_count": len(data), **({"next_token": page} if page else {})}
        return Says(body={"data": data, "includes": {"users": users}, "meta": meta})


_FIELDS = ("tweet.fields", "user.fields", "expansions")


class MentioningFacebook(Mentioning, FakeFacebook):
    routes = {"GET /v22.0/page-1/tagged": "tagged", **FakeFacebook.routes}

    def tagged(self, asked: Asked) -> Says:
        some, page = self.part(int(asked.query.get("after", 0)))
        data = [{**self._shown(each), "tagged_time": iso(each.at)} for each in some]
        paging = {"cursors": {"after": page}, "next": "https://fb"} if page else {}
        return Says(body={"data": data, "paging": paging})

    def post(self, asked: Asked) -> Says:
        found = self.one(asked.path.rpartition("/")[2])
        if found is None:
            return super().post(asked)
        shown = self._shown(found)
        if found.comment and "shares" in asked.query["fields"]:
            return (
                graph_error(100, "(#100) Tried accessing nonexisting field (shares)").says or Says()
            )
        return Says(body={n: v for n, v in shown.items() if n in asked.query["fields"]})

    def _shown(self, each: Mentioned) -> dict[str, Any]:
        return {
            "id": each.id,
            "message": each.text,
            "created_time": iso(each.at),
            "permalink_url": f"https://fb/{each.id}",
            "shares": {"count": 3},
            "reactions": {"summary": {"total_count": 4}},
            "comments": {"summary": {"total_count": 3}},
            **({"from": {"id": "page-1"}} if not each.author else {}),
        }


class MentioningInstagram(Mentioning, FakeInstagram):
    routes = {
        "GET /v22.0/ig-1/tags": "tags",
        "GET /v22.0/ig-1": "mentioned_in",
        **FakeInstagram.routes,
    }

    def tags(self, asked: Asked) -> Says:
        some, page = self.part(int(asked.query.get("after", 0)))
        data = [self._shown(each) for each in some]
        return Says(body={"data": data, "paging": {"cursors": {"after": page}} if page else {}})

    def mentioned_in(self, asked: Asked) -> Says:
        """`GET /ig-1?fields=mentioned_media.media_id(…){…}`, or the same of a comment."""
        wanted = re.fullmatch(
            r"mentioned_(media|comment)\.\1_id\(([\w-]+)\)\{([a-z_,]+)\}", asked.query["fields"]
        )
        found = self.one(wanted[2]) if wanted else None
        if wanted is None or found is None or found.comment != (wanted[1] == "comment"):
            return super().thing(asked)
        shown = self._shown(found)
        if found.comment:
            shown["text"] = shown.pop("caption")
        fields = wanted[3].split(",")
        part = {name: value for name, value in shown.items() if name in fields}
        return Says(body={f"mentioned_{wanted[1]}": part, "id": "ig-1"})

    def _shown(self, each: Mentioned) -> dict[str, Any]:
        return {
            "id": each.id,
            "caption": each.text,
            "permalink": f"https://ig/{each.id}",
            "timestamp": iso(each.at),
            "username": each.author,
            "like_count": 4,
            "comments_count": 3,
        }


class MentioningLinkedIn(Mentioning, FakeLinkedIn):
    routes = {
        **FakeLinkedIn.routes,
        "GET /rest/organizationalEntityNotifications": "notifications",
        "GET /rest/posts/*": "one_post",
    }

    def notifications(self, asked: Asked) -> Says:
        assert asked.query["actions"] == "List(SHARE_MENTION)"
        assert asked.query["organizationalEntity"] == "urn:li:organization:77"
        since = re.match(r"\(start:(\d+),end:\d+\)", asked.query["timeRange"])
        assert since
        told = [m for m in self.mentioned if m.at.timestamp() * 1000 >= int(since[1])]
        start = int(asked.query["start"])
        data = [
            {
                "action": "SHARE_MENTION",
                "organizationalEntity": "urn:li:organization:77",
                "generatedActivity": each.id,
                "lastModifiedAt": int(each.at.timestamp() * 1000),
            }
            for each in told[start : start + int(asked.query["count"])]
        ]
        return Says(body={"elements": data})

    def one_post(self, asked: Asked) -> Says:
        id = asked.path.rpartition("/")[2]
        found = next((each for each in self.mentioned if each.id == id), None)
        if found is None or not found.text:
            return Says(404, {"message": "Not found"})
        author = f"urn:li:person:{found.author}" if found.author else "urn:li:organization:77"
        created = int(found.at.timestamp() * 1000)
        post = {"id": id, "author": author, "commentary": found.text, "createdAt": created}
        return Says(body=post)


MENTIONING: Mapping[str, type[Mentioning]] = {
    "facebook": MentioningFacebook,
    "instagram": MentioningInstagram,
    "linkedin": MentioningLinkedIn,
    "twitter": MentioningTwitter,
}
