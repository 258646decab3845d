"""Small local servers that answer as the networks' documentation says.

They keep what is published on them, so that a test can ask what really went out, and can be told
to refuse, to fall silent before or after the deed, and to answer twice.
"""

from __future__ import annotations

import hmac
import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24
MP4 = b"\0\0\0\x18ftypmp42" + b"\0" * 24


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    form: dict[str, str] = field(default_factory=dict)
    json: Any = None

    @property
    def token(self) -> str:
        """The bearer token, or the parameter `access_token`."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return bearer or self.query.get("access_token") or self.form.get("access_token", "")


@dataclass(frozen=True)
class Says:
    """An answer."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request. `deed`: it is carried out all the same."""

    says: Says | None = None
    deed: bool = False
    hangs: bool = False
    twice: bool = False


LOST_BEFORE = Fault()
LOST_AFTER = Fault(deed=True)
HANGS_AFTER = Fault(deed=True, hangs=True)
TWICE = Fault(deed=True, twice=True)


def refuses(status: int, body: Any = None, **headers: str) -> Fault:
    """Answers so, and does nothing."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(says=Says(status, body, named))


class FakeNetwork:
    """What all of them share. A route is `"METHOD /path"`; `*` in it stands for any one part."""

    routes: Mapping[str, str] = {}
    lists: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.asked: list[Asked] = []
        self.faults: dict[str, list[Fault]] = {}
        self.tokens = {"token-1"}
        self.revoked: list[str] = []
        self.refreshed = 0
        self.slow_refresh = 0.0
        self.hidden = False
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.serial = 0

    def fails(self, route: str, *faults: Fault) -> None:
        """The next requests to `route` go wrong, one by one."""
        self.faults[route] = list(faults)

    def calls(self, route: str) -> list[Asked]:
        """The requests that a route has had."""
        return [each for each in self.asked if self._route(each) == route]

    def next_id(self) -> str:
        self.serial += 1
        return str(1_000_000 + self.serial)

    def _route(self, asked: Asked) -> str | None:
        for route in self.routes:
            method, path = route.split(" ")
            wanted, got = path.split("/"), asked.path.split("/")
            if (
                method == asked.method
                and len(wanted) == len(got)
                and all(w in ("*", g) for w, g in zip(wanted, got, strict=True))
            ):
                return route
        return None

    def answer(self, asked: Asked) -> Says:
        """What the network itself would say."""
        route = self._route(asked)
        if route is None:
            return Says(404, {"message": f"no route {asked.method} {asked.path}"})
        refused = self.check(asked, route)
        return refused or getattr(self, self.routes[route])(asked)

    def check(self, asked: Asked, route: str) -> Says | None:
        """Who is asking."""
        raise NotImplementedError

    def unauthorised(self) -> Says:
        """What it says to tokens that are no more."""
        return Says(401, {"message": "Unauthorized", "status": 401})

    def check_fault(self) -> Fault:
        """The same, as what goes wrong with a request."""
        return Fault(says=self.unauthorised())

    def shown(self) -> list[dict[str, Any]]:
        return [] if self.hidden else list(reversed(self.posts))

    def refresh(self, refresh_token: str) -> dict[str, Any] | None:
        """New tokens in place of all old ones."""
        time.sleep(self.slow_refresh)
        with self.lock:
            if refresh_token != f"refresh-{self.refreshed + 1}":
                return None
            self.refreshed += 1
            token = f"token-{self.refreshed + 1}"
            self.tokens = {token}
            return {
                "access_token": token,
                "refresh_token": f"refresh-{self.refreshed + 1}",
                "expires_in": 3600,
                "token_type": "bearer",
            }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    network: FakeNetwork

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = Asked(
            self.command,
            unquote(parts.path),
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            body,
        )
        kind = self.headers.get("content-type", "")
        if kind.startswith("application/json") and body:
            asked.json = json.loads(body)
        elif kind.startswith("application/x-www-form-urlencoded"):
            asked.form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        elif kind.startswith("multipart/form-data"):
            head = f"content-type: {kind}\r\n\r\n".encode()
            for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
                name = part.get_param("name", header="content-disposition")
                asked.form[str(name)] = part.get_payload(decode=True).decode("latin-1")  # type: ignore[union-attr]
        network = self.network
        network.asked.append(asked)
        waiting = network.faults.get(network._route(asked) or "") or []
        fault = waiting.pop(0) if waiting else Fault(deed=True, says=Says())
        says = network.answer(asked) if fault.deed else fault.says
        if fault.hangs:
            network.released.wait(10)
        if says is None or fault in (LOST_AFTER, HANGS_AFTER):
            self.close_connection = True
            return
        self._say(says, 2 if fault.twice else 1)

    def _say(self, says: Says, times: int) -> None:
        body = b"" if says.body is None else json.dumps(says.body).encode()
        self.send_response(says.status)
        for name, value in says.headers.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self._headers_buffer.append(b"\r\n" + body)
        self._headers_buffer *= times  # in one piece: no copy is on its way later
        self.flush_headers()

    do_GET = do_POST = do_PUT = do_DELETE = _handle


@contextmanager
def serving(network: FakeNetwork) -> Iterator[str]:
    """The address at which it answers."""
    handler = type("Handler", (_Handler,), {"network": network})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        network.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Files(FakeNetwork):
    """A server of media."""

    routes = {"GET /photo.png": "photo", "GET /film.mp4": "film", "GET /text.png": "text"}

    def answer(self, asked: Asked) -> Says:
        content = {"/photo.png": PNG, "/film.mp4": MP4, "/text.png": b"not an image"}
        found = content.get(asked.path)
        return Says(200 if found else 404, found)


class _FileHandler(_Handler):
    def _say(self, says: Says, times: int) -> None:
        body = says.body or b""
        self.send_response(says.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving_files() -> Iterator[str]:
    """The address of a server of media."""
    handler = type("Handler", (_FileHandler,), {"network": Files()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _iso(moment: datetime | None = None) -> str:
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S+0000")


def graph_error(code: int, message: str = "Refused.", status: int = 400, sub: int = 0) -> Fault:
    """An error as the Graph API words it."""
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A"}
    return refuses(status, {"error": {**error, "error_subcode": sub}})


class FakeGraph(FakeNetwork):
    """Facebook or Instagram: tokens are checked, and the proof of the app's secret."""

    secret = "app-secret"

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
        "GET /v22.0/oauth/access_token": "exchange",
        "DELETE /v22.0/me/permissions": "revoke",
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
        self.posts.append({"id": id, "text": text, "media": media, "at": _iso(), "video": video})
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

    def post(self, asked: Asked) -> Says:
        comment = {
            "id": "c1",
            "message": "Love it!",
            "created_time": _iso(),
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
        "GET /refresh_access_token": "exchange",
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
        self.posts.append({"id": id, "text": container["caption"], "at": _iso(), **container})
        self.used += 1
        return Says(body={"id": id})

    def thing(self, asked: Asked) -> Says:
        id = asked.path.rpartition("/")[2]
        if id in self.containers:
            container = self.containers[id]
            if container["status"] == "IN_PROGRESS":
                container["looks"] -= 1
                if container["looks"] <= 0:
                    container["status"] = "ERROR" if self.broken else "FINISHED"
            return Says(body={"id": id, "status_code": container["status"]})
        return Says(body={"id": id, "permalink": f"https://ig/p/{id}", "timestamp": _iso()})

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

    def comments(self, asked: Asked) -> Says:
        comment = {"id": "c1", "text": "Love it!", "timestamp": _iso(), "username": "bo"}
        return Says(body={"data": [comment]})

    def exchange(self, asked: Asked) -> Says:
        if asked.query["access_token"] != "token-1" or self.refreshed:
            return graph_error(190, "The session is invalid.", 400).says or Says()
        self.refreshed += 1
        self.tokens = {"token-2"}
        return Says(body={"access_token": "token-2", "expires_in": 5_184_000})


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
        self.posts.append({"id": id, "text": text, "media": media, "at": datetime.now(UTC)})
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
            for link in links:
                text = text.replace(link["expanded_url"].replace("&", "&amp;"), link["url"])
            text += " https://t.co/media" if post["media"] else ""
            at = post["at"].strftime("%Y-%m-%dT%H:%M:%S.000Z")
            entities = {"entities": {"urls": links}} if links else {}
            data.append({"id": post["id"], "text": text, "created_at": at, **entities})
        return Says(body={"data": data, "meta": {"result_count": len(data)}})

    def one(self, asked: Asked) -> Says:
        told = {"retweet_count": 1, "quote_count": 1, "like_count": 7, "reply_count": 1,
                "impression_count": 90}  # fmt: skip
        return Says(body={"data": {"id": "1", "public_metrics": told}})

    def replies(self, asked: Asked) -> Says:
        if asked.path.endswith("/recent"):
            reply = {"id": "c1", "text": "Love it!", "author_id": "9", "created_at": _iso()}
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

    def comments(self, asked: Asked) -> Says:
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


FAKES: Mapping[str, type[FakeNetwork]] = {
    "facebook": FakeFacebook,
    "instagram": FakeInstagram,
    "twitter": FakeTwitter,
    "linkedin": FakeLinkedIn,
    "tiktok": FakeTikTok,
    "pinterest": FakePinterest,
}

CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    name: {"access_token": "token-1", "token_secret": "secret-1"}
    if name == "twitter"
    else {"access_token": "token-1", "refresh_token": "refresh-1"}
    for name in FAKES
}

APPS = {
    "FACEBOOK_APP_ID": "app-id",
    "FACEBOOK_APP_SECRET": "app-secret",
    "INSTAGRAM_APP_ID": "app-id",
    "INSTAGRAM_APP_SECRET": "app-secret",
    "TWITTER_API_KEY": "consumer",
    "TWITTER_API_SECRET": "consumer-secret",
    "LINKEDIN_CLIENT_ID": "app-id",
    "LINKEDIN_CLIENT_SECRET": "app-secret",
    "TIKTOK_CLIENT_KEY": "app-id",
    "TIKTOK_CLIENT_SECRET": "app-secret",
    "PINTEREST_APP_ID": "app-id",
    "PINTEREST_APP_SECRET": "app-secret",
}
"""The registration that the fakes know."""
