"""LinkedIn, TikTok and Pinterest."""

from __future__ import annotations

import time
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

from tests.social.fake_networks.server import Asked, FakeNetwork, Says


class Bearer(FakeNetwork):
    """Networks of OAuth 2.0."""

    open_routes: tuple[str, ...] = ()

    def check(self, asked: Asked, route: str) -> Says | None:
        if route in self.open_routes or asked.token in self.tokens:
            return None
        return self.unauthorised()

    def give_tokens(self, asked: Asked) -> Says:
        fresh = self.refresh(asked.form["refresh_token"])
        if asked.form["grant_type"] != "refresh_token" or fresh is None:
            return Says(400, {"error": "invalid_grant", "error_description": "Revoked."})
        return Says(body=fresh)

    def revoke(self, asked: Asked) -> Says:
        self.revoked.append(asked.form["token"])
        return Says(body={})


class FakeLinkedIn(Bearer):
    routes = {
        "GET /v2/userinfo": "me",
        "GET /rest/organizations/*": "organisation",
        "POST /rest/posts": "post",
        "GET /rest/posts": "list_posts",
        "POST /rest/images": "image",
        "PUT /upload/*": "upload",
        "GET /rest/images/*": "image_status",
        "GET /rest/socialActions/*": "actions",
        "GET /rest/socialActions/*/comments": "comments",
        "POST /rest/socialActions/*/comments": "reply",
        "POST /oauth/v2/accessToken": "give_tokens",
        "POST /oauth/v2/revoke": "revoke",
    }
    open_routes = ("POST /oauth/v2/accessToken", "POST /oauth/v2/revoke", "PUT /upload/*")

    def __init__(self) -> None:
        super().__init__()
        self.url = ""
        self.uploads: dict[str, bytes] = {}

    def check(self, asked: Asked, route: str) -> Says | None:
        if route.split(" ")[1].startswith("/rest/"):
            if "linkedin-version" not in asked.headers:
                return Says(400, {"message": "A version must be present.", "status": 400})
            assert asked.headers["x-restli-protocol-version"] == "2.0.0"
        return super().check(asked, route)

    def me(self, asked: Asked) -> Says:
        return Says(body={"sub": "member-1", "name": "Ann"})

    def organisation(self, asked: Asked) -> Says:
        return Says(body={"localizedName": "Shop"})

    def post(self, asked: Asked) -> Says:
        assert asked.json["lifecycleState"] == "PUBLISHED"
        id = f"urn:li:share:{self.next_id()}"
        images = asked.json.get("content", {})
        self.posts.append({"id": id, "text": asked.json["commentary"], "content": images,
                           "author": asked.json["author"], "at": time.time() * 1000})  # fmt: skip
        return Says(201, None, {"x-restli-id": id})

    def list_posts(self, asked: Asked) -> Says:
        data = [
            {"id": p["id"], "commentary": p["text"], "createdAt": int(p["at"])}
            for p in self.shown()
            if p["author"] == asked.query["author"]
        ]
        return Says(body={"elements": data, "paging": {"start": 0, "count": 100}})

    def image(self, asked: Asked) -> Says:
        assert asked.query["action"] == "initializeUpload"
        id = self.next_id()
        value = {"uploadUrl": f"{self.url}/upload/{id}", "image": f"urn:li:image:{id}"}
        return Says(body={"value": value})

    def upload(self, asked: Asked) -> Says:
        assert "authorization" not in asked.headers
        self.uploads[asked.path.rpartition("/")[2]] = asked.body
        return Says(201)

    def image_status(self, asked: Asked) -> Says:
        return Says(body={"status": "AVAILABLE"})

    def actions(self, asked: Asked) -> Says:
        return Says(
            body={
                "likesSummary": {"totalLikes": 7},
                "commentsSummary": {"aggregatedTotalComments": 1},
            }
        )

    def reply(self, asked: Asked) -> Says:
        to = asked.path.split("/")[3]
        id = f"urn:li:comment:(urn:li:activity:1,{self.next_id()})"
        self.posts.append({"id": id, "text": asked.json["message"]["text"], "to": to,
                           "author": asked.json["actor"], "at": time.time() * 1000,
                           "asked": asked.json})  # fmt: skip
        return Says(201, {"commentUrn": id}, {"x-restli-id": id})

    def comments(self, asked: Asked) -> Says:
        to = asked.path.split("/")[3]
        if mine := [p for p in self.shown() if p.get("to") == to]:
            own = [
                {"commentUrn": f"{p['id']}{n}", "actor": actor, "message": {"text": p["text"]},
                 "created": {"time": int(p["at"])}}
                for p in mine
                for n, actor in (("9", "urn:li:person:bo"), ("", p["author"]))
            ]  # fmt: skip
            return Says(body={"elements": own})
        comment = {
            "id": "c1",
            "actor": "urn:li:person:bo",
            "message": {"text": "Love it!"},
            "created": {"time": int(time.time() * 1000)},
        }
        return Says(body={"elements": [comment]})


class FakeTikTok(Bearer):
    routes = {
        "GET /v2/user/info/": "me",
        "POST /v2/post/publish/creator_info/query/": "creator",
        "POST /v2/post/publish/video/init/": "init",
        "POST /v2/post/publish/content/init/": "init",
        "POST /v2/post/publish/status/fetch/": "status",
        "POST /v2/video/list/": "list_videos",
        "POST /v2/video/query/": "query",
        "POST /v2/oauth/token/": "give_tokens",
        "POST /v2/oauth/revoke/": "revoke",
    }
    open_routes = ("POST /v2/oauth/token/", "POST /v2/oauth/revoke/")
    OK = {"code": "ok", "message": "", "log_id": "1"}

    def __init__(self) -> None:
        super().__init__()
        self.looks: dict[str, int] = {}
        self.broken = False

    def unauthorised(self) -> Says:
        error = {"code": "access_token_invalid", "message": "The access token is invalid."}
        return Says(401, {"error": error})

    def _ok(self, **data: Any) -> Says:
        return Says(body={"data": data, "error": self.OK})

    def me(self, asked: Asked) -> Says:
        return self._ok(user={"open_id": "open-1", "display_name": "Shop"})

    def creator(self, asked: Asked) -> Says:
        return self._ok(privacy_level_options=["SELF_ONLY", "PUBLIC_TO_EVERYONE"])

    def init(self, asked: Asked) -> Says:
        info = asked.json["post_info"]
        assert info["privacy_level"] == "PUBLIC_TO_EVERYONE"
        id = f"v_pub_url~{self.next_id()}"
        self.looks[id] = 2
        if not self.broken:
            text = info.get("description") or info["title"]
            post = {"id": self.next_id(), "publish_id": id, "text": text, "at": int(time.time())}
            self.posts.append({**post, "media": asked.json["source_info"]})
        return self._ok(publish_id=id)

    def status(self, asked: Asked) -> Says:
        id = asked.json["publish_id"]
        self.looks[id] -= 1
        if self.looks[id] > 0:
            return self._ok(status="PROCESSING_DOWNLOAD")
        if self.broken:
            return self._ok(status="FAILED", fail_reason="picture_size_check_failed")
        post = next(each for each in self.posts if each["publish_id"] == id)
        return self._ok(status="PUBLISH_COMPLETE", publicaly_available_post_id=[int(post["id"])])

    def list_videos(self, asked: Asked) -> Says:
        videos = [
            {"id": p["id"], "video_description": p["text"], "create_time": p["at"]}
            for p in self.shown()
        ]
        return self._ok(videos=videos, has_more=False)

    def query(self, asked: Asked) -> Says:
        told = {"view_count": 90, "like_count": 7, "comment_count": 1, "share_count": 2}
        return self._ok(videos=[{"id": "1", **told}])


class FakePinterest(Bearer):
    routes = {
        "GET /v5/user_account": "me",
        "GET /v5/boards": "boards",
        "POST /v5/pins": "pin",
        "GET /v5/pins": "list_pins",
        "GET /v5/pins/*/analytics": "analytics",
        "POST /v5/oauth/token": "give_tokens",
    }
    open_routes = ("POST /v5/oauth/token",)

    def me(self, asked: Asked) -> Says:
        return Says(body={"id": "pin-1", "username": "shop", "account_type": "BUSINESS"})

    def boards(self, asked: Asked) -> Says:
        return Says(body={"items": [{"id": "board-1", "name": "New"}], "bookmark": None})

    def pin(self, asked: Asked) -> Says:
        assert asked.json["board_id"] == "board-1"
        id = self.next_id()
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        kept = {"id": id, "text": asked.json["description"], "at": at}
        self.posts.append({**kept, "media": asked.json["media_source"]})
        return Says(201, {"id": id, "created_at": at, "description": kept["text"]})

    def list_pins(self, asked: Asked) -> Says:
        items = [
            {"id": p["id"], "description": p["text"], "created_at": p["at"]} for p in self.shown()
        ]
        return Says(body={"items": items, "bookmark": None})

    def analytics(self, asked: Asked) -> Says:
        told = {"IMPRESSION": 90, "SAVE": 2, "TOTAL_REACTIONS": 7, "TOTAL_COMMENTS": 1}
        return Says(body={"all": {"summary_metrics": told}})

    def give_tokens(self, asked: Asked) -> Says:
        basic = b64encode(b"app-id:app-secret").decode()
        assert asked.headers["authorization"] == f"Basic {basic}"
        return super().give_tokens(asked)
