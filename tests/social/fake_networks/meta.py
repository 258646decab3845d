"""Facebook and Instagram."""

from __future__ import annotations

import hmac
import json
import re
import time
from hashlib import sha256
from typing import Any

from tests.social.fake_networks.server import Asked, FakeNetwork, Fault, Says, iso, refuses


def graph_error(code: int, message: str = "Refused.", status: int = 400, sub: int = 0) -> Fault:
    """An error as the Graph API words it."""
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A"}
    return refuses(status, {"error": {**error, "error_subcode": sub}})


class FakeGraph(FakeNetwork):
    """Facebook or Instagram: tokens are checked, and the proof of the app's secret."""

    secret = "app-secret"

    def __init__(self) -> None:
        super().__init__()
        self.subscribed: list[dict[str, str]] = []

    def subscribe(self, asked: Asked) -> Says:
        self.subscribed.append(asked.form)
        return Says(body={"success": True})

    def check(self, asked: Asked, route: str) -> Says | None:
        if "oauth" in route or "refresh" in route:
            return None
        given = {**asked.query, **asked.form}
        proof = hmac.digest(self.secret.encode(), asked.token.encode(), sha256).hex()
        if asked.token not in self.tokens or given.get("appsecret_proof") != proof:
            return self.unauthorised()
        return None

    def unauthorised(self) -> Says:
        return graph_error(190, "Error validating access token.", 401).says or Says()


class FakeFacebook(FakeGraph):
    routes = {
        "GET /v22.0/me": "me",
        "GET /v22.0/me/accounts": "pages",
        "GET /v22.0/page-1": "page",
        "POST /v22.0/page-1/feed": "feed",
        "POST /v22.0/page-1/photos": "photos",
        "POST /v22.0/page-1/videos": "videos",
        "GET /v22.0/page-1/feed": "list_feed",
        "GET /v22.0/page-1/videos": "list_videos",
        "GET /v22.0/*": "post",
        "GET /v22.0/*/insights": "insights",
        "POST /v22.0/*/comments": "reply",
        "GET /v22.0/*/comments": "list_replies",
        "GET /v22.0/oauth/access_token": "exchange",
        "DELETE /v22.0/me/permissions": "revoke",
        "POST /v22.0/page-1/subscribed_apps": "subscribe",
    }

    def __init__(self) -> None:
        super().__init__()
        self.tokens = {"token-1", "page-token-1"}
        self.unpublished: dict[str, str] = {}

    def me(self, asked: Asked) -> Says:
        return Says(body={"id": "person-1", "name": "Ann"})

    def page(self, asked: Asked) -> Says:
        number = asked.token.rpartition("-")[2]
        return Says(body={"id": "page-1", "name": "Shop", "access_token": f"page-token-{number}"})

    def pages(self, asked: Asked) -> Says:
        return Says(body={"data": [self.page(asked).body]})

    def feed(self, asked: Asked) -> Says:
        photos = [v for k, v in sorted(asked.form.items()) if k.startswith("attached_media")]
        for photo in photos:
            self.unpublished.pop(json.loads(photo)["media_fbid"])
        return Says(body={"id": self._keep(asked.form["message"], len(photos))})

    def photos(self, asked: Asked) -> Says:
        id = self.next_id()
        if asked.form.get("published") == "false":
            self.unpublished[id] = asked.form["url"]
            return Says(body={"id": id})
        return Says(body={"id": id, "post_id": self._keep(asked.form["message"], 1)})

    def videos(self, asked: Asked) -> Says:
        id = self._keep(asked.form["description"], 1, video=True)
        return Says(body={"id": id})

    def _keep(self, text: str, media: int, *, video: bool = False) -> str:
        id = f"page-1_{self.next_id()}"
        self.posts.append({"id": id, "text": text, "media": media, "at": iso(), "video": video})
        return id

    def list_feed(self, asked: Asked) -> Says:
        data = [
            {"id": p["id"], "message": p["text"], "created_time": p["at"]}
            for p in self.shown()
            if not p["video"]
        ]
        return Says(body={"data": data, "paging": {"cursors": {"after": "x"}}})

    def list_videos(self, asked: Asked) -> Says:
        data = [
            {"id": p["id"], "description": p["text"], "created_time": p["at"]}
            for p in self.shown()
            if p["video"]
        ]
        return Says(body={"data": data})

    def reply(self, asked: Asked) -> Says:
        to = asked.path.split("/")[2]
        id = f"{to}_{self.next_id()}"
        self.posts.append({"id": id, "text": asked.form["message"], "at": iso(), "to": to})
        return Says(body={"id": id})

    def list_replies(self, asked: Asked) -> Says:
        """The Page's own, and one by somebody who says the same."""
        data = [
            {"id": f"{p['id']}{n}", "message": p["text"], "created_time": p["at"],
             "from": {"id": whose}}
            for p in self.shown()
            if p["to"] == asked.path.split("/")[2]
            for n, whose in (("x", "person-9"), ("", "page-1"))
        ]  # fmt: skip
        return Says(body={"data": data})

    def post(self, asked: Asked) -> Says:
        comment = {
            "id": "c1",
            "message": "Love it!",
            "created_time": iso(),
            "from": {"name": "Bo"},
        }
        return Says(
            body={
                "shares": {"count": 2},
                "reactions": {"summary": {"total_count": 7}},
                "comments": {"data": [comment], "summary": {"total_count": 1}},
            }
        )

    def insights(self, asked: Asked) -> Says:
        told = {"post_impressions": 90, "post_impressions_unique": 60, "post_media_view": 70}
        data = [{"name": n, "values": [{"value": v}]} for n, v in told.items()]
        return Says(body={"data": data})

    def exchange(self, asked: Asked) -> Says:
        assert asked.query["client_secret"] == self.secret
        if self.refreshed or asked.query["fb_exchange_token"] != "token-1":
            return graph_error(190, "Session has expired.", 400, 463).says or Says()
        time.sleep(self.slow_refresh)
        self.refreshed += 1
        self.tokens = {"token-2", "page-token-2"}
        return Says(body={"access_token": "token-2", "expires_in": 5_184_000})

    def revoke(self, asked: Asked) -> Says:
        self.revoked.append(asked.token)
        return Says(body={"success": True})


class FakeInstagram(FakeGraph):
    routes = {
        "GET /v22.0/me": "me",
        "GET /v22.0/ig-1/content_publishing_limit": "limit",
        "POST /v22.0/ig-1/media": "container",
        "POST /v22.0/ig-1/media_publish": "publish",
        "GET /v22.0/ig-1/media": "list_media",
        "GET /v22.0/*": "thing",
        "GET /v22.0/*/insights": "insights",
        "GET /v22.0/*/comments": "comments",
        "POST /v22.0/ig-1/mentions": "reply",
        "GET /refresh_access_token": "exchange",
        "POST /v22.0/ig-1/subscribed_apps": "subscribe",
    }

    def __init__(self) -> None:
        super().__init__()
        self.containers: dict[str, dict[str, Any]] = {}
        self.used, self.looks, self.broken = 0, 2, False

    def me(self, asked: Asked) -> Says:
        return Says(body={"user_id": "ig-1", "username": "shop", "account_type": "BUSINESS"})

    def limit(self, asked: Asked) -> Says:
        config = {"quota_total": 50, "quota_duration": 86_400}
        return Says(body={"data": [{"quota_usage": self.used, "config": config}]})

    def container(self, asked: Asked) -> Says:
        id = self.next_id()
        self.containers[id] = {**asked.form, "looks": self.looks, "status": "IN_PROGRESS"}
        return Says(body={"id": id})

    def publish(self, asked: Asked) -> Says:
        container = self.containers[asked.form["creation_id"]]
        assert container["status"] == "FINISHED"
        for child in filter(None, container.get("children", "").split(",")):
            assert self.containers[child]["is_carousel_item"] == "true"
        container["status"] = "PUBLISHED"
        id = self.next_id()
        self.posts.append({"id": id, "text": container["caption"], "at": iso(), **container})
        self.used += 1
        return Says(body={"id": id})

    def thing(self, asked: Asked) -> Says:
        id = asked.path.rpartition("/")[2]
        if id == "ig-1":
            return self.mentioned(asked)
        if id in self.containers:
            container = self.containers[id]
            if container["status"] == "IN_PROGRESS":
                container["looks"] -= 1
                if container["looks"] <= 0:
                    container["status"] = "ERROR" if self.broken else "FINISHED"
            return Says(body={"id": id, "status_code": container["status"]})
        return Says(body={"id": id, "permalink": f"https://ig/p/{id}", "timestamp": iso()})

    def list_media(self, asked: Asked) -> Says:
        data = [
            {
                "id": p["id"],
                "caption": p["text"],
                "permalink": f"https://ig/p/{p['id']}",
                "timestamp": p["at"],
            }
            for p in self.shown()
        ]
        return Says(body={"data": data})

    def insights(self, asked: Asked) -> Says:
        told = {"views": 70, "reach": 60, "likes": 7, "comments": 1, "shares": 2}
        data = [{"name": n, "values": [{"value": v}]} for n, v in told.items()]
        return Says(body={"data": data})

    def reply(self, asked: Asked) -> Says:
        id, to = self.next_id(), asked.form["media_id"]
        self.posts.append({"id": id, "text": asked.form["message"], "at": iso(), "to": to})
        return Says(body={"id": id})

    def mentioned(self, asked: Asked) -> Says:
        """The media in whose caption the account is mentioned, with its comments."""
        found = re.match(r"mentioned_media\.media_id\((\w+)\)", asked.query["fields"])
        if found is None or found[1].startswith("gone"):
            return graph_error(100, "Unsupported get request.", 400, 33).says or Says()
        said = [{"id": "c9", "text": "Love it!", "timestamp": iso()}]
        said += [
            {"id": p["id"], "text": p["text"], "timestamp": p["at"]}
            for p in self.shown()
            if p["to"] == found[1]
        ]
        return Says(body={"mentioned_media": {"id": found[1], "comments": {"data": said}}})

    def comments(self, asked: Asked) -> Says:
        comment = {"id": "c1", "text": "Love it!", "timestamp": iso(), "username": "bo"}
        return Says(body={"data": [comment]})

    def exchange(self, asked: Asked) -> Says:
        if asked.query["access_token"] != "token-1" or self.refreshed:
            return graph_error(190, "The session is invalid.", 400).says or Says()
        self.refreshed += 1
        self.tokens = {"token-2"}
        return Says(body={"access_token": "token-2", "expires_in": 5_184_000})
