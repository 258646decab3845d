"""Around every request: its id, its measure, and the headers that all answers carry."""

import re
from collections.abc import Iterable
from functools import cache
from time import perf_counter

from fastapi import FastAPI
from prometheus_client import Counter, Histogram
from starlette.types import Message, Receive, Scope, Send
from uuid_utils import uuid7

from api.kernel import Route
from api.logging import request_id
from infrastructure import metrics

GOOD_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class Envelope:
    """Pure ASGI, since it stands in the way of every request.

    Paths without parameters go straight to their route, all others through the framework's
    router: most commands are of the first kind, and a dictionary finds them at once.
    """

    def __init__(self, app: FastAPI, fixed: Iterable[tuple[str, str, Route]]) -> None:
        self.app = app
        self.fixed = {(method, path): route for method, path, route in fixed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["app"] = self.app
        state = scope.setdefault("state", {})
        id = state["request_id"] = _request_id(scope)
        request_id.set(id)  # each request runs in a context of its own
        method = scope["method"]
        status = 500
        began = perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                headers.append((b"x-request-id", id.encode()))
                headers.extend(state.get("limit_headers", ()))
            await send(message)

        try:
            if route := self.fixed.get((method, scope["path"])):
                await route.handle(scope, receive, send_with_headers)
            else:
                await self.app(scope, receive, send_with_headers)
        finally:
            path = getattr(scope.get("route"), "path", "unknown")
            count, seconds = _measures(method, path, status)
            count.inc()
            seconds.observe(perf_counter() - began)


@cache
def _measures(method: str, path: str, status: int) -> tuple[Counter, Histogram]:
    """The two series of a route; looking labels up costs more than counting."""
    return (
        metrics.http_requests.labels(method, path, str(status)),
        metrics.http_seconds.labels(method, path),
    )


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and GOOD_REQUEST_ID.fullmatch(value):
            given: str = value.decode()
            return given
    return uuid7().hex
