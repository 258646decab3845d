"""What all fake networks have in common, and a server of media."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

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


def iso(moment: datetime | None = None) -> str:
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S+0000")
