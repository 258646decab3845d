"""Calls to a network, and the classes of its refusals.

Every network says no in its own words; what follows depends only on the class: get new tokens,
mend the post, come back later, or give the account up.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import orjson

from infrastructure.gateways import GatewayClient, GatewayResponse
from infrastructure.networks.apps import App

LONGEST_MESSAGE = 300
"""Characters of a network's own words that are passed on."""

WAIT = 900.0
"""Seconds to stay away when a network asks for time without saying how much."""


class Fault(StrEnum):
    """What to do about a refusal."""

    TOKEN = "token"  # noqa: S105 - the name of a class of errors
    POST = "post"
    LATER = "later"
    ACCOUNT = "account"


class NetworkSaysNo(Exception):
    """The network has certainly not done what it was asked to.

    `code` is stable for programs. `retry_after` (seconds) and `whole_app` go with `LATER`.
    """

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        whole_app: bool = False,
    ) -> None:
        super().__init__(message)
        self.fault, self.message = fault, message
        self.code = code or CODES[fault]
        self.retry_after = retry_after
        self.whole_app = whole_app


CODES: Mapping[Fault, str] = {
    Fault.TOKEN: "reconnect",
    Fault.POST: "bad_post",
    Fault.LATER: "rate_limited",
    Fault.ACCOUNT: "disconnected",
}


class NetworkUnclear(Exception):
    """An answer from which nothing follows for certain: the network failed, or spoke in riddles."""


@dataclass(frozen=True)
class Reply:
    """An answer that is not a refusal."""

    status: int
    headers: httpx.Headers
    data: Any = field(repr=False)

    def text(self, *path: str | int) -> str:
        """The text or number at `path`. Raises `NetworkUnclear` when there is none."""
        return required(self.data, *path)


def dig(data: Any, *path: str | int) -> Any:
    """What lies at `path` in JSON; None when nothing does."""
    for step in path:
        match data, step:
            case dict(), str():
                data = data.get(step)
            case list(), int() if len(data) > step:
                data = data[step]
            case _:
                return None
    return data


def required(data: Any, *path: str | int) -> str:
    """The text or number at `path` in JSON. Raises `NetworkUnclear` when there is none."""
    found = dig(data, *path)
    if found is None or found == "" or isinstance(found, dict | list):
        raise NetworkUnclear("The network's answer lacks what was asked for.")
    return str(found)


def entries(data: Any, *path: str | int) -> list[dict[str, Any]]:
    """The objects of the list at `path`; none when there is no list."""
    found = dig(data, *path)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def number(data: Any, *path: str | int) -> int:
    """The whole number at `path`, else 0."""
    found = dig(data, *path)
    return int(found) if isinstance(found, int | float) else 0


@dataclass(frozen=True)
class Line:
    """The way to one network. `client` takes its own address, `guarded` any other."""

    app: App
    client: GatewayClient
    guarded: GatewayClient

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        login: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - bounds one attempt, below this level
    ) -> GatewayResponse:
        """One request, whatever its answer. `path` is below the network's address (`login`: that
        of its sign-in), or an address that the network has named itself.

        Raises `GatewayUnreachable` and `GatewayOutcomeUnknown`.
        """
        sent = dict(headers or {})
        base = self.app.login_url if login else self.app.base_url
        url = path if path.startswith(("http://", "https://")) else base + path
        if query:
            url += ("&" if "?" in url else "?") + urlencode(query, quote_via=quote)
        if files is not None:
            body = httpx.Request("POST", "http://body.invalid", data=dict(form or {}), files=files)
            content, sent["content-type"] = body.read(), body.headers["content-type"]
        elif form is not None:
            content = urlencode(form).encode()
            sent["content-type"] = "application/x-www-form-urlencoded"
        elif json is not None:
            content = orjson.dumps(json)
            sent.setdefault("content-type", "application/json")
        home = httpx.URL(url).netloc == httpx.URL(base).netloc
        return await (self.client if home else self.guarded).request(
            method, url, headers=sent, content=content, timeout=timeout
        )


def parsed(response: GatewayResponse) -> Any:
    """The JSON of an answer, None when it is none."""
    try:
        return orjson.loads(response.body) if response.body and not response.truncated else None
    except orjson.JSONDecodeError:
        return None


def settled(response: GatewayResponse, data: Any) -> Reply:
    """The reply, once refusals have been sorted out. Raises `NetworkUnclear` for the rest."""
    if not 200 <= response.status < 300:
        raise NetworkUnclear(f"The network answered {response.status}.")
    return Reply(response.status, response.headers, data)


def plain_refusal(
    response: GatewayResponse, message: str, *, code: str | None = None
) -> NetworkSaysNo | None:
    """The class of a refusal by its status alone (RFC 9110; RFC 6585 for 429)."""
    message = (message or f"The network answered {response.status}.")[:LONGEST_MESSAGE]
    match response.status:
        case 401:
            return NetworkSaysNo(Fault.TOKEN, message)
        case 429:
            return NetworkSaysNo(Fault.LATER, message, retry_after=pause_of(response))
        case status if 400 <= status < 500 and status != 408:
            return NetworkSaysNo(Fault.POST, message, code=code)
        case _:
            return None


def pause_of(response: GatewayResponse, *reset_headers: str) -> float:
    """Seconds to stay away: `Retry-After`, else until the instant in one of `reset_headers`
    (seconds since 1970), else `WAIT`."""
    if response.retry_after is not None:
        return response.retry_after
    for name in reset_headers:
        instant = response.headers.get(name, "")
        if instant.isascii() and instant.isdigit():
            return max(float(instant[:12]) - time.time(), 1.0)
    return WAIT
