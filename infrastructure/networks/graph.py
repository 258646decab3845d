"""What the interfaces of Facebook and Instagram have in common: Meta's Graph API.

https://developers.facebook.com/docs/graph-api/guides/error-handling
https://developers.facebook.com/docs/graph-api/overview/rate-limiting
https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps
https://developers.facebook.com/docs/instagram-platform/webhooks
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from infrastructure.gateways import GatewayResponse
from infrastructure.networks.api import Api
from infrastructure.networks.line import (
    WAIT,
    Fault,
    NetworkSaysNo,
    Reply,
    dig,
    number,
    pause_of,
    plain_refusal,
)
from infrastructure.networks.notices import TOLD

VERSION = "v22.0"

_APP_LIMITS = frozenset({4})
_LIMITS = _APP_LIMITS | {9, 17, 32, 341, 368, 613, 80001, 80002}
_PERMISSIONS = frozenset({3, 10, *range(200, 300)})
_TOKEN = frozenset({102, 190})
_GIVEN_UP = frozenset({458, 460, 464})
"""Sub-codes of 190: the person removed the app, changed the password, is not confirmed."""
_FAILING = frozenset({1, 2})
"""Their own failures, which may have happened after the deed."""


class GraphApi(Api):
    """Tokens go as `access_token`, with a proof that the app is meant where it has a secret."""

    @property
    def token(self) -> str:
        """What requests about the account are made with."""
        return self.credentials["access_token"]

    async def get(self, path: str, token: str | None = None, /, **fields: Any) -> Reply:
        """Read below the present version of the interface."""
        return await self.ask("GET", f"/{VERSION}{path}", query=self._signed(token, fields))

    async def post(self, path: str, token: str | None = None, /, **fields: Any) -> Reply:
        """Write below the present version of the interface."""
        return await self.ask("POST", f"/{VERSION}{path}", form=self._signed(token, fields))

    async def subscribe(self) -> bool:
        """Beside the app itself each account has to be subscribed."""
        if not self.line.app.verify_token:
            return False
        _, field = TOLD[self.network]
        done = await self.post(f"/{self.account}/subscribed_apps", subscribed_fields=field)
        return dig(done.data, "success") is True

    def _signed(self, token: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        token = token or self.token
        signed = {name: value for name, value in fields.items() if value is not None}
        signed["access_token"] = token
        if secret := self.line.app.secret:
            proof = hmac.digest(secret.encode(), token.encode(), sha256).hex()
            signed["appsecret_proof"] = proof
        return signed

    def refusal(self, response: GatewayResponse, data: Any) -> NetworkSaysNo | None:
        """By the code in the answer's `error`, else by the status."""
        error = dig(data, "error")
        if not isinstance(error, dict):
            return plain_refusal(response, "")
        message, code = str(error.get("message") or ""), number(error, "code")
        if response.status >= 500 or code in _FAILING:
            return None
        if code in _TOKEN:
            gone = number(error, "error_subcode") in _GIVEN_UP
            return NetworkSaysNo(Fault.ACCOUNT if gone else Fault.TOKEN, message)
        if code in _LIMITS or response.status == 429:
            return NetworkSaysNo(
                Fault.LATER,
                message,
                retry_after=_regain(response),
                whole_app=code in _APP_LIMITS,
            )
        if code in _PERMISSIONS:
            return NetworkSaysNo(Fault.POST, message, code="not_permitted")
        return plain_refusal(response, message) or NetworkSaysNo(Fault.POST, message)


def _regain(response: GatewayResponse) -> float:
    """Seconds until calls are taken again: the header of business use cases tells minutes."""
    try:
        usage = orjson.loads(response.headers.get("x-business-use-case-usage", "{}"))
        minutes = max(
            number(each, "estimated_time_to_regain_access")
            for cases in usage.values()
            for each in cases
        )
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
        minutes = 0
    asked = pause_of(response)
    return minutes * 60.0 if minutes and asked == WAIT else asked
