"""X."""

from __future__ import annotations

import hmac
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha1
from urllib.parse import quote, unquote

from tests.social.fake_networks.server import MP4, Asked, FakeNetwork, Says, iso


class FakeTwitter(FakeNetwork):
    """X; checks each signature by its own reading of RFC 5849."""

    key, key_secret = "consumer", "consumer-secret"
    routes = {
        "GET /2/users/me": "me",
        "POST /2/tweets": "post",
        "GET /2/users/42/tweets": "list_posts",
        "GET /2/tweets/*": "one",
        "GET /2/tweets/search/recent": "replies",
        "POST /2/media/upload/initialize": "initialise",
        "POST /2/media/upload/*/append": "append",
        "POST /2/media/upload/*/finalize": "finalise",
        "GET /2/media/upload": "status",
        "POST /1.1/oauth/invalidate_token": "revoke",
    }

    def __init__(self) -> None:
        super().__init__()
        self.uploads: dict[str, bytes] = {}
        self.url = ""

    def check(self, asked: Asked, route: str) -> Says | None:
        scheme, _, rest = asked.headers.get("authorization", "").partition(" ")
        stated = {}
        for part in rest.split(", "):
            name, _, value = part.partition("=")
            stated[unquote(name)] = unquote(value.strip('"'))
        signature = stated.pop("oauth_signature", "")
        pairs = {**asked.query, **stated}
        if asked.headers.get("content-type") == "application/x-www-form-urlencoded":
            pairs |= asked.form
        encoded = sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in pairs.items())
        text = "&".join(f"{k}={v}" for k, v in encoded)
        address = quote(self.url + quote(asked.path), safe="~")
        base = f"{asked.method}&{address}&{quote(text, safe='~')}"
        secret = {"token-1": "secret-1"}.get(stated.get("oauth_token", ""), "")
        mac = hmac.digest(f"{self.key_secret}&{secret}".encode(), base.encode(), sha1)
        good = scheme == "OAuth" and signature == b64encode(mac).decode()
        if good and stated["oauth_token"] in self.tokens:
            return None
        return Says(401, {"title": "Unauthorized", "status": 401, "detail": "Unauthorized"})

    def me(self, asked: Asked) -> Says:
        return Says(body={"data": {"id": "42", "name": "Shop", "username": "shop"}})

    def post(self, asked: Asked) -> Says:
        text = asked.json["text"]
        if any(each["text"] == text for each in self.posts):
            said = "You are not allowed to create a Tweet with duplicate content."
            return Says(403, {"detail": said, "status": 403})
        media = asked.json.get("media", {}).get("media_ids", [])
        assert all(id in self.uploads for id in media)
        id = self.next_id()
        to = asked.json.get("reply", {}).get("in_reply_to_tweet_id")
        post = {"id": id, "text": text, "media": media, "at": datetime.now(UTC), "to": to}
        self.posts.append(post)
        return Says(201, {"data": {"id": id, "text": text}})

    def list_posts(self, asked: Asked) -> Says:
        data = []
        for post in self.shown():
            links = [
                {"url": f"https://t.co/{n}", "expanded_url": word}
                for n, word in enumerate(post["text"].split())
                if word.startswith("https://")
            ]
            text = post["text"].replace("&", "&amp;")
            text = f"@amira {text}" if post["to"] else text
            for link in links:
                text = text.replace(link["expanded_url"].replace("&", "&amp;"), link["url"])
            text += " https://t.co/media" if post["media"] else ""
            at = post["at"].strftime("%Y-%m-%dT%H:%M:%S.000Z")
            entities = {"entities": {"urls": links}} if links else {}
            to = {"referenced_tweets": [{"type": "replied_to", "id": post["to"]}]}
            more = {**entities, **(to if post["to"] else {})}
            data.append({"id": post["id"], "text": text, "created_at": at, **more})
        return Says(body={"data": data, "meta": {"result_count": len(data)}})

    def one(self, asked: Asked) -> Says:
        told = {"retweet_count": 1, "quote_count": 1, "like_count": 7, "reply_count": 1,
                "impression_count": 90}  # fmt: skip
        return Says(body={"data": {"id": "1", "public_metrics": told}})

    def replies(self, asked: Asked) -> Says:
        if asked.path.endswith("/recent"):
            reply = {"id": "c1", "text": "Love it!", "author_id": "9", "created_at": iso()}
            users = [{"id": "9", "username": "bo"}]
            return Says(body={"data": [reply], "includes": {"users": users}})
        return self.one(asked)

    def initialise(self, asked: Asked) -> Says:
        id = self.next_id()
        self.uploads[id] = b""
        return Says(body={"data": {"id": id, "media_key": f"3_{id}"}})

    def append(self, asked: Asked) -> Says:
        id = asked.path.split("/")[4]
        self.uploads[id] += asked.form["media"].encode("latin-1")
        return Says(204)

    def finalise(self, asked: Asked) -> Says:
        id = asked.path.split("/")[4]
        info = {}
        if self.uploads[id] == MP4:
            info = {"processing_info": {"state": "pending", "check_after_secs": 0}}
        return Says(body={"data": {"id": id, **info}})

    def status(self, asked: Asked) -> Says:
        info = {"state": "succeeded", "progress_percent": 100}
        return Says(body={"data": {"id": asked.query["media_id"], "processing_info": info}})

    def revoke(self, asked: Asked) -> Says:
        self.revoked.append("token-1")
        return Says(body={"access_token": "token-1"})
